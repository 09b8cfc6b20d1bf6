//! A relay that has started anew opens a room again that its sender takes up.

use nix::sys::signal::Signal;
use relay_testing::{
    Client,
    process::{Relay, Start},
    text,
};
use tempfile::TempDir;

fn start(folder: &TempDir) -> Start {
    Start::new().env("RELAY_STATE_DIR", folder.path().display())
}

/// The relay, started anew where it was.
async fn restarted(folder: &TempDir, mut old: Relay, signal: Signal) -> Relay {
    let addr = old.addr();
    old.signal(signal);
    old.ended().await;
    start(folder).env("RELAY_PORT", addr.port()).run_at(addr)
}

#[tokio::test]
async fn a_room_outlives_its_relay_however_that_ends() {
    let folder = TempDir::new().unwrap();
    let mut relay = start(&folder).run();
    let mut sender = Client::at(relay.addr()).await;
    let mut ticket = sender.create_lasting_room().await;
    for signal in [Signal::SIGTERM, Signal::SIGKILL, Signal::SIGTERM] {
        relay = restarted(&folder, relay, signal).await;
        let mut receiver = Client::at(relay.addr()).await;
        // It is open once its sender is there.
        assert_eq!(receiver.try_code(&ticket.code).await, "room_not_found");
        let mut again = Client::at(relay.addr()).await;
        ticket = again.take_up(&ticket).await;
        receiver.join(&ticket.code).await;
        again.expect_peer().await;
        again.send("hello").await;
        receiver.expect(text("hello")).await;
    }
}

#[tokio::test]
async fn several_workers_find_it_too() {
    let folder = TempDir::new().unwrap();
    let mut relay = start(&folder).env("RELAY_WORKERS", 3).run();
    let mut tickets = Vec::new();
    for _ in 0..12 {
        let mut sender = Client::at(relay.addr()).await;
        tickets.push(sender.create_lasting_room().await);
    }
    let addr = relay.addr();
    relay.stop().await;
    let again = start(&folder).env("RELAY_WORKERS", 3);
    let relay = again.env("RELAY_PORT", addr.port()).run_at(addr);
    for ticket in tickets {
        let mut sender = Client::at(relay.addr()).await;
        sender.take_up(&ticket).await;
        let mut receiver = Client::at(relay.addr()).await;
        receiver.join(&ticket.code).await;
        sender.expect_peer().await;
    }
}

#[tokio::test]
async fn without_a_state_directory_a_token_dies_with_its_relay() {
    let mut relay = Start::new().run();
    let mut sender = Client::at(relay.addr()).await;
    let ticket = sender.create_lasting_room().await;
    let addr = relay.addr();
    relay.stop().await;
    let relay = Start::new().env("RELAY_PORT", addr.port()).run_at(addr);
    let mut again = Client::at(relay.addr()).await;
    assert_eq!(again.try_request(ticket.request()).await, "room_not_found");
}

#[tokio::test]
async fn a_code_of_before_is_not_given_out_anew() {
    // With the shortest codes and a sixteenth of them for each start, a tenth of these would meet.
    const ROOMS: usize = 300;
    let folder = TempDir::new().unwrap();
    let mut before = std::collections::HashSet::new();
    for _ in 0..3 {
        let mut relay = start(&folder).env("RELAY_ROOM_CODE_LENGTH", 4).run();
        let mut senders = Vec::new();
        for _ in 0..ROOMS {
            let mut sender = Client::at(relay.addr()).await;
            let ticket = sender.create_lasting_room().await;
            assert!(before.insert(ticket.code), "a code is given out twice");
            senders.push(sender);
        }
        relay.stop().await;
    }
}
