//! The blind pipe: every message arrives whole, once, in order and of its kind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use claude_distill_relay::flow::reader::MOST_FRAGMENTS;
use rand::{RngExt, rngs::StdRng};
use relay_testing::{
    Client, Frame, TestRelay, frame, noise, pair, prose, raw_pair, seeded, text, wire,
};
use tokio_tungstenite::tungstenite::Message;

const MIB: usize = 1 << 20;

/// A message of some kind and size up to `limit`.
fn any_message(rng: &mut StdRng, limit: usize) -> Message {
    // Sizes of all magnitudes: mostly small ones, and each limit of the frame format now and then.
    let length = match rng.random_range(0..4) {
        0 => rng.random_range(0..200),
        1 => rng.random_range(0..5_000),
        2 => [0, 125, 126, 127, 65_535, 65_536][rng.random_range(0..6)],
        _ => rng.random_range(0..limit),
    };
    if rng.random_bool(0.5) {
        text(prose(rng, length))
    } else {
        Message::binary(noise(rng, length))
    }
}

/// Where to cut a message into up to seven frames, empty ones among them.
fn any_pieces(rng: &mut StdRng, length: usize) -> Vec<usize> {
    (0..rng.random_range(0..7))
        .map(|_| rng.random_range(0..=length / 2))
        .collect()
}

async fn send_all(client: &mut Client, messages: &[Message], rng: &mut StdRng) {
    for message in messages {
        client
            .send_in_pieces(message, &any_pieces(rng, message.len()))
            .await;
    }
}

async fn expect_all(client: &mut Client, messages: &[Message]) {
    for message in messages {
        client.expect(message.clone()).await;
    }
}

#[tokio::test]
async fn messages_of_any_size_and_fragmentation_pass_from_sender_to_receiver() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = pair(&relay).await;
    let mut rng = seeded(1);
    let messages: Vec<_> = (0..150).map(|_| any_message(&mut rng, 300 << 10)).collect();
    tokio::join!(
        send_all(&mut sender, &messages, &mut rng),
        expect_all(&mut receiver, &messages),
    );
    sender.expect_silence().await;
    relay
        .until("nothing to be held", |now| {
            now.in_flight == 0 && now.buffered == 0
        })
        .await;
}

#[tokio::test]
async fn messages_of_any_size_and_fragmentation_pass_from_receiver_to_sender() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = pair(&relay).await;
    let mut rng = seeded(2);
    let messages: Vec<_> = (0..150).map(|_| any_message(&mut rng, 300 << 10)).collect();
    tokio::join!(
        send_all(&mut receiver, &messages, &mut rng),
        expect_all(&mut sender, &messages),
    );
    receiver.expect_silence().await;
    relay
        .until("nothing to be held", |now| {
            now.in_flight == 0 && now.buffered == 0
        })
        .await;
}

#[tokio::test]
async fn both_ways_at_once_neither_waits_for_the_other() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = pair(&relay).await;
    let mut rng = seeded(3);
    let mut messages = || -> Vec<_> {
        (0..8)
            .map(|_| Message::binary(noise(&mut rng, 2 * MIB)))
            .collect()
    };
    let (down, up) = (messages(), messages());
    tokio::join!(sender.exchange(&down, &up), receiver.exchange(&up, &down));
}

#[tokio::test]
async fn a_ping_pong_of_short_messages_keeps_its_turns() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = pair(&relay).await;
    for turn in 0..300 {
        sender.send(format!("{turn}?")).await;
        receiver.expect(text(format!("{turn}?"))).await;
        receiver.send(format!("{turn}!")).await;
        sender.expect(text(format!("{turn}!"))).await;
    }
}

#[tokio::test]
async fn every_length_where_the_format_or_the_relay_changes_its_ways_is_passed() {
    let window = claude_distill_relay::config::Config::default().window;
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = pair(&relay).await;
    let mut rng = seeded(4);
    for edge in [
        0,
        125,
        4096,
        16 << 10,
        32 << 10,
        64 << 10,
        window,
        2 * window,
        MIB,
    ] {
        for length in [edge.saturating_sub(1), edge, edge + 1] {
            let bytes = Message::binary(noise(&mut rng, length));
            let prose = text(prose(&mut rng, length));
            let messages = [bytes, prose];
            let mut whole = seeded(length as u64);
            tokio::join!(
                send_all(&mut sender, &messages, &mut whole),
                expect_all(&mut receiver, &messages),
            );
            tokio::join!(
                send_all(&mut receiver, &messages, &mut whole),
                expect_all(&mut sender, &messages),
            );
        }
    }
}

#[tokio::test]
async fn empty_messages_are_messages() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = pair(&relay).await;
    let empty = [
        text(""),
        Message::binary(vec![]),
        Message::binary(vec![]),
        text(""),
    ];
    for message in &empty {
        sender.send(message.clone()).await;
        receiver.send(message.clone()).await;
        sender.send_in_pieces(message, &[0, 0, 0]).await;
        receiver.send_in_pieces(message, &[0, 0, 0]).await;
    }
    for message in &empty {
        for _ in 0..2 {
            receiver.expect(message.clone()).await;
            sender.expect(message.clone()).await;
        }
    }
}

