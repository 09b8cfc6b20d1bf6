//! The command line, as the program itself shows it, and how the program comes by its commit.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path, process::Command};

use claude_distill_relay::version;
use relay_testing::{
    process,
    program::Program,
    skip::{find, skip},
};

const CHECKOUT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn the_help_has_the_commands_and_nothing_for_packagers() {
    let output = Program::new(process::program()).args(["--help"]).output();
    let help = String::from_utf8(output.stdout).unwrap();
    for command in ["check ", "status ", "block ", "top "] {
        assert!(help.contains(command), "{help}");
    }
    assert!(!help.contains("completions"), "{help}");
}

/// What a program that must succeed prints, run in this folder with `BUILD_COMMIT` set to this.
fn printed(program: &Path, folder: &Path, commit: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.current_dir(folder).env("BUILD_COMMIT", commit);
    let output = command.args(arguments).output().unwrap();
    assert!(output.status.success(), "{program:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_commit_is_that_of_the_checkout_or_of_who_builds_without_one() {
    let (Some(rustc), Some(git)) = (find("rustc"), find("git")) else {
        return skip("rustc or git on the PATH");
    };
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("build");
    let source = Path::new(CHECKOUT).join("build.rs");
    let arguments = ["--edition", "2024", "-o", script.to_str().unwrap()];
    let arguments = [&arguments[..], &[source.to_str().unwrap()]].concat();
    printed(&rustc, folder.path(), "", &arguments);
    let says = |folder: &Path, given: &str, commit: &str| {
        let said = printed(&script, folder, given, &[]);
        let line = format!("cargo::rustc-env=RELAY_COMMIT={commit}");
        assert!(said.lines().any(|said| said == line), "{said}");
        said
    };

    says(folder.path(), "", "unknown");
    says(folder.path(), "abc1234", "abc1234");
    let bad = Command::new(&script).env("BUILD_COMMIT", "a b").output();
    assert!(!bad.unwrap().status.success());

    let git = |folder: &Path, arguments: &str| {
        let arguments: Vec<_> = arguments.split(' ').collect();
        printed(&git, folder, "", &arguments).trim().to_owned()
    };
    let repository = folder.path().join("repository");
    fs::create_dir_all(repository.join("inside")).unwrap();
    git(&repository, "init --quiet");
    says(&repository, "", "unknown");
    let commit = "-c user.name=x -c user.email=x commit --quiet --allow-empty -m x";
    git(&repository, commit);
    git(&repository, "worktree add --quiet ../worktree");
    git(&folder.path().join("worktree"), commit);
    for checkout in ["repository", "worktree"] {
        let checkout = folder.path().join(checkout);
        let head = git(&checkout, "rev-parse --short=7 HEAD");
        let said = says(&checkout, "", &head);
        // The next commit is noticed, in the place where this kind of checkout has it.
        let log = git(&checkout, "rev-parse --git-path logs/HEAD");
        let watched = format!("cargo::rerun-if-changed={log}");
        assert!(said.lines().any(|line| line == watched), "{said}");
    }
    says(&repository.join("inside"), "", "unknown");
}

#[test]
fn a_program_built_from_a_checkout_names_its_commit() {
    let ask = |arguments: &[&str]| {
        let mut git = Command::new("git");
        let output = git.args(arguments).current_dir(CHECKOUT).output().ok()?;
        let answer = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| answer.trim().to_owned())
    };
    // Empty at the top of a checkout.
    let is_ours = ask(&["rev-parse", "--show-prefix"]).is_some_and(|below| below.is_empty());
    let head = ask(&["rev-parse", "--short=7", "HEAD"]).filter(|_| is_ours);
    let given = option_env!("BUILD_COMMIT").filter(|given| !given.is_empty());
    let expected = given.map(str::to_owned).or(head);
    assert_eq!(version::COMMIT, expected.as_deref().unwrap_or("unknown"));
}
