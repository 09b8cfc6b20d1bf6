//! Names the commit that the program is built from, for `src/version.rs`.
//!
//! `BUILD_COMMIT` in the environment says it where there is no git to ask, as in a container.

use std::{env, path::Path, process::Command};

fn main() -> Result<(), String> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=BUILD_COMMIT");
    let given = env::var("BUILD_COMMIT").unwrap_or_default();
    let commit = match given.as_str() {
        "" => commit().unwrap_or_else(|| "unknown".to_owned()),
        given if given.bytes().all(|byte| byte.is_ascii_alphanumeric()) => given.to_owned(),
        given => {
            return Err(format!(
                "BUILD_COMMIT is {given:?}: letters and digits only"
            ));
        }
    };
    println!("cargo::rustc-env=RELAY_COMMIT={commit}");
    Ok(())
}

/// The commit that is checked out here. `None` outside of git, and in sources that somebody has unpacked
/// inside another repository.
fn commit() -> Option<String> {
    // What of git's changes with every commit and every checkout, as far as it is there: cargo would
    // build anew each time for a file that is not.
    let branch = git(&["rev-parse", "--symbolic-full-name", "HEAD"])?;
    for name in ["HEAD", "logs/HEAD", "packed-refs", &branch] {
        let path = git(&["rev-parse", "--git-path", name])?;
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let is_top = git(&["rev-parse", "--show-prefix"])?.is_empty();
    git(&["rev-parse", "--short=7", "HEAD"]).filter(|_| is_top)
}

/// What git answers in this package's folder, in one line.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let answer = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| answer.trim().to_owned())
}
