//! Who is in a room with whom: pairing, the queue, and what each hears when another leaves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use relay_testing::{
    Client, Frame, Raw, TestRelay, frame, pair, raw_pair, reply, text, wire, within,
};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn the_sender_hears_of_each_receiver_by_an_id_of_its_own() {
    let relay = TestRelay::start(|_| {});
    let mut sender = Client::connect(&relay).await;
    let code = sender.create_room().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let mut receiver = Client::connect(&relay).await;
        receiver.join(&code).await;
        let id = sender.expect_peer().await;
        receiver.close().await;
        assert_eq!(sender.expect_peer_gone().await, id);
        assert!(!ids.contains(&id), "an id was used again");
        ids.push(id);
    }
}

#[tokio::test]
async fn receivers_are_served_first_come_first_served() {
    let relay = TestRelay::start(|_| {});
    let mut sender = Client::connect(&relay).await;
    let code = sender.create_room().await;
    let mut receivers = Vec::new();
    for _ in 0..5 {
        let mut receiver = Client::connect(&relay).await;
        receiver.join(&code).await; // Answered at once, whoever is being served.
        receivers.push(receiver);
    }
    for (turn, mut receiver) in receivers.into_iter().enumerate() {
        let id = sender.expect_peer().await;
        sender.expect_silence().await;
        sender.send(format!("turn {turn}")).await;
        receiver.expect(text(format!("turn {turn}"))).await;
        receiver.send(format!("thanks for {turn}")).await;
        sender.expect(text(format!("thanks for {turn}"))).await;
        receiver.close().await;
        assert_eq!(sender.expect_peer_gone().await, id);
    }
    sender.expect_silence().await;
}

#[tokio::test]
async fn a_full_queue_refuses_and_a_place_that_comes_free_can_be_taken() {
    let relay = TestRelay::start(|config| config.max_queue = 2);
    let mut sender = Client::connect(&relay).await;
    let code = sender.create_room().await;
    let mut receivers = Vec::new();
    for _ in 0..3 {
        let mut receiver = Client::connect(&relay).await;
        receiver.join(&code).await; // The first is paired: it takes no place in the queue.
        receivers.push(receiver);
    }
    sender.expect_peer().await;
    let mut late = Client::connect(&relay).await;
    for _ in 0..2 {
        late.send(reply::join(&code)).await;
        late.expect_error("room_full").await;
    }
    receivers.remove(0).close().await;
    sender.expect_peer_gone().await;
    sender.expect_peer().await;
    late.join(&code).await;
}

#[tokio::test]
async fn a_queued_receiver_that_leaves_just_leaves_the_queue() {
    let relay = TestRelay::start(|config| config.max_queue = 3);
    let mut sender = Client::connect(&relay).await;
    let code = sender.create_room().await;
    let mut queue = Vec::new();
    for _ in 0..4 {
        let mut receiver = Client::connect(&relay).await;
        receiver.join(&code).await;
        queue.push(receiver);
    }
    sender.expect_peer().await;
    queue.remove(2).vanish();
    queue.remove(1).close().await;
    relay.until("two to be gone", |now| now.sessions == 3).await;
    sender.expect_silence().await;
    // Their places are free again.
    for _ in 0..2 {
        let mut receiver = Client::connect(&relay).await;
        receiver.join(&code).await;
        queue.push(receiver);
    }
    for (turn, mut receiver) in queue.into_iter().enumerate() {
        if turn > 0 {
            sender.expect_peer().await;
        }
        sender.send(format!("turn {turn}")).await;
        receiver.expect(text(format!("turn {turn}"))).await;
        receiver.close().await;
        sender.expect_peer_gone().await;
    }
}

#[tokio::test]
async fn what_a_queued_receiver_sends_is_delivered_right_after_its_pairing() {
    let relay = TestRelay::start(|_| {});
    let mut sender = Client::connect(&relay).await;
    let code = sender.create_room().await;
    let mut first = Client::connect(&relay).await;
    first.join(&code).await;
    sender.expect_peer().await;
    let mut second = Client::connect(&relay).await;
    second.join(&code).await;
    second.send("HELLO").await;
    second
        .send_in_pieces(&vec![7; 1000].into(), &[1, 500])
        .await;
    second.send("").await;
    second.round_trip().await;
    sender.expect_silence().await; // All of it is held as long as another is served.
    first.send("bye").await;
    first.close().await;
    sender.expect("bye").await;
    sender.expect_peer_gone().await;
    sender.expect_peer().await;
    sender.expect("HELLO").await;
    sender.expect(vec![7; 1000]).await;
    sender.expect("").await;
    sender.send("CHALLENGE").await;
    second.expect("CHALLENGE").await;
}

