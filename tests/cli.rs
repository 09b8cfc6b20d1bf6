//! The command line, as the program itself shows it.
#![allow(clippy::unwrap_used)]

use std::process::Command;

#[test]
fn the_help_has_the_check_and_nothing_for_packagers() {
    let program = env!("CARGO_BIN_EXE_claude-distill-relay");
    let output = Command::new(program).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(
        help.contains("check ") && !help.contains("completions"),
        "{help}"
    );
}
