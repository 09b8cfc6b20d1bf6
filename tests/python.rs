//! The clients of today are Python programs on the `websockets` library: one such exchange, whole.
//!
//! `RELAY_TEST_PYTHON` names the interpreter (default `python3`). Where it has no `websockets` and
//! `cryptography` these tests are skipped, unless `RELAY_TEST_ALL=1` says that none may be.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    env,
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use relay_testing::{DEADLINE, TestRelay, reply, skip};

/// Python's own key derivation takes its time, six times over.
const PATIENCE: Duration = Duration::from_secs(180);

/// An interpreter with the libraries that the clients use.
fn python() -> Option<String> {
    let python = env::var("RELAY_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let probe = Command::new(&python)
        .args(["-c", "import websockets, cryptography"])
        .output();
    if probe.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    skip(&format!("{python} with websockets and cryptography"));
    None
}

/// Runs a program to its end, and hands back what it printed.
async fn run(python: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(python);
    command
        .args(arguments)
        .env("NO_PROXY", "*")
        .env("PYTHONUNBUFFERED", "1");
    let ended = tokio::task::spawn_blocking(move || command.output());
    let output: Output = tokio::time::timeout(PATIENCE, ended)
        .await
        .expect("an end of the program in time")
        .expect("no panic")
        .expect("a program that starts");
    let printed = String::from_utf8(output.stdout).expect("output in UTF-8");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}: {printed}{complaint}",
        output.status
    );
    printed
}

#[tokio::test]
async fn a_room_is_created_by_the_check_people_run_after_a_deployment() {
    const CHECK: &str = r#"
import asyncio, sys, websockets

async def check(url):
    async with websockets.connect(url) as ws:
        await ws.send('{"type":"CREATE_ROOM"}')
        print(await ws.recv())

asyncio.run(check(sys.argv[1]))
"#;
    let Some(python) = python() else { return };
    let relay = TestRelay::start(|_| {});
    let printed = run(&python, &["-c", CHECK, &relay.url()]).await;
    let answer = reply::parse(printed.trim());
    assert_eq!(reply::created(&answer).len(), 6);
    assert_eq!(answer["expires_in"], 1800);
    relay.settled().await;
}

#[tokio::test]
async fn a_file_is_shared_with_three_receivers_at_once_of_which_one_is_mistaken() {
    let Some(python) = python() else { return };
    // Eight mebibytes of plaintext are more than sixteen of hex.
    let relay = TestRelay::start(|config| config.max_msg_size = 20 << 20);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/share.py");
    let printed = run(&python, &[script, &relay.url(), "8388608"]).await;
    assert_eq!(printed.trim(), "received received denied", "{printed}");
    relay.settled().await;
}

/// A terminal in which a person talks to the relay.
struct Terminal {
    program: Child,
    lines: Receiver<String>,
}

impl Terminal {
    fn open(python: &str, url: &str) -> Self {
        let mut program = Command::new(python)
            .args(["-m", "websockets", url])
            .env("NO_PROXY", "*")
            .env("PYTHONUNBUFFERED", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a program");
        let output = BufReader::new(program.stdout.take().expect("a pipe"));
        let (send, lines) = channel();
        thread::spawn(move || {
            output
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| send.send(line))
        });
        Self { program, lines }
    }

    /// Types a line.
    fn types(&mut self, line: &str) {
        let terminal = self.program.stdin.as_mut().expect("a pipe");
        writeln!(terminal, "{line}").expect("a program that reads");
    }

    /// The next line with `text` in it, without what moves the cursor.
    fn shows(&self, text: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(DEADLINE).expect("a line");
            if line.contains(text) {
                return line[line.find("< ").expect("a message") + 2..].to_owned();
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Either may fail, and only because it has ended already.
        drop(self.program.kill());
        drop(self.program.wait());
    }
}

#[test]
fn the_quick_try_of_the_readme_works_as_it_stands_there() {
    const README: &str = include_str!("../README.md");
    let line = |beginning: &str| {
        let line = README.lines().find(|line| line.starts_with(beginning));
        line.expect("a line to type")
    };
    let url = "ws://127.0.0.1:9784/";
    assert!(README.contains(&format!("`python3 -m websockets {url}`")));
    let Some(python) = python() else { return };
    let relay = TestRelay::start(|_| {});

    let mut sender = Terminal::open(&python, &relay.url());
    sender.types(line(r#"{"type":"CREATE_ROOM"}"#));
    let code = reply::created(&reply::parse(&sender.shows("ROOM_CREATED")));
    let mut receiver = Terminal::open(&python, &relay.url());
    receiver.types(&line(r#"{"type":"JOIN_ROOM""#).replace("a7f3k2", &code));
    receiver.shows("ROOM_JOINED");
    sender.shows("PEER_JOINED");
    receiver.types("hello, sender");
    assert_eq!(sender.shows("hello"), "hello, sender");
    sender.types("hello, receiver");
    assert_eq!(receiver.shows("hello,"), "hello, receiver");
}
