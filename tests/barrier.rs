//! Data meant for one receiver never reaches the next: the Ping between two receivers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use bytes::Bytes;
use relay_testing::{Client, Raw, TestRelay, frame, wire};

/// A sender whose receiver has just left, with the barrier's Ping unanswered, and the one who is
/// next in the queue.
async fn between_two_receivers(relay: &TestRelay) -> (Raw, Client, Bytes) {
    let mut sender = Raw::connect(relay).await;
    let code = sender.create_room().await;
    let mut first = Client::connect(relay).await;
    first.join(&code).await;
    sender.expect_peer().await;
    let mut next = Client::connect(relay).await;
    next.join(&code).await;
    first.close().await;
    sender.expect_peer_gone().await;
    let barrier = sender.expect_ping().await;
    (sender, next, barrier)
}

#[tokio::test]
async fn the_next_receiver_is_paired_at_the_pong_and_gets_only_what_follows() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut next, barrier) = between_two_receivers(&relay).await;
    sender.send(frame(wire::TEXT, "for the first")).await;
    sender.send(frame(wire::BINARY, [1; 300_000])).await;
    sender.expect_silence().await; // No PEER_JOINED yet, and no no_peer: the drop is silent.
    sender.pong(&barrier).await;
    sender.expect_peer().await;
    next.expect_silence().await;
    sender.send(frame(wire::TEXT, "for the next")).await;
    next.expect("for the next").await;
    relay
        .until("nothing to be held", |now| now.in_flight == 0)
        .await;
}

#[tokio::test]
async fn a_message_begun_before_the_barrier_is_dropped_to_its_end() {
    let relay = TestRelay::start(|_| {});
    let mut sender = Raw::connect(&relay).await;
    let code = sender.create_room().await;
    let mut first = Raw::connect(&relay).await;
    first.join(&code).await;
    sender.expect_peer().await;
    let mut next = Client::connect(&relay).await;
    next.join(&code).await;
    sender.send(frame(wire::TEXT, "fragment 1").more()).await;
    first.data(10, "the first fragment").await;
    first.vanish();
    sender.expect_peer_gone().await;
    let barrier = sender.expect_ping().await;
    sender
        .send(frame(wire::CONTINUATION, "fragment 2").more())
        .await;
    sender.pong(&barrier).await;
    sender
        .send(frame(wire::CONTINUATION, "fragment 3").more())
        .await;
    sender.expect_silence().await; // Nobody is paired in the middle of a message.
    sender.send(frame(wire::CONTINUATION, "fragment 4")).await;
    sender.expect_peer().await;
    sender.send(frame(wire::TEXT, "for the next")).await;
    next.expect("for the next").await;
}

#[tokio::test]
async fn a_message_begun_between_the_leave_and_the_pong_is_dropped_to_its_end() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut next, barrier) = between_two_receivers(&relay).await;
    // The Pong goes between two frames, then between two halves of one.
    sender.send(frame(wire::BINARY, "one").more()).await;
    sender.pong(&barrier).await;
    let last = frame(wire::CONTINUATION, [2; 1000]).encode();
    let (head, tail) = last.split_at(500);
    sender.write(head).await;
    sender.write(tail).await;
    sender.expect_peer().await;
    next.expect_silence().await;
    sender.send(frame(wire::BINARY, "two")).await;
    next.expect(b"two".to_vec()).await;
}

#[tokio::test]
async fn only_the_matching_pong_counts() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut next, barrier) = between_two_receivers(&relay).await;
    let mut longer = barrier.to_vec();
    longer.push(0);
    for wrong in [&b""[..], b"pong", &barrier[1..], &longer] {
        sender.send(frame(wire::PONG, wrong)).await;
        sender.send(frame(wire::TEXT, "for the first")).await;
        sender.expect_silence().await;
    }
    sender.pong(&barrier).await;
    sender.expect_peer().await;
    sender.send(frame(wire::TEXT, "for the next")).await;
    next.expect("for the next").await;
}

#[tokio::test]
async fn an_older_pong_does_not_count_and_the_latest_stands_for_all() {
    // RFC 6455, 5.5.3: who has several pings to answer may answer only the latest.
    let relay = TestRelay::start(|config| {
        config.ping_interval = Duration::from_millis(500);
        config.ping_timeout = Duration::from_secs(60);
    });
    let mut sender = Raw::connect(&relay).await;
    let code = sender.create_room().await;
    let mut first = Client::connect(&relay).await;
    first.join(&code).await;
    let mut next = Client::connect(&relay).await;
    next.join(&code).await;
    sender.expect_peer().await;
    let heartbeat = sender.expect_ping().await;
    first.close().await;
    sender.expect_peer_gone().await;
    let barrier = sender.expect_ping().await;
    assert_ne!(
        heartbeat, barrier,
        "a pong has to tell which ping it answers"
    );
    sender.pong(&heartbeat).await;
    sender.send(frame(wire::TEXT, "for the first")).await;
    sender.expect_silence().await;
    sender.pong(&barrier).await;
    sender.expect_peer().await;
    sender.send(frame(wire::TEXT, "for the next")).await;
    next.expect("for the next").await;
}

