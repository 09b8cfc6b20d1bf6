//! The command line, as the program itself shows it.
#![allow(clippy::unwrap_used)]

use relay_testing::{process, program::Program};

#[test]
fn the_help_has_the_check_and_nothing_for_packagers() {
    let output = Program::new(process::program()).args(["--help"]).output();
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(
        help.contains("check ") && !help.contains("completions"),
        "{help}"
    );
}
