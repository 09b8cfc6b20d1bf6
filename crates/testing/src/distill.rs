//! `distill` as a process: what it is started with, and the events it tells with `--json`.

use std::{
    ffi::OsStr,
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    memory::{self, PEAK},
    program::{Process, Program, built},
    skip::skip,
};

const NAME: &str = "distill";
/// What sender and receiver agree on.
pub const PASSPHRASE: &str = "ochre tulip parsnip outlet gangway";

/// Whether the program was built, which it is beside the tests of the whole workspace. Without it the test on this
/// thread is skipped, and says so.
pub fn is_built() -> bool {
    let there = built(NAME).is_some();
    if !there {
        skip("distill (cargo build --workspace)");
    }
    there
}

/// The program at work.
pub struct Distill {
    /// Its process.
    pub process: Process,
    events: Receiver<Value>,
    told: Vec<Value>,
}

impl Distill {
    /// Starts it with these arguments and `--json`, at the relay of this address, with `home` for what it keeps.
    pub fn start<A: AsRef<OsStr>>(
        relay: SocketAddr,
        home: &Path,
        args: impl IntoIterator<Item = A>,
    ) -> Self {
        let (read, write) = io::pipe().unwrap();
        let program = Program::new(built(NAME).expect("distill: cargo build --workspace"))
            .args(args)
            .args(["--json"])
            .env("DISTILL_RELAY", format!("ws://{relay}/"))
            .env("DISTILL_PASSPHRASE", PASSPHRASE)
            .env("XDG_STATE_HOME", home.display())
            .env("XDG_CONFIG_HOME", home.display())
            .stdout(write);
        let process = program.spawn().unwrap();
        let (send, events) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(read).lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if send.send(event).is_err() {
                    return;
                }
            }
        });
        Self {
            process,
            events,
            told: Vec::new(),
        }
    }

    /// The first event of this name that has not been waited for, which comes within `limit`.
    pub fn event(&mut self, name: &str, limit: Duration) -> Value {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(event) = self.events.recv_timeout(left) else {
                let last = self.told.len().saturating_sub(8);
                panic!("no event {name} but {:#?}", &self.told[last..]);
            };
            self.told.push(event.clone());
            if event["event"] == name {
                return event;
            }
        }
    }

    /// The most memory it has had so far, in bytes.
    pub fn peak(&self) -> usize {
        memory::of(self.process.pid(), PEAK).unwrap_or_default()
    }

    /// Ends it as nobody can catch it.
    pub async fn kill(mut self) {
        self.process.signal(nix::sys::signal::Signal::SIGKILL);
        self.process.ended().await;
    }
}
