//! A share between two of today's clients, each a process on Python's `websockets` with its defaults:
//! keep-alive of 20 s and 20 s, compression of every message, one message of JSON with hex in it.

use std::{
    env,
    io::{BufRead, BufReader, Lines},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::skip::skip;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/python/share.py");

/// An interpreter that has `websockets`: see [`with`].
pub fn with_websockets() -> Option<String> {
    with(&["websockets"])
}

/// An interpreter that has these modules: the one that `RELAY_TEST_PYTHON` names, or `python3`. Without it
/// the test on this thread is skipped, and says so.
pub fn with(modules: &[&str]) -> Option<String> {
    let python = env::var("RELAY_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let probe = Command::new(&python)
        .args(["-c", &format!("import {}", modules.join(", "))])
        .output();
    if probe.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    skip(&format!("{python} with {}", modules.join(" and ")));
    None
}

/// What both sides of a share are started with.
#[derive(Clone, Debug)]
pub struct Share {
    /// The interpreter.
    pub python: String,
    /// Plaintext bytes; the message has twice as many.
    pub bytes: usize,
    /// How long each side goes on.
    pub patience: Duration,
    /// Whether the clients offer compression, as they do by default.
    pub compression: bool,
}

impl Share {
    /// Starts the sender, and waits for the code of its room. `None` where it ends before there is one.
    pub fn send(&self, url: &str) -> Option<(Side, String)> {
        let mut side = self.start("send", url, &self.bytes.to_string());
        let code = side.lines.next()?.expect("a line");
        Some((side, code))
    }

    /// Starts the receiver.
    pub fn receive(&self, url: &str, code: &str) -> Side {
        self.start("receive", url, code)
    }

    fn start(&self, role: &str, url: &str, what: &str) -> Side {
        let compression = if self.compression { "deflate" } else { "none" };
        let patience = self.patience.as_secs_f64().to_string();
        let mut process = Command::new(&self.python)
            .args([SCRIPT, role, url, what, &patience, compression])
            .env("NO_PROXY", "*")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a client");
        let output = process.stdout.take().expect("a pipe");
        Side {
            process,
            lines: BufReader::new(output).lines(),
        }
    }
}

/// A client at work, killed when dropped.
pub struct Side {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// How it ended for one side.
#[derive(Clone, Debug)]
pub struct End {
    /// `done`, `under way`, or what the library says was wrong.
    pub end: String,
    /// Since the message began to be sent, or since the receiver asked for it.
    pub seconds: f64,
    /// Characters of the message, which are ASCII; 0 where a receiver has not got it.
    pub bytes: u64,
    /// Whether the server has agreed to compression.
    pub compressed: bool,
}

impl End {
    /// Whether all went well.
    pub fn is_done(&self) -> bool {
        self.end == "done"
    }
}

impl Side {
    /// Waits for its end.
    pub fn end(mut self) -> End {
        let line = self.lines.next().and_then(Result::ok).unwrap_or_default();
        let told: Value = serde_json::from_str(&line).unwrap_or_default();
        End {
            end: told["end"].as_str().unwrap_or("no connection").to_owned(),
            seconds: told["seconds"].as_f64().unwrap_or_default(),
            bytes: told["bytes"].as_u64().unwrap_or_default(),
            compressed: told["compressed"].as_bool().unwrap_or_default(),
        }
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        // Either may fail, and only because it has ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
