//! What is made of the command line for packagers: the manual pages and the completions.
#![allow(clippy::unwrap_used)]

use relay_testing::{process, program::Program};

/// Runs the program. Returns its exit status and what it printed.
fn run(arguments: &[&str]) -> (i32, String) {
    let output = Program::new(process::program()).args(arguments).output();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), text)
}

#[test]
fn the_manual_and_the_completions_come_from_the_command_line() {
    let (exit, page) = run(&["man"]);
    assert_eq!(exit, 0);
    for part in [
        ".TH claude-distill-relay 1",
        "RELAY_MAX_ROOMS=1000",
        "claude\\-distill\\-relay\\-check(1)",
    ] {
        assert!(page.contains(part), "{part:?} is not in {page}");
    }
    assert!(!page.contains("completions"), "{page}");
    let (_, page) = run(&["man", "check"]);
    for part in [
        ".TH claude-distill-relay-check 1",
        "relay\\-only",
        "Exit status",
    ] {
        assert!(page.contains(part), "{part:?} is not in {page}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let (exit, script) = run(&["completions", shell]);
        assert_eq!(exit, 0);
        assert!(
            script.contains("max-rooms") && script.contains("relay-only"),
            "{shell}"
        );
    }
    let (_, help) = run(&["--help"]);
    assert!(
        help.contains("check ") && !help.contains("completions"),
        "{help}"
    );
}