#[tokio::test]
async fn who_joins_before_the_pong_waits_for_it_too() {
    let relay = TestRelay::start(|_| {});
    let mut sender = Raw::connect(&relay).await;
    let code = sender.create_room().await;
    let mut first = Client::connect(&relay).await;
    first.join(&code).await;
    sender.expect_peer().await;
    first.close().await;
    sender.expect_peer_gone().await;
    let barrier = sender.expect_ping().await;
    let mut late = Client::connect(&relay).await;
    late.join(&code).await;
    late.send("HELLO").await;
    sender.send(frame(wire::TEXT, "for the first")).await;
    sender.expect_silence().await;
    sender.pong(&barrier).await;
    sender.expect_peer().await;
    assert_eq!(sender.next("the held data").await.payload, "HELLO");
    late.expect_silence().await;
}

#[tokio::test]
async fn data_after_the_pong_with_nobody_there_is_told_once_per_stretch() {
    let relay = TestRelay::start(|_| {});
    let mut sender = Raw::connect(&relay).await;
    let code = sender.create_room().await;
    for _ in 0..3 {
        sender.send(frame(wire::TEXT, "to nobody")).await;
        sender.expect_error("no_peer").await;
        sender.send(frame(wire::TEXT, "to nobody").more()).await;
        sender.send(frame(wire::CONTINUATION, "at all")).await;
        sender.send(frame(wire::BINARY, [0; 100_000])).await;
        sender.expect_silence().await;
        let mut receiver = Client::connect(&relay).await;
        receiver.join(&code).await;
        sender.expect_peer().await;
        receiver.expect_silence().await; // What came before is for nobody.
        receiver.close().await;
        sender.expect_peer_gone().await;
        let barrier = sender.expect_ping().await;
        sender.send(frame(wire::TEXT, "to the last one")).await;
        sender.pong(&barrier).await;
        sender.expect_silence().await;
    }
}

#[tokio::test]
async fn the_rest_of_a_message_for_nobody_is_for_nobody() {
    let relay = TestRelay::start(|_| {});
    let mut sender = Raw::connect(&relay).await;
    let code = sender.create_room().await;
    sender.send(frame(wire::TEXT, "to nobody").more()).await;
    sender.expect_error("no_peer").await;
    let mut receiver = Client::connect(&relay).await;
    receiver.join(&code).await;
    sender
        .send(frame(wire::CONTINUATION, "still to nobody"))
        .await;
    sender.expect_peer().await;
    sender.send(frame(wire::TEXT, "to somebody")).await;
    receiver.expect("to somebody").await;
}

#[tokio::test]
async fn a_receiver_that_leaves_the_queue_before_the_pong_is_not_paired() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, next, barrier) = between_two_receivers(&relay).await;
    next.close().await;
    relay
        .until("the sender to be alone", |now| now.sessions == 1)
        .await;
    sender.pong(&barrier).await;
    sender.expect_silence().await;
    sender.send(frame(wire::TEXT, "to nobody")).await;
    sender.expect_error("no_peer").await;
}

#[tokio::test]
async fn a_sender_that_never_answers_is_dropped_and_does_not_hold_the_queue() {
    let relay = TestRelay::start(|config| config.ping_timeout = Duration::from_millis(300));
    let (mut sender, mut next, _) = between_two_receivers(&relay).await;
    next.expect_close_after_error("sender_disconnected", 1001)
        .await;
    // The sender may be told or not: it is ended.
    while let Some(frame) = sender.next_or_end("the end of a silent sender").await {
        assert!(
            frame.opcode == wire::CLOSE || frame.opcode == wire::PING,
            "{frame:?}"
        );
    }
    relay.settled().await;
}

#[tokio::test]
async fn a_client_that_answers_pings_by_itself_needs_to_know_nothing_of_the_barrier() {
    let relay = TestRelay::start(|_| {});
    let mut sender = Client::connect(&relay).await;
    let code = sender.create_room().await;
    let mut receivers = Vec::new();
    for _ in 0..10 {
        let mut receiver = Client::connect(&relay).await;
        receiver.join(&code).await;
        receivers.push(receiver);
    }
    for mut receiver in receivers {
        let id = sender.expect_peer().await;
        sender.send(id.as_str()).await;
        receiver.expect(id.as_str()).await;
        // The sender goes on sending while the receiver goes away.
        tokio::join!(receiver.close(), async {
            for _ in 0..20 {
                sender.send(format!("for {id} alone")).await;
            }
        });
        sender.expect_peer_gone().await;
    }
}
