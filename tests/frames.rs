//! The rules of RFC 6455 for frames, kept against clients that break them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use relay_testing::{
    Client, Frame, Raw, TestRelay, frame, noise, raw_pair, raw_sender_pair, seeded, text,
    wire::{self, BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT},
};

/// Everything that fails a connection with 1002, by the rule it breaks.
fn violations() -> Vec<(String, Vec<u8>)> {
    let one = |rule: &str, frame: wire::Outgoing| (rule.to_owned(), frame.encode());
    let two = |rule: &str, first: wire::Outgoing, second: wire::Outgoing| {
        (rule.to_owned(), [first.encode(), second.encode()].concat())
    };
    let mut all = vec![
        one("unmasked text", frame(TEXT, "x").unmasked()),
        one("unmasked and empty", frame(BINARY, "").unmasked()),
        one("unmasked ping", frame(PING, "x").unmasked()),
        one("unmasked close", wire::close(1000, "").unmasked()),
        one("RSV on a ping", frame(PING, "").rsv(4)),
        one("RSV on a close", wire::close(1000, "").rsv(1)),
        two(
            "RSV on a continuation",
            frame(TEXT, "x").more(),
            frame(CONTINUATION, "").rsv(4),
        ),
        one("fragmented ping", frame(PING, "x").more()),
        one("fragmented pong", frame(PONG, "x").more()),
        one("fragmented close", wire::close(1000, "").more()),
        one("ping of 126 bytes", frame(PING, [0; 126])),
        one("pong of 126 bytes", frame(PONG, []).claiming(126)),
        one("close of 126 bytes", wire::close(1000, [b'x'; 124])),
        one("ping of 65536 bytes", frame(PING, []).claiming(65_536)),
        one("continuation of nothing", frame(CONTINUATION, "x")),
        one(
            "first continuation of nothing",
            frame(CONTINUATION, "x").more(),
        ),
        two(
            "continuation after the end",
            frame(TEXT, "x"),
            frame(CONTINUATION, "x"),
        ),
        two(
            "text within a message",
            frame(TEXT, "x").more(),
            frame(TEXT, "x"),
        ),
        two(
            "binary within a message",
            frame(TEXT, "x").more(),
            frame(BINARY, "x"),
        ),
        two(
            "a new message within one",
            frame(BINARY, "").more(),
            frame(BINARY, "").more(),
        ),
        one(
            "top bit of the length",
            frame(BINARY, "x").claiming(1 << 63),
        ),
        one(
            "all bits of the length",
            frame(BINARY, "x").claiming(u64::MAX),
        ),
        one("close of one byte", frame(CLOSE, [3])),
    ];
    for bits in [1, 2, 4, 7] {
        all.push(one(
            &format!("RSV bits {bits:03b}"),
            frame(TEXT, "x").rsv(bits),
        ));
    }
    for opcode in (3..=7).chain(11..=15) {
        all.push(one(&format!("opcode {opcode}"), frame(opcode, "")));
        all.push(one(
            &format!("opcode {opcode} in a fragment"),
            frame(opcode, "x").more(),
        ));
    }
    for code in [
        0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
    ] {
        all.push(one(&format!("close code {code}"), wire::close(code, "")));
    }
    all
}

#[tokio::test]
async fn a_sender_that_breaks_a_rule_is_closed_with_1002_and_leaves_like_any_other() {
    let relay = TestRelay::start(|_| {});
    for (rule, bytes) in violations() {
        println!("{rule}");
        let (mut sender, mut receiver) = raw_pair(&relay).await;
        sender.write(&bytes).await;
        sender.expect_close(1002).await;
        for frame in receiver.frames_until_sender_gone().await {
            assert!(frame.payload.iter().all(|byte| *byte == b'x'), "{frame:?}");
        }
    }
    relay.settled().await;
}

#[tokio::test]
async fn a_receiver_that_breaks_a_rule_is_closed_with_1002_and_leaves_like_any_other() {
    let relay = TestRelay::start(|_| {});
    let mut sender = Client::connect(&relay).await;
    let code = sender.create_room().await;
    for (rule, bytes) in violations() {
        println!("{rule}");
        let mut receiver = Raw::connect(&relay).await;
        receiver.join(&code).await;
        sender.expect_peer().await;
        receiver.send(frame(TEXT, "before")).await;
        receiver.write(&bytes).await;
        receiver.expect_close(1002).await;
        sender.expect("before").await;
        if rule == "continuation after the end" {
            sender.expect("x").await; // That one is a message before the rule is broken.
        }
        sender.expect_peer_gone().await;
    }
    sender.close().await;
    relay.settled().await;
}

#[tokio::test]
async fn a_client_that_breaks_a_rule_before_its_request_is_closed_with_1002() {
    let relay = TestRelay::start(|_| {});
    for (rule, bytes) in violations() {
        println!("{rule}");
        let mut client = Raw::connect(&relay).await;
        client.write(&bytes).await;
        if rule == "continuation after the end" {
            client.expect_error("invalid_request").await;
        }
        client.expect_close(1002).await;
    }
    relay.settled().await;
}

