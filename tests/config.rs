//! The built program, as an operator starts it: what it says about its settings, and with which
//! status it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    env, fs,
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// Far longer than anything here takes, so that only what hangs meets it.
const DEADLINE: Duration = Duration::from_secs(30);

/// How to start the relay: in a directory of its own, with nothing of ours in its environment.
struct Start {
    command: Command,
    directory: TempDir,
}

impl Start {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_claude-distill-relay"));
        command.current_dir(&directory).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env_remove("RUST_LOG").env_remove("JOURNAL_STREAM");
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("RELAY_") {
                command.env_remove(name);
            }
        }
        Self { command, directory }
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    fn flags(mut self, flags: &[&str]) -> Self {
        self.command.args(flags);
        self
    }

    fn file(self, name: &str, text: &str) -> Self {
        fs::write(self.directory.path().join(name), text).unwrap();
        self
    }

    fn run(mut self) -> Relay {
        let mut child = self.command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (send, lines) = mpsc::channel();
        thread::spawn(move || {
            stderr
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| send.send(line))
        });
        Relay {
            child,
            lines,
            deadline: Instant::now() + DEADLINE,
            _directory: self.directory,
        }
    }

    /// Runs a relay that must end by itself with this status, and returns what it said on stderr.
    #[track_caller]
    fn ends_with(self, status: i32) -> String {
        let mut relay = self.run();
        let mut said = String::new();
        while let Some(line) = relay.next_line() {
            said += &line;
            said.push('\n');
        }
        assert_eq!(relay.child.wait().unwrap().code(), Some(status), "{said}");
        said
    }

    /// What a relay that must end well prints on stdout.
    fn output(self) -> String {
        let mut relay = self.run();
        let mut text = String::new();
        relay
            .child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert!(relay.child.wait().unwrap().success());
        text
    }
}

/// A started relay, killed when dropped.
struct Relay {
    child: Child,
    lines: Receiver<String>,
    deadline: Instant,
    _directory: TempDir,
}

impl Relay {
    /// The next line of its stderr, or `None` at the end.
    #[track_caller]
    fn next_line(&self) -> Option<String> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => Some(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("the relay said nothing more"),
        }
    }

    /// The first line that has `text` in it.
    #[track_caller]
    fn line_with(&self, text: &str) -> String {
        let mut said = Vec::new();
        while let Some(line) = self.next_line() {
            if line.contains(text) {
                return line;
            }
            said.push(line);
        }
        panic!("no line with {text:?} but {said:#?}")
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // Either may fail, and only because the relay has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn a_bad_value_ends_the_start_with_status_2_and_one_sentence() {
    for (variable, value, allowed) in [
        ("RELAY_MAX_ROOMS", "0", "a whole number from 1 to 1000000"),
        ("RELAY_PORT", "65536", "a whole number from 0 to 65535"),
        (
            "RELAY_ROOM_TTL",
            "",
            "a whole number of seconds from 1 to 604800",
        ),
        (
            "RELAY_WINDOW",
            "64k",
            "a whole number of bytes from 16384 to 16777216",
        ),
        (
            "RELAY_HOST",
            "127.0.0.1:9784",
            "an IP address or a host name, without a port",
        ),
        (
            "RELAY_TRUSTED_PROXIES",
            "proxy",
            "IP addresses and CIDR ranges, separated by commas",
        ),
    ] {
        let sentence = format!(
            "claude-distill-relay: {variable}, from the environment, is {value:?}: it must be {allowed}\n"
        );
        assert_eq!(Start::new().env(variable, value).ends_with(2), sentence);
    }
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let file = || {
        Start::new()
            .file(".env.relay", "RELAY_MAX_ROOMS=file")
            .file(".env", "RELAY_MAX_ROOMS=other")
    };
    let environment = || file().env("RELAY_MAX_ROOMS", "environment");
    let flag = environment().flags(&["--max-rooms", "flag"]);
    assert!(
        file()
            .ends_with(2)
            .contains("RELAY_MAX_ROOMS, from .env.relay, is \"file\"")
    );
    assert!(
        environment()
            .ends_with(2)
            .contains("from the environment, is \"environment\"")
    );
    assert!(
        flag.ends_with(2)
            .contains("from the flag --max-rooms, is \"flag\"")
    );
}

#[test]
fn it_listens_where_the_winning_values_say() {
    let relay = Start::new()
        .file(".env", "RELAY_HOST=127.0.0.1\nRELAY_PORT=none")
        .env("RELAY_HOST", "192.0.2.1")
        .env("RELAY_PORT", "none")
        .flags(&["--host", "127.0.0.1", "--port", "0"])
        .run();
    let line = relay.line_with("listening on ");
    let (_, address) = line.split_once("listening on 127.0.0.1:").unwrap();
    let port: String = address.chars().take_while(char::is_ascii_digit).collect();
    assert_ne!(port.parse::<u16>().unwrap(), 0);
}

#[test]
fn an_unknown_variable_is_warned_of_and_does_not_stop_it() {
    let relay = Start::new()
        .env("RELAY_MAX_ROOM", "5")
        .flags(&["--port", "0"])
        .run();
    let warning = relay.line_with("WARN");
    assert!(
        warning.contains("\"RELAY_MAX_ROOM\", from the environment"),
        "{warning}"
    );
    assert!(
        warning.ends_with("the nearest is RELAY_MAX_ROOMS"),
        "{warning}"
    );
    relay.line_with("listening on ");
}

#[test]
fn the_file_may_say_what_to_log() {
    let relay = Start::new()
        .file(".env", "RUST_LOG=error\nRELAY_MAX_ROOM=5")
        .env("RELAY_HOST", "192.0.2.1");
    let said = relay.ends_with(1);
    assert!(!said.contains("RELAY_MAX_ROOM"), "{said}");
}

#[test]
fn a_file_that_makes_no_sense_is_one_sentence() {
    let said = Start::new().file(".env", "RELAY_PORT 9784").ends_with(2);
    assert!(
        said.starts_with("claude-distill-relay: .env has a line that is not NAME=value"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_port_in_use_is_one_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let said = Start::new()
        .env("RELAY_PORT", &port.to_string())
        .ends_with(1);
    assert!(
        said.contains(&format!("port {port} of 127.0.0.1 is in use")),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_host_that_is_not_ours_is_one_sentence() {
    // An address that is reserved for documentation, so that no machine has it.
    let said = Start::new()
        .env("RELAY_HOST", "192.0.2.1")
        .env("RELAY_PORT", "0")
        .ends_with(1);
    assert!(
        said.contains("RELAY_HOST 192.0.2.1 is not an address of this machine"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn help_shows_every_flag_with_its_variable_and_default() {
    let help = Start::new().flags(&["--help"]).output();
    for knob in claude_distill_relay::config::KNOBS {
        for part in [
            format!("--{} <", knob.flag()),
            format!("[{}={}]", knob.variable, knob.default),
            format!("{}:\n", knob.group),
        ] {
            assert!(help.contains(&part), "{part} is not in {help}");
        }
    }
}

#[test]
fn version_is_the_packages() {
    let expected = concat!("claude-distill-relay ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(Start::new().flags(&["--version"]).output(), expected);
}

#[test]
fn a_flag_nobody_knows_is_a_usage_error() {
    let said = Start::new().flags(&["--max-room", "5"]).ends_with(2);
    assert!(said.contains("--max-rooms"), "{said}");
}