#[tokio::test]
async fn what_a_receiver_held_is_gone_with_it_when_it_leaves_the_queue() {
    let relay = TestRelay::start(|_| {});
    let mut sender = Client::connect(&relay).await;
    let code = sender.create_room().await;
    let mut receivers = Vec::new();
    for name in ["first", "second", "third"] {
        let mut receiver = Client::connect(&relay).await;
        receiver.join(&code).await;
        receiver.send(name).await;
        receiver.round_trip().await;
        receivers.push(receiver);
    }
    sender.expect_peer().await;
    sender.expect("first").await;
    receivers.remove(1).close().await;
    receivers.remove(0).close().await;
    sender.expect_peer_gone().await;
    sender.expect_peer().await;
    sender.expect("third").await;
}

#[tokio::test]
async fn a_sender_that_closes_is_heard_out_before_its_receiver_is_closed() {
    let relay = TestRelay::start(|_| {});
    let mut sender = Client::connect(&relay).await;
    let code = sender.create_room().await;
    let (mut paired, mut queued) = (Client::connect(&relay).await, Client::connect(&relay).await);
    paired.join(&code).await;
    queued.join(&code).await;
    sender.expect_peer().await;
    let last = vec![42; 3_000_000];
    let leaving = async {
        sender.send("first").await;
        sender.send(last.clone()).await;
        sender.close().await;
    };
    let reading = async {
        paired.expect("first").await;
        paired.expect(last.clone()).await;
        assert_eq!(paired.expect_close(1001).await, "sender_disconnected");
    };
    let waiting = async {
        queued
            .expect_close_after_error("sender_disconnected", 1001)
            .await;
    };
    tokio::join!(leaving, reading, waiting);
    relay.settled().await;
}

#[tokio::test]
async fn a_sender_that_vanishes_is_heard_out_as_well() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = pair(&relay).await;
    sender.send("first").await;
    sender.send(vec![42; 50_000]).await;
    sender.vanish();
    receiver.expect("first").await;
    receiver.expect(vec![42; 50_000]).await;
    assert_eq!(receiver.expect_close(1001).await, "sender_disconnected");
    relay.settled().await;
}

#[tokio::test]
async fn a_sender_that_dies_in_mid_message_leaves_a_stream_that_can_still_be_closed() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = raw_pair(&relay).await;
    sender
        .send(frame(wire::BINARY, [7; 5000]).claiming(1_000_000))
        .await;
    assert_eq!(receiver.data(5000, "the beginning").await, [7; 5000][..]);
    sender.vanish();
    // Were the receiver told of a frame of 1,000,000 bytes, the close would be read as its payload.
    receiver.expect_close(1001).await;
    relay.settled().await;
}

#[tokio::test]
async fn a_room_is_gone_with_its_sender_at_once() {
    let relay = TestRelay::start(|_| {});
    let mut sender = Client::connect(&relay).await;
    let code = sender.create_room().await;
    let mut paired = Client::connect(&relay).await;
    paired.join(&code).await;
    sender.expect_peer().await;
    sender.vanish();
    paired.expect_close(1001).await;
    let mut late = Client::connect(&relay).await;
    late.send(reply::join(&code)).await;
    late.expect_error("room_not_found").await;
}

#[tokio::test]
async fn what_a_receiver_sent_before_it_left_arrives_before_the_news_of_it() {
    let relay = TestRelay::start(|_| {});
    let mut sender = Client::connect(&relay).await;
    let code = sender.create_room().await;
    for size in [1, 1000, 200_000, 2_000_000] {
        let mut receiver = Client::connect(&relay).await;
        receiver.join(&code).await;
        sender.expect_peer().await;
        let leaving = async {
            receiver.send(vec![1; size]).await;
            receiver.send("ACK").await;
            receiver.close().await;
        };
        let hearing = async {
            sender.expect(vec![1; size]).await;
            sender.expect("ACK").await;
            sender.expect_peer_gone().await;
        };
        tokio::join!(leaving, hearing);
    }
}

#[tokio::test]
async fn a_receiver_that_dies_in_mid_message_leaves_nothing_half_said() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut dying) = raw_pair(&relay).await;
    dying.send(frame(wire::TEXT, "whole")).await;
    dying.send(frame(wire::TEXT, "half of ").more()).await;
    dying
        .send(frame(wire::CONTINUATION, vec![b'x'; 100_000]).more())
        .await;
    dying
        .send(frame(wire::CONTINUATION, "and not the").claiming(1000))
        .await;
    dying.vanish();
    let whole = Frame {
        fin: true,
        opcode: wire::TEXT,
        payload: "whole".into(),
    };
    assert_eq!(sender.next("a message").await, whole);
    sender.expect_peer_gone().await;
    let barrier = sender.expect_ping().await;
    sender.pong(&barrier).await;
    sender.expect_silence().await;
    relay
        .until("the half to be forgotten", |now| {
            now.buffered == 0 && now.in_flight == 0
        })
        .await;
}

#[tokio::test]
async fn a_receiver_that_resets_its_connection_leaves_like_any_other() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, receiver) = pair(&relay).await;
    receiver.reset();
    sender.expect_peer_gone().await;
    sender.expect_silence().await;
    sender.send("into the void").await;
    sender.expect_error("no_peer").await;
}

