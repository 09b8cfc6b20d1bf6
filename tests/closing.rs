//! The closing handshake, from either side.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use relay_testing::{
    Raw, TestRelay, frame, raw_pair, raw_receiver_pair, raw_sender_pair,
    wire::{self, BINARY, CLOSE, CONTINUATION, PING, TEXT},
};

/// The payload of the relay's Close; after it the relay ends the connection.
async fn answer(client: &mut Raw) -> Vec<u8> {
    let frame = client.next("the answer to a close").await;
    assert_eq!(frame.opcode, CLOSE, "{frame:?}");
    client.expect_end().await;
    frame.payload.to_vec()
}

#[tokio::test]
async fn a_close_is_answered_with_its_code_and_the_connection_ended() {
    let relay = TestRelay::start(|_| {});
    let codes = [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000,
        4999,
    ];
    for code in codes {
        println!("{code}");
        let mut client = Raw::connect(&relay).await;
        client.send(wire::close(code, "")).await;
        assert_eq!(answer(&mut client).await[..2], code.to_be_bytes());
        let mut sender = Raw::connect(&relay).await;
        sender.create_room().await;
        sender
            .send(wire::close(code, "a reason of some length é"))
            .await;
        assert_eq!(answer(&mut sender).await[..2], code.to_be_bytes());
    }
    relay.settled().await;
}

#[tokio::test]
async fn a_close_without_a_code_is_answered() {
    let relay = TestRelay::start(|_| {});
    let mut client = Raw::connect(&relay).await;
    client.send(frame(CLOSE, "")).await;
    let payload = answer(&mut client).await;
    assert!(
        payload.is_empty() || payload[..2] == 1000_u16.to_be_bytes(),
        "{payload:?}"
    );
}

#[tokio::test]
async fn a_close_may_have_the_longest_reason() {
    let relay = TestRelay::start(|_| {});
    let mut client = Raw::connect(&relay).await;
    client.send(wire::close(4000, "é".repeat(61) + "!")).await;
    assert_eq!(answer(&mut client).await[..2], 4000_u16.to_be_bytes());
}

#[tokio::test]
async fn a_reason_that_is_not_utf8_is_answered_with_1007() {
    let relay = TestRelay::start(|_| {});
    for reason in [&b"\xff"[..], b"cut off \xc3", b"\xed\xa0\x80"] {
        let mut client = Raw::connect(&relay).await;
        client.send(wire::close(1000, reason)).await;
        client.expect_close(1007).await;
    }
}

#[tokio::test]
async fn what_follows_a_close_is_ignored() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = raw_sender_pair(&relay).await;
    let after = [
        frame(TEXT, "after"),
        frame(PING, "after"),
        wire::close(1001, "again"),
    ];
    let frames = [&[frame(TEXT, "before"), wire::close(1000, "")], &after[..]].concat();
    sender.send_together(&frames).await;
    assert_eq!(answer(&mut sender).await[..2], 1000_u16.to_be_bytes());
    receiver.expect("before").await;
    assert_eq!(receiver.expect_close(1001).await, "sender_disconnected");
}

#[tokio::test]
async fn a_sender_may_close_in_the_middle_of_a_message() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = raw_pair(&relay).await;
    sender.send(frame(BINARY, "begun").more()).await;
    sender.send(wire::close(1000, "")).await;
    assert_eq!(answer(&mut sender).await[..2], 1000_u16.to_be_bytes());
    assert_eq!(receiver.data(5, "the beginning").await, "begun");
    receiver.expect_close(1001).await;
}

#[tokio::test]
async fn a_receiver_may_close_in_the_middle_of_a_message() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = raw_pair(&relay).await;
    receiver.send(frame(BINARY, "begun").more()).await;
    receiver.send(frame(CONTINUATION, "not ended").more()).await;
    receiver.send(wire::close(1000, "")).await;
    assert_eq!(answer(&mut receiver).await[..2], 1000_u16.to_be_bytes());
    sender.expect_peer_gone().await;
}

#[tokio::test]
async fn a_peers_close_code_and_reason_are_its_own_affair() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = raw_sender_pair(&relay).await;
    sender.send(wire::close(4321, "a private reason")).await;
    assert_eq!(receiver.expect_close(1001).await, "sender_disconnected");
}

#[tokio::test]
async fn a_client_that_does_not_answer_a_close_is_let_go_all_the_same() {
    let relay = TestRelay::start(|_| {});
    let (sender, mut receiver) = raw_receiver_pair(&relay).await;
    sender.close().await;
    let close = receiver.next("the end of its sender").await;
    assert_eq!(close.opcode, CLOSE);
    receiver.expect_end().await; // Though nothing was answered.
    relay.settled().await;
}

#[tokio::test]
async fn a_queued_receiver_that_leaves_with_its_window_full_leaves_its_place() {
    let relay = TestRelay::start(|config| {
        config.ping_interval = Duration::from_millis(500);
        config.ping_timeout = Duration::from_secs(60);
        config.stall_timeout = Duration::from_secs(1);
    });
    let mut sender = Raw::connect(&relay).await;
    let code = sender.create_room().await;
    let (mut paired, mut queued) = (Raw::connect(&relay).await, Raw::connect(&relay).await);
    paired.join(&code).await;
    sender.expect_peer().await;
    queued.join(&code).await;
    // So much that the relay does not read the close behind it.
    let message = frame(BINARY, vec![7; 220_000]);
    queued
        .send_together(&[message, wire::close(1000, "")])
        .await;
    queued.vanish();
    relay
        .until("its place to be free", |now| now.sessions == 2)
        .await;
    // Nobody hears of it: it was not its turn.
    paired.vanish();
    sender.expect_peer_gone().await;
    let barrier = sender.expect_ping().await;
    sender.pong(&barrier).await;
    sender.expect_silence().await;
}

#[tokio::test]
async fn a_client_that_goes_on_sending_after_the_relays_close_disturbs_nobody() {
    let relay = TestRelay::start(|_| {});
    let (sender, mut receiver) = raw_receiver_pair(&relay).await;
    sender.close().await;
    assert_eq!(receiver.next("the end of its sender").await.opcode, CLOSE);
    receiver.send(frame(TEXT, "to nobody")).await;
    receiver.send(wire::close(1000, "")).await;
    receiver.expect_end().await;
    relay.settled().await;
}
