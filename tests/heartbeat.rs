//! Pings of the relay's own: who is idle is asked, who answers stays, who is silent is let go.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use relay_testing::{Client, Raw, TestRelay, frame, noise, seeded, skip::size, text, wire, within};
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message;

const INTERVAL: Duration = Duration::from_millis(500);
const TIMEOUT: Duration = Duration::from_millis(1500);

fn relay() -> TestRelay {
    TestRelay::start(|config| {
        config.ping_interval = INTERVAL;
        config.ping_timeout = TIMEOUT;
    })
}

/// Reads until the relay ends the connection: there is nothing to come but pings and a close.
async fn expect_drop(client: &mut Raw) {
    while let Some(frame) = client.next_or_end("a silent session to be dropped").await {
        assert!(
            matches!(frame.opcode, wire::PING | wire::CLOSE),
            "{frame:?}"
        );
    }
}

#[tokio::test]
async fn an_idle_session_that_answers_is_pinged_again_and_again() {
    let relay = relay();
    let mut sender = Raw::connect(&relay).await;
    let code = sender.create_room().await;
    let before = Instant::now();
    for _ in 0..6 {
        let ping = sender.expect_ping().await;
        sender.pong(&ping).await;
    }
    assert!(
        before.elapsed() >= 5 * INTERVAL,
        "six pings within {:?}",
        before.elapsed()
    );
    let mut receiver = Client::connect(&relay).await;
    receiver.join(&code).await;
    sender.expect_peer().await;
}

#[tokio::test]
async fn a_client_that_has_not_asked_for_anything_is_pinged_too() {
    let relay = relay();
    let mut client = Raw::connect(&relay).await;
    for _ in 0..3 {
        let ping = client.expect_ping().await;
        client.pong(&ping).await;
    }
    client.create_room().await;
}

#[tokio::test]
async fn a_sender_that_does_not_answer_is_dropped_and_its_room_with_it() {
    let relay = relay();
    let before = Instant::now();
    let mut sender = Raw::connect(&relay).await;
    let code = sender.create_room().await;
    let mut receiver = Client::connect(&relay).await;
    receiver.join(&code).await;
    sender.expect_peer().await;
    sender.expect_ping().await;
    assert_eq!(receiver.expect_close(1001).await, "sender_disconnected");
    assert!(
        before.elapsed() >= INTERVAL + TIMEOUT,
        "dropped after {:?}",
        before.elapsed()
    );
    expect_drop(&mut sender).await;
    relay.settled().await;
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_is_dropped_and_the_next_one_served() {
    let relay = relay();
    let mut sender = Client::connect(&relay).await;
    let code = sender.create_room().await;
    let mut silent = Raw::connect(&relay).await;
    silent.join(&code).await;
    sender.expect_peer().await;
    let mut next = Raw::connect(&relay).await;
    next.join(&code).await;
    let answering = async {
        loop {
            let ping = next.expect_ping().await;
            next.pong(&ping).await;
        }
    };
    let dropping = async {
        tokio::join!(expect_drop(&mut silent), async {
            sender.expect_peer_gone().await;
            sender.expect_peer().await;
        });
    };
    tokio::select! {
        () = answering => {}
        () = dropping => {}
    }
    sender.send("for the next").await;
    assert_eq!(next.next_but_pings("data").await.payload, "for the next");
}

#[tokio::test]
async fn unsolicited_pongs_do_no_harm() {
    let relay = relay();
    let mut client = Raw::connect(&relay).await;
    client.create_room().await;
    for _ in 0..3 {
        let ping = client.expect_ping().await;
        client.send(frame(wire::PONG, "unsolicited")).await;
        client.pong(&ping).await;
        client.send(frame(wire::PONG, "")).await;
    }
    client.expect_silence().await;
}

#[tokio::test]
async fn who_talks_but_never_answers_is_dropped() {
    let relay = relay();
    let mut sender = Raw::connect(&relay).await;
    sender.create_room().await;
    let talk = [
        frame(wire::PONG, "unsolicited"),
        frame(wire::TEXT, "to nobody"),
    ];
    let talk: Vec<u8> = talk.iter().flat_map(wire::Outgoing::encode).collect();
    let talking = async {
        while sender.writer().write_all(&talk).await.is_ok() {
            tokio::time::sleep(INTERVAL / 10).await;
        }
    };
    within("it to be dropped", talking).await;
    relay.settled().await;
}

#[tokio::test]
async fn a_pong_behind_a_long_message_is_waited_for() {
    const PIECE: usize = 1000;
    let relay = relay();
    let mut sender = Raw::connect(&relay).await;
    sender.create_room().await;
    let pieces = size(24, 48);
    let message = frame(wire::BINARY, vec![7; PIECE * pieces]).encode();
    for piece in message.chunks(PIECE) {
        tokio::time::sleep(INTERVAL / 4).await;
        sender.write(piece).await;
    }
    // It took twice as long as a Pong may, or four times. One does for all, even that for the first.
    sender.expect_error("no_peer").await;
    let ping = sender.expect_ping().await;
    sender.pong(&ping).await;
    sender.round_trip().await;
}

#[tokio::test]
async fn a_session_that_the_relay_does_not_read_is_pinged_and_need_not_answer() {
    let relay = TestRelay::start(|config| {
        config.ping_interval = INTERVAL;
        // The others do not answer either.
        config.ping_timeout = Duration::from_secs(60);
    });
    let (sender, mut paired) = (Raw::connect(&relay).await, Raw::connect(&relay).await);
    let (mut sender, mut queued) = (sender, Raw::connect(&relay).await);
    let code = sender.create_room().await;
    paired.join(&code).await;
    queued.join(&code).await;
    queued.send(frame(wire::BINARY, vec![7; 300_000])).await;
    relay
        .until("its window to be full", |now| now.in_flight > 192 << 10)
        .await;
    for _ in 0..size(2, 4) {
        queued.expect_ping().await;
    }
    assert_eq!(relay.counters().sessions, 3);
}

#[tokio::test]
async fn a_sender_that_the_relay_does_not_read_is_not_taken_for_dead() {
    let relay = relay();
    let mut sender = Client::connect(&relay).await;
    let code = sender.create_room().await;
    let mut receiver = Raw::connect_narrow(&relay).await;
    receiver.join(&code).await;
    sender.expect_peer().await;
    let payload = noise(&mut seeded(1), 1 << 20);
    let messages = vec![Message::binary(payload.clone()); 24];
    let reading = async {
        // More than fits anywhere: the relay stops reading the sender, whose pongs are behind it.
        relay
            .until("the sender to be paused", |now| now.in_flight > 100_000)
            .await;
        tokio::time::sleep(size(2, 3) * (INTERVAL + TIMEOUT)).await;
        for _ in &messages {
            let received = receiver
                .data(payload.len(), "a message that was held up")
                .await;
            assert!(received == payload, "other bytes than were sent");
            receiver.expect_end_of_message().await;
        }
        receiver.send(frame(wire::TEXT, "ACK")).await;
    };
    let ack = [text("ACK")];
    tokio::join!(sender.exchange(&messages, &ack), reading);
}