#[tokio::test]
async fn a_client_that_never_joined_is_none_of_the_rooms_business() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = pair(&relay).await;
    let mut stranger = Client::connect(&relay).await;
    stranger.send(reply::join("nobody")).await;
    stranger.expect_error("room_not_found").await;
    stranger.close().await;
    Raw::connect(&relay).await.vanish();
    sender.expect_silence().await;
    receiver.expect_silence().await;
}

#[tokio::test]
async fn rooms_do_not_hear_each_other() {
    let relay = TestRelay::start(|_| {});
    let mut pairs = Vec::new();
    for _ in 0..10 {
        pairs.push(pair(&relay).await);
    }
    for (room, (sender, receiver)) in pairs.iter_mut().enumerate() {
        sender.send(format!("to the receiver of {room}")).await;
        receiver.send(format!("to the sender of {room}")).await;
    }
    for (room, (sender, receiver)) in pairs.iter_mut().enumerate() {
        receiver
            .expect(text(format!("to the receiver of {room}")))
            .await;
        sender
            .expect(text(format!("to the sender of {room}")))
            .await;
        receiver.expect_silence().await;
        sender.expect_silence().await;
    }
}

#[tokio::test]
async fn a_receiver_that_asks_hears_of_its_place_in_the_queue() {
    let relay = TestRelay::start(|_| {});
    let mut sender = Client::connect(&relay).await;
    let code = sender.create_room().await;
    let ask = format!(r#"{{"type":"JOIN_ROOM","room_id":"{code}","queue_updates":true}}"#);
    let mut receivers = Vec::new();
    for place in 0..3 {
        let mut receiver = Client::connect(&relay).await;
        receiver.send(text(ask.clone())).await;
        let joined = receiver.next_json("ROOM_JOINED").await;
        assert_eq!(joined["type"], "ROOM_JOINED");
        let queued = receiver.next_json("QUEUED").await;
        assert_eq!(queued, json!({"type": "QUEUED", "position": place}));
        receivers.push(receiver);
    }
    sender.expect_peer().await;
    sender.send(text("for the first")).await;
    receivers[0].expect(text("for the first")).await;
    receivers.remove(0).close().await;
    sender.expect_peer_gone().await;
    sender.expect_peer().await;
    sender.send(text("for the second")).await;
    for (place, receiver) in receivers.iter_mut().enumerate() {
        let queued = receiver.next_json("QUEUED").await;
        assert_eq!(queued, json!({"type": "QUEUED", "position": place}));
    }
    receivers[0].expect(text("for the second")).await;
}

#[tokio::test]
async fn a_frozen_receiver_gives_way_to_those_who_wait() {
    // Half of it is what a receiver has to show a sign.
    let relay = TestRelay::start(|config| config.stall_timeout = Duration::from_secs(6));
    let mut sender = Client::connect(&relay).await;
    let code = sender.create_room().await;
    let mut frozen = Raw::connect_narrow(&relay).await;
    frozen.join(&code).await;
    sender.expect_peer().await;
    // More than its system takes, so that the sender is not read any further either; and the sender's
    // answer to the Ping that parts one receiver from the next stands behind it.
    let message = Message::binary(vec![0; 8 << 20]);
    let (mut sink, mut heard) = sender.into_inner().split();
    let sending = tokio::spawn(async move {
        sink.send(message).await.unwrap();
        sink
    });
    let mut next = Client::connect(&relay).await;
    next.join(&code).await;
    let mut told = Vec::new();
    while told.len() < 2 {
        let message = within("word of the next", heard.next()).await;
        if let Message::Text(text) = message.unwrap().unwrap() {
            told.push(text.to_string());
        }
    }
    assert!(told[0].contains("PEER_DISCONNECTED"), "{told:?}");
    assert!(told[1].contains("PEER_JOINED"), "{told:?}");
    // And not after a stall.
    let ended = r#"relay_sessions_ended_total{reason="gave_way"}"#;
    assert_eq!(relay.metrics().get(ended), 1);
    drop((sending.await.unwrap(), next, frozen));
}

#[tokio::test]
async fn a_receiver_that_answers_keeps_its_place_whoever_waits() {
    let relay = TestRelay::start(|config| config.stall_timeout = Duration::from_secs(2));
    let (mut sender, mut receiver, code) = {
        let mut sender = Client::connect(&relay).await;
        let code = sender.create_room().await;
        let mut receiver = Raw::connect(&relay).await;
        receiver.join(&code).await;
        sender.expect_peer().await;
        (sender, receiver, code)
    };
    let mut waiting = Client::connect(&relay).await;
    waiting.join(&code).await;
    // There is nothing to take, and it answers, for longer than it has to.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        let ping = receiver.expect_ping().await;
        receiver.pong(&ping).await;
    }
    sender.send(text("still there")).await;
    assert_eq!(&receiver.data(11, "a message").await[..], b"still there");
    let ended = r#"relay_sessions_ended_total{reason="gave_way"}"#;
    assert_eq!(relay.metrics().get(ended), 0);
}
