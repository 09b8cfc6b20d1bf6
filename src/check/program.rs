//! Other programs of this machine, asked one thing each.

use std::{
    io::{self, ErrorKind},
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use tokio::{task::spawn_blocking, time::timeout};

/// Whether systemd runs this machine (sd_booted(3)).
pub(super) fn has_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// The advice for a machine that systemd runs, or that for any other.
pub(super) fn by_systemd(with: &'static str, without: &'static str) -> &'static str {
    if has_systemd() { with } else { without }
}

/// What a program said first.
pub(super) fn first_line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.lines()
        .next()
        .unwrap_or("it failed without a word")
        .to_owned()
}

/// Runs a program, and waits for it as long as `limit`. One that takes longer is left behind: it
/// was only asked something. (To end it takes tokio's `process`, which would burden the relay's own
/// event loop with a look at its children.)
pub(super) async fn output(
    program: &str,
    arguments: &[&str],
    limit: Duration,
) -> io::Result<Output> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    // What is looked for in its output is English.
    command.env("LC_ALL", "C");
    let ended = timeout(limit, spawn_blocking(move || command.output())).await;
    ended.map_err(|_| io::Error::from(ErrorKind::TimedOut))??
}
