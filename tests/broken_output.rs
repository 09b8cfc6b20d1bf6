//! The built program where what it prints goes nowhere: its status says the same, and it does not
//! wait for a reader that is not there.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fs::File,
    io::{self, PipeReader, Write},
    net::TcpListener,
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use nix::fcntl::{FcntlArg, fcntl};
use relay_testing::{TestRelay, process, program::Program};

fn relay() -> Program {
    Program::new(process::program())
}

/// The device that is always full.
fn full_device() -> Stdio {
    File::options()
        .write(true)
        .open("/dev/full")
        .unwrap()
        .into()
}

/// A pipe into which nothing more fits, and who would have to read it.
fn full_pipe() -> (Stdio, PipeReader) {
    let (reader, mut writer) = io::pipe().unwrap();
    let size = fcntl(&writer, FcntlArg::F_GETPIPE_SZ).unwrap();
    writer.write_all(&vec![0; size as usize]).unwrap();
    (writer.into(), reader)
}

/// A pipe whose reader has gone.
fn closed_pipe() -> Stdio {
    io::pipe().unwrap().1.into()
}

/// How this ends, with nobody to hear why.
fn status_of(started: Program) -> ExitStatus {
    let began = Instant::now();
    let status = started.output().status;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    status
}

/// Ways in which standard error may be of no use. The pipe's reader lives as long as the program.
fn with_each_bad_stderr(start: impl Fn() -> Program, status: i32) {
    let (full, _reader) = full_pipe();
    for stderr in [full_device(), full, closed_pipe()] {
        assert_eq!(status_of(start().stderr(stderr)).code(), Some(status));
    }
}

#[test]
fn a_bad_setting_is_status_2() {
    with_each_bad_stderr(|| relay().env("RELAY_PORT", "none"), 2);
}

#[test]
fn a_flag_nobody_knows_is_status_2() {
    with_each_bad_stderr(|| relay().args(["--max-room", "5"]), 2);
}

#[test]
fn a_relay_that_cannot_run_is_status_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    // With warnings on the way there, one of them of the logger's own.
    let start = || {
        let relay = relay().env("RELAY_PORT", port).env("RELAY_PORTS", 1);
        relay.env("RUST_LOG", "info,a=b=c")
    };
    with_each_bad_stderr(start, 1);
}

#[test]
fn a_report_that_cannot_be_printed_is_a_failure() {
    let healthy = TestRelay::start(|_| {});
    let url = format!("ws://127.0.0.1:{}", healthy.port());
    for form in [&["check", &url][..], &["check", "--json", &url]] {
        for stdout in [full_device(), closed_pipe()] {
            let output = relay().args(form).stdout(stdout).output();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{said}");
            let begin = "claude-distill-relay: the report cannot be printed: ";
            assert!(
                said.starts_with(begin) && said.lines().count() == 1,
                "{said}"
            );
        }
        let (stdout, stderr) = (full_device(), full_device());
        let nothing = relay().args(form).stdout(stdout).stderr(stderr);
        assert_eq!(status_of(nothing).code(), Some(2));
    }
}

#[test]
fn help_that_cannot_be_printed_is_a_failure() {
    for flag in ["--help", "--version"] {
        let output = relay().args([flag]).stdout(full_device()).output();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("cannot be printed"), "{said}");
    }
}
