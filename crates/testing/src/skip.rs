//! What a test does where something it needs is not installed.

use std::{
    env,
    io::{self, Write},
    path::PathBuf,
    thread,
};

/// Says that the test on this thread is left out, for want of `missing`. Where `RELAY_TEST_ALL=1`
/// says that none may be, the test fails instead.
pub fn skip(missing: &str) {
    let all = env::var("RELAY_TEST_ALL").is_ok_and(|all| all == "1");
    assert!(
        !all,
        "no {missing}, and RELAY_TEST_ALL=1 lets no test be skipped"
    );
    let thread = thread::current();
    let test = thread.name().unwrap_or("a test");
    // The test harness captures what macros print, and not what is written to the handle: a person
    // is to see this, whether or not the test passes.
    let _ = writeln!(io::stderr().lock(), "skipped: {test}: no {missing}");
}

/// Where the program of this name is, if it is installed: on the `PATH`, or where administrators'
/// programs are.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.find_map(|folder| Some(folder.join(program)).filter(|path| path.is_file()))
}