#[tokio::test]
async fn what_came_before_a_broken_rule_is_delivered() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = raw_sender_pair(&relay).await;
    let wrong = frame(TEXT, "never").rsv(4);
    sender
        .send_together(&[frame(TEXT, "one"), frame(BINARY, "two"), wrong])
        .await;
    receiver.expect("one").await;
    receiver.expect(b"two".to_vec()).await;
    assert_eq!(receiver.expect_close(1001).await, "sender_disconnected");
    sender.expect_close(1002).await;
}

#[tokio::test]
async fn a_ping_is_answered_with_its_payload() {
    let relay = TestRelay::start(|_| {});
    let mut client = Raw::connect(&relay).await;
    let mut rng = seeded(1);
    for length in [0, 1, 4, 64, 124, 125] {
        let payload = noise(&mut rng, length);
        client.send(frame(PING, payload.clone())).await;
        let pong = Frame {
            fin: true,
            opcode: PONG,
            payload: payload.into(),
        };
        assert_eq!(client.next("a pong").await, pong);
    }
}

#[tokio::test]
async fn many_pings_at_once_are_each_answered_in_their_order() {
    let relay = TestRelay::start(|_| {});
    let mut client = Raw::connect(&relay).await;
    let pings: Vec<_> = (0..1000)
        .map(|number| frame(PING, format!("{number}")))
        .collect();
    client.send_together(&pings).await;
    for number in 0..1000 {
        let frame = client.next("a pong").await;
        assert_eq!(
            (frame.opcode, frame.payload),
            (PONG, format!("{number}").into())
        );
    }
    client.create_room().await;
}

#[tokio::test]
async fn control_frames_may_come_between_fragments() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = raw_pair(&relay).await;
    let message = [
        frame(TEXT, "a").more(),
        frame(PING, "1"),
        frame(CONTINUATION, "b").more(),
        frame(PONG, "2"),
        frame(PING, "3"),
        frame(CONTINUATION, "c"),
    ];
    sender.send_together(&message).await;
    assert_eq!(receiver.data(3, "a message from the sender").await, "abc");
    receiver.expect_end_of_message().await;
    receiver.send_together(&message).await;
    assert_eq!(sender.next("a pong").await.payload, "1");
    assert_eq!(sender.next("a pong").await.payload, "3");
    assert_eq!(
        sender.next("a message from the receiver").await.payload,
        "abc"
    );
}

#[tokio::test]
async fn frames_may_arrive_byte_by_byte() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = raw_sender_pair(&relay).await;
    let long = "ü".repeat(100);
    let frames = [
        frame(TEXT, "first"),
        frame(TEXT, "").more(),
        frame(PING, "between"),
        frame(CONTINUATION, "second"),
        frame(BINARY, long.as_bytes()).more(),
        frame(CONTINUATION, []),
        frame(TEXT, long.as_str()),
    ];
    for byte in frames.iter().flat_map(wire::Outgoing::encode) {
        sender.write(&[byte]).await;
        tokio::task::yield_now().await;
    }
    receiver.expect("first").await;
    receiver.expect("second").await;
    receiver.expect(long.as_bytes().to_vec()).await;
    receiver.expect(text(long)).await;
    assert_eq!(sender.next("a pong").await.payload, "between");
}

#[tokio::test]
async fn a_header_may_be_cut_anywhere() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = raw_sender_pair(&relay).await;
    for length in [5, 300, 70_000] {
        let message = frame(BINARY, vec![b'm'; length]).encode();
        for cut in 1..message.len().min(15) {
            // The answer to the ping shows that all before the cut was read by itself.
            let ping = frame(PING, "before the cut").encode();
            sender.write(&[&ping, &message[..cut]].concat()).await;
            assert_eq!(sender.next("a pong").await.payload, "before the cut");
            sender.write(&message[cut..]).await;
            receiver.expect(vec![b'm'; length]).await;
        }
    }
}

#[tokio::test]
async fn more_idle_frames_than_any_library_sends_end_the_session() {
    let relay = TestRelay::start(|_| {});
    let begin = frame(TEXT, "").more();
    let empty = frame(CONTINUATION, "").more();
    for (first, idle) in [
        (frame(PONG, ""), frame(PONG, "never asked")),
        (frame(PING, ""), frame(PING, "x")),
        (begin, empty),
    ] {
        let mut client = Raw::connect(&relay).await;
        client.create_room().await;
        client.write(&first.encode()).await;
        client.write(&idle.encode().repeat(900)).await;
        client.write(&frame(PING, "last").encode()).await;
        while client.next("the last pong").await.payload != "last" {}
        // Those that are allowed meanwhile are far fewer.
        client.write(&idle.encode().repeat(5000)).await;
        loop {
            let frame = client.next("a close").await;
            if frame.opcode == CLOSE {
                assert_eq!(&frame.payload[..], b"\x03\xf0control_flood");
                break;
            }
            assert_eq!(frame.opcode, PONG, "{frame:?}");
        }
    }
    let ended = r#"relay_sessions_ended_total{reason="control_flood"}"#;
    assert_eq!(relay.metrics().get(ended), 3);
}