#[tokio::test]
async fn a_long_frame_goes_out_as_it_comes_in() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = raw_pair(&relay).await;
    let payload = noise(&mut seeded(5), 4 * MIB);
    let bytes = frame(wire::BINARY, payload.clone()).encode();
    let header = bytes.len() - payload.len();
    // What comes in little pieces waits for more, but for the first.
    let waiting = payload.len() / MOST_FRAGMENTS as usize;
    let (mut sent, mut arrived) = (0, 0);
    for upto in [1000, 100_000, MIB, 4 * MIB] {
        sender
            .write(&bytes[header * usize::from(sent > 0) + sent..header + upto])
            .await;
        sent = upto;
        let least = if sent < payload.len() {
            sent - waiting.min(sent - 1)
        } else {
            sent
        };
        let more = receiver
            .data(least - arrived, "what was sent of an unfinished frame")
            .await;
        assert!(more == payload[arrived..least], "other bytes up to {least}");
        arrived = least;
    }
    receiver.expect_end_of_message().await;
    receiver.expect_silence().await;
}

#[tokio::test]
async fn the_fragments_of_a_message_go_out_as_they_come_in() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = raw_pair(&relay).await;
    sender.send(frame(wire::TEXT, "one ").more()).await;
    assert_eq!(receiver.data(4, "the first fragment").await, "one ");
    sender.send(frame(wire::CONTINUATION, "two ").more()).await;
    assert_eq!(receiver.data(4, "the second fragment").await, "two ");
    sender.send(frame(wire::CONTINUATION, "three")).await;
    assert_eq!(receiver.data(5, "the last fragment").await, "three");
    receiver.expect_end_of_message().await;
}

#[tokio::test]
async fn a_receivers_message_reaches_the_sender_only_whole() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = raw_pair(&relay).await;
    let last = frame(wire::CONTINUATION, [b'c'; 70_000]).encode();
    receiver
        .send(frame(wire::TEXT, [b'a'; 70_000]).more())
        .await;
    receiver.round_trip().await;
    sender.expect_silence().await;
    receiver
        .send(frame(wire::CONTINUATION, [b'b'; 70_000]).more())
        .await;
    receiver.round_trip().await;
    sender.expect_silence().await;
    receiver.write(&last[..last.len() - 1]).await;
    relay
        .until("all but one byte to be read", |now| {
            now.buffered + now.in_flight >= 209_000
        })
        .await;
    sender.expect_silence().await;
    receiver.write(&last[last.len() - 1..]).await;
    let all = [[b'a'; 70_000], [b'b'; 70_000], [b'c'; 70_000]].concat();
    assert!(sender.data(210_000, "the message").await == all);
    sender.expect_end_of_message().await;
}

#[tokio::test]
async fn the_relay_does_not_hold_back_the_sender_for_a_receivers_half_message() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = raw_pair(&relay).await;
    receiver.send(frame(wire::TEXT, "half of a ").more()).await;
    receiver.round_trip().await;
    sender.send(frame(wire::BINARY, [1; 1000])).await;
    assert_eq!(receiver.data(1000, "a message").await, [1; 1000][..]);
    receiver.send(frame(wire::CONTINUATION, "message")).await;
    let whole = Frame {
        fin: true,
        opcode: wire::TEXT,
        payload: "half of a message".into(),
    };
    assert_eq!(sender.next("a message").await, whole);
}

#[tokio::test]
async fn pings_and_pongs_are_answered_and_not_forwarded() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = raw_pair(&relay).await;
    for payload in ["", "mine", &"x".repeat(125)] {
        sender.send(frame(wire::PONG, payload)).await;
        receiver.send(frame(wire::PONG, payload)).await;
        sender.round_trip().await;
        receiver.round_trip().await;
    }
    sender.send(frame(wire::TEXT, "data")).await;
    receiver.send(frame(wire::TEXT, "data")).await;
    let data = Frame {
        fin: true,
        opcode: wire::TEXT,
        payload: "data".into(),
    };
    assert_eq!(receiver.next("data").await, data);
    assert_eq!(sender.next("data").await, data);
}

#[tokio::test]
async fn a_receivers_whole_message_passes_an_unfinished_one_of_the_sender() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = raw_pair(&relay).await;
    sender.send(frame(wire::TEXT, "first half, ").more()).await;
    assert_eq!(receiver.data(12, "a first half").await, "first half, ");
    receiver.send(frame(wire::TEXT, "meanwhile")).await;
    assert_eq!(sender.next("a message").await.payload, "meanwhile");
    sender.send(frame(wire::CONTINUATION, "second half")).await;
    assert_eq!(receiver.data(11, "a second half").await, "second half");
}
