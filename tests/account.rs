//! Every byte of payload is accounted for: what the relay has taken from clients is what it gave to
//! their peers, what it dropped, by why, and what it holds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use claude_distill_relay::flow::ledger::Dropped;
use relay_testing::{
    Raw, TestRelay, frame,
    http::UPGRADE,
    metrics::{Account, Metrics},
    raw_pair, reply,
    wire::{BINARY, CONTINUATION, TEXT},
    within,
};
use tokio::io::AsyncWriteExt;

#[test]
fn a_reason_to_drop_keeps_its_label() {
    let reasons = [
        "no_peer",
        "receiver_gone",
        "tail_of_message",
        "not_paired",
        "unfinished",
        "room_gone",
        "closing",
        "peer_gone",
    ];
    assert_eq!(Dropped::ALL.map(Dropped::name), reasons);
}

/// The account of a relay in which nothing moves.
async fn at_rest(relay: &TestRelay) -> Account {
    let resting = async {
        let mut last = Account::of(&relay.metrics());
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let now = Account::of(&relay.metrics());
            if now == last {
                return now;
            }
            last = now;
        }
    };
    within("a quiet moment", resting).await
}

#[tokio::test]
async fn what_reaches_its_peer_is_counted_as_the_clients_count_it() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = raw_pair(&relay).await;
    sender.send(frame(TEXT, "hello")).await;
    sender.send(frame(BINARY, vec![1; 70_000]).more()).await;
    sender.send(frame(CONTINUATION, vec![2; 30_000])).await;
    receiver.data(5, "a message").await;
    receiver.expect_end_of_message().await;
    receiver.data(100_000, "a message").await;
    receiver.expect_end_of_message().await;
    let small: Vec<_> = (0..100).map(|_| frame(TEXT, "abc")).collect();
    receiver.send_together(&small).await;
    // A message that comes cut is given to a sender whole.
    receiver.send(frame(BINARY, vec![3; 5000]).more()).await;
    receiver.send(frame(CONTINUATION, vec![4; 6001])).await;
    for _ in 0..100 {
        sender.data(3, "a message").await;
        sender.expect_end_of_message().await;
    }
    sender.data(11_001, "a message").await;
    let all = 5 + 100_000 + 300 + 11_001;
    let expected = Account {
        taken: all,
        given: all,
        dropped: Vec::new(),
        held: 0,
    };
    assert_eq!(Account::of(&relay.metrics()), expected);
}

#[tokio::test]
async fn what_goes_nowhere_is_counted_by_why() {
    let relay = TestRelay::start(|_| {});
    let mut sender = Raw::connect(&relay).await;
    let code = sender.create_room().await;
    sender.send(frame(TEXT, "to nobody").more()).await;
    sender.expect_error("no_peer").await;
    let mut first = Raw::connect(&relay).await;
    first.join(&code).await;
    sender.expect_peer().await;
    sender.send(frame(CONTINUATION, "tail")).await;
    let mut second = Raw::connect(&relay).await;
    second.join(&code).await;
    second.send(frame(TEXT, "before my turn")).await;
    second.round_trip().await;
    first.send(frame(TEXT, "half a mess").more()).await;
    first.round_trip().await;
    let waiting = Account::of(&relay.metrics());
    assert_eq!(waiting.held, 14 + 11, "for its turn, and for its rest");
    assert!(waiting.is_even(), "{waiting:?}");

    second.vanish();
    relay
        .until("the second one gone", |now| now.sessions == 2)
        .await;
    first.vanish();
    let ping = async {
        sender.expect_peer_gone().await;
        sender.send(frame(TEXT, "for who is gone")).await;
        let ping = sender.expect_ping().await;
        sender.pong(&ping).await;
        sender.round_trip().await;
    };
    within("the end of the first one", ping).await;

    let mut third = Raw::connect(&relay).await;
    third.join(&code).await;
    sender.expect_peer().await;
    sender.vanish();
    let frames = third.frames_until_sender_gone().await;
    assert!(frames.is_empty(), "{frames:?}");
    // It has been told to close, and talks on.
    third.send(frame(TEXT, "but wait!")).await;
    let closing = |now: &Metrics| now.get(r#"relay_dropped_bytes_total{reason="closing"}"#);
    let talking_on = async {
        while closing(&relay.metrics()) == 0 {
            tokio::task::yield_now().await;
        }
    };
    within("what comes behind our Close", talking_on).await;
    third.vanish();
    relay.settled().await;
    let dropped = vec![
        ("no_peer", 9),
        ("receiver_gone", 15),
        ("tail_of_message", 4),
        ("not_paired", 14),
        ("unfinished", 11),
        ("closing", 9),
    ];
    let expected = Account {
        taken: dropped.iter().map(|(_, bytes)| bytes).sum(),
        given: 0,
        dropped,
        held: 0,
    };
    assert_eq!(Account::of(&relay.metrics()), expected);
}

#[tokio::test]
async fn what_a_peer_does_not_take_is_held_until_it_goes() {
    const MESSAGE: usize = 1 << 20;
    let relay = TestRelay::start(|_| {});
    let mut sender = Raw::connect(&relay).await;
    let code = sender.create_room().await;
    let mut receiver = Raw::connect_narrow(&relay).await;
    receiver.join(&code).await;
    sender.expect_peer().await;
    let (reader, mut writer) = sender.split();
    let message = frame(BINARY, vec![0; MESSAGE]).encode();
    let pushing = tokio::spawn(async move { while writer.write_all(&message).await.is_ok() {} });
    // Its window fills, and no more is read.
    relay.until("a full window", |now| now.held > 150_000).await;
    let full = at_rest(&relay).await;
    assert!(full.held > 0 && full.dropped.is_empty(), "{full:?}");
    assert!(full.is_even(), "{full:?}");
    receiver.reset();
    relay.until("nothing held", |now| now.held == 0).await;
    drop(reader);
    pushing.abort();
    relay.settled().await;
    let after = Account::of(&relay.metrics());
    let peer_gone = after.dropped.iter().find(|(why, _)| *why == "peer_gone");
    assert!(peer_gone.is_some_and(|(_, bytes)| *bytes > 0), "{after:?}");
    assert!(after.is_even(), "{after:?}");
}

/// The metric is of the bytes on the wire; what a client sends with its handshake is among them.
#[tokio::test]
async fn what_comes_behind_the_handshake_in_one_piece_is_counted() {
    let relay = TestRelay::start(|_| {});
    let request = frame(TEXT, reply::CREATE).encode();
    let head = format!("{UPGRADE}\r\n");
    let mut client = Raw::dial(&relay).await;
    client.write(&[head.as_bytes(), &request].concat()).await;
    assert_eq!(client.response().await.status, 101);
    reply::created(&client.next_json("ROOM_CREATED").await);
    let metrics = relay.metrics();
    let received = metrics.get("relay_received_bytes_total");
    assert_eq!(received, request.len() as u64);
    let requests_are_none = Account {
        taken: 0,
        given: 0,
        dropped: Vec::new(),
        held: 0,
    };
    assert_eq!(Account::of(&metrics), requests_are_none);
}
