//! What clients made of the relay's memory is the system's again when they are gone.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use relay_testing::{
    Raw, frame,
    process::{Growth, Relay},
    skip::size,
    wire::BINARY,
};
use tokio::{io::AsyncWriteExt, task::JoinSet, time::sleep};

const MIB: usize = 1024 * 1024;
/// How soon, after the last client, and up to how much.
const REST: Duration = Duration::from_secs(10);
const LEFT: usize = 12 * MIB;
/// How often to look at what tells of no change by itself.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

async fn start(workers: u64) -> Relay {
    let relay = Relay::start(&[
        ("RELAY_WORKERS", workers),
        // With room for what fragments cost beside themselves.
        ("RELAY_MAX_BUFFERED", 300 * MIB as u64),
        ("RELAY_STALL_TIMEOUT", 3600),
        ("RELAY_PING_INTERVAL", 3600),
        ("RELAY_REQUEST_TIMEOUT", 3600),
    ]);
    // Each page of the program that this takes is needed once.
    for _ in 0..4 {
        let (mut sender, mut receiver) = relay.pair().await;
        receiver.send(frame(BINARY, vec![7; MIB])).await;
        sender.data(MIB, "a message").await;
    }
    relay.until("relay_sessions", |now| now == 0).await;
    relay
}

/// All memory but a little is given back, after so much was in use.
async fn given_back(relay: &Relay, memory: Growth<'_>, used: usize) {
    assert!(
        memory.peak() > used,
        "only {} KiB were used",
        memory.peak() / 1024
    );
    relay.until("relay_sessions", |now| now == 0).await;
    let began = Instant::now();
    while memory.now() > LEFT {
        let (left, took) = (memory.now() / 1024, began.elapsed());
        assert!(took < REST, "{left} KiB are left after {took:?}");
        sleep(LOOK_AGAIN).await;
    }
    let (left, took) = (memory.now() / 1024, began.elapsed());
    println!(
        "{} KiB, then {left} KiB after {took:?}",
        memory.peak() / 1024
    );
}

/// Writes as much as is taken, for as long as the connection lasts.
async fn push(mut from: Raw, frame: Vec<u8>) {
    while from.writer().write_all(&frame).await.is_ok() {}
}

#[tokio::test]
async fn long_messages_of_receivers() {
    let (receivers, long) = (size(8, 25), size(5, 10) * MIB);
    for &workers in size(&[2][..], &[1, 2]) {
        let relay = start(workers).await;
        let memory = relay.watch_memory();
        let (mut pushing, mut senders) = (JoinSet::new(), Vec::new());
        for _ in 0..receivers {
            let (sender, receiver) = relay.pair().await;
            pushing.spawn(async move {
                let mut receiver = receiver;
                receiver.send(frame(BINARY, vec![7; long])).await;
                receiver
            });
            senders.push(sender);
        }
        let all = (receivers * long) as u64;
        relay
            .until("relay_received_bytes_total", |now| now > all)
            .await;
        let all = pushing.join_all().await;
        drop((senders, all));
        given_back(&relay, memory, receivers * long / 2).await;
    }
}

#[tokio::test]
async fn windows_of_senders() {
    let pairs = size(150, 400);
    for &workers in size(&[2][..], &[1, 2]) {
        let relay = start(workers).await;
        let memory = relay.watch_memory();
        let (mut pushing, mut stalled) = (JoinSet::new(), Vec::new());
        for index in 0..pairs {
            let (sender, receiver) = relay.pair().await;
            // Of many sizes, as they come.
            pushing.spawn(push(
                sender,
                frame(BINARY, vec![7; 100 << (index % 12)]).encode(),
            ));
            stalled.push(receiver);
        }
        relay.until_still().await;
        pushing.shutdown().await;
        drop(stalled);
        given_back(&relay, memory, pairs * 150 * 1024).await;
    }
}

#[tokio::test]
async fn sessions_at_rest() {
    const SESSIONS: usize = 8000;
    let relay = start(1).await;
    let memory = relay.watch_memory();
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        sessions.push(relay.connect().await);
    }
    drop(sessions);
    given_back(&relay, memory, SESSIONS * 1536).await;
}
