//! The clients of today are Python programs on the `websockets` library: one such exchange, whole.
//!
//! `RELAY_TEST_PYTHON` names the interpreter (default `python3`). Where it has no `websockets` and
//! `cryptography` these tests are skipped, unless `RELAY_TEST_ALL=1` says that none may be.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    env,
    process::{Command, Output},
    time::Duration,
};

use relay_testing::{TestRelay, reply, skip};

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
