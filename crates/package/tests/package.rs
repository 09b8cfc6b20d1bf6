//! What is made of the command line for packagers: the manual pages and the completions.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path, process::Command};

/// Runs the program. Returns its exit status.
fn run(arguments: &[&Path]) -> i32 {
    let program = env!("CARGO_BIN_EXE_relay-package");
    let output = Command::new(program).args(arguments).output().unwrap();
    output.status.code().unwrap()
}

#[test]
fn the_manual_and_the_completions_come_from_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("made/here");
    assert_eq!(run(&[&directory]), 0);
    let of =
        |program: &str, name: &str| fs::read_to_string(directory.join(program).join(name)).unwrap();

    let read = |name: &str| of("claude-distill-relay", name);
    let page = read("claude-distill-relay.1");
    for part in [
        ".TH claude-distill-relay 1",
        "RELAY_MAX_ROOMS=1000",
        "claude\\-distill\\-relay\\-check(1)",
    ] {
        assert!(page.contains(part), "{part:?} is not in {page}");
    }
    assert!(!page.contains("completions"), "{page}");
    let page = read("claude-distill-relay-check.1");
    for part in [
        ".TH claude-distill-relay-check 1",
        "relay\\-only",
        "Exit status",
    ] {
        assert!(page.contains(part), "{part:?} is not in {page}");
    }
    let page = read("claude-distill-relay-block.1");
    assert!(page.contains("\\-\\-for"), "{page}");
    for file in [
        "claude-distill-relay.bash",
        "_claude-distill-relay",
        "claude-distill-relay.fish",
    ] {
        let script = read(file);
        assert!(
            script.contains("max-rooms") && script.contains("relay-only"),
            "{file}"
        );
    }

    let read = |name: &str| of("distill", name);
    let page = read("distill.1");
    for part in [".TH distill 1", "distill\\-share(1)", "Exit status: 0 done"] {
        assert!(page.contains(part), "{part:?} is not in {page}");
    }
    for (page, part) in [
        ("distill-share.1", "ask\\-passphrase"),
        ("distill-receive.1", "NAME.part.journal"),
        ("distill-sessions.1", "\\-\\-pick"),
    ] {
        let page = read(page);
        assert!(
            page.contains(part) && page.contains("130 stopped"),
            "{page}"
        );
    }
    for file in ["distill.bash", "_distill", "distill.fish"] {
        let script = read(file);
        assert!(script.contains("passphrase-fd"), "{file}");
        assert!(!script.contains("max-rooms"), "{file}");
    }
}

#[test]
fn where_to_write_must_be_said_and_possible() {
    assert_eq!(run(&[]), 2);
    let file = tempfile::NamedTempFile::new().unwrap();
    assert_eq!(run(&[file.path()]), 1);
}
