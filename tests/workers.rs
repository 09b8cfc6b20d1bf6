//! With several worker threads a receiver lands where its room is not: nobody must notice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Client, TestRelay, reply, text};
use tokio_tungstenite::tungstenite::Message;

const WORKERS: usize = 3;
/// Connections are dealt out to the workers, so that so many meet in every combination.
const MANY: usize = 12;

fn relay() -> TestRelay {
    TestRelay::start(|config| config.workers = WORKERS)
}

#[tokio::test]
async fn a_receiver_finds_its_room_from_any_worker() {
    let relay = relay();
    let mut rng = common::seeded(1);
    let messages = [
        text(common::prose(&mut rng, 1000)),
        Message::binary(common::noise(&mut rng, 2 << 20)),
        text("end"),
    ];
    let mut sender = Client::connect(&relay).await;
    let code = sender.create_room().await;
    for _ in 0..MANY {
        let mut receiver = Client::connect(&relay).await;
        receiver.join(&code).await;
        let id = sender.expect_peer().await;
        tokio::join!(
            sender.exchange(&messages, &messages),
            receiver.exchange(&messages, &messages),
        );
        receiver.close().await;
        assert_eq!(sender.expect_peer_gone().await, id);
    }
    sender.close().await;
    relay.settled().await;
}

#[tokio::test]
async fn the_queue_is_one_whichever_worker_a_receiver_is_on() {
    let relay = relay();
    let mut sender = Client::connect(&relay).await;
    let code = sender.create_room().await;
    let mut receivers = Vec::new();
    for turn in 0..MANY {
        let mut receiver = Client::connect(&relay).await;
        receiver.join(&code).await;
        receiver.send(format!("held by {turn}")).await;
        receivers.push(receiver);
    }
    for (turn, mut receiver) in receivers.into_iter().enumerate() {
        sender.expect_peer().await;
        sender.expect(text(format!("held by {turn}"))).await;
        sender.send(format!("turn {turn}")).await;
        receiver.expect(text(format!("turn {turn}"))).await;
        receiver.close().await;
        sender.expect_peer_gone().await;
    }
}

#[tokio::test]
async fn limits_are_the_relays_and_not_a_workers() {
    let relay = TestRelay::start(|config| {
        config.workers = WORKERS;
        config.max_rooms = 5;
        config.max_sessions = 9;
    });
    let mut clients = Vec::new();
    for room in 0..9 {
        let mut client = Client::connect(&relay).await;
        if room < 5 {
            client.create_room().await;
        } else {
            client.send(reply::CREATE).await;
            client.expect_error("too_many_rooms").await;
        }
        clients.push(client);
    }
    assert!(
        Client::open(relay.addr(), &[]).await.is_err(),
        "a tenth session was let in"
    );

    let relay = TestRelay::start(|config| {
        config.workers = WORKERS;
        config.rate_limit_max = 4;
    });
    for request in 0..8 {
        let mut client = Client::connect(&relay).await;
        client.send(reply::join("nobody")).await;
        let reason = if request < 4 {
            "room_not_found"
        } else {
            "rate_limited"
        };
        client.expect_error(reason).await;
    }
}

#[tokio::test]
async fn a_sender_that_leaves_is_heard_of_on_every_worker() {
    let relay = relay();
    let mut sender = Client::connect(&relay).await;
    let code = sender.create_room().await;
    let mut receivers = Vec::new();
    for _ in 0..MANY {
        let mut receiver = Client::connect(&relay).await;
        receiver.join(&code).await;
        receivers.push(receiver);
    }
    sender.expect_peer().await;
    sender.send(vec![9; 500_000]).await;
    sender.vanish();
    receivers[0].expect(vec![9; 500_000]).await;
    assert_eq!(receivers[0].expect_close(1001).await, "sender_disconnected");
    for receiver in &mut receivers[1..] {
        receiver
            .expect_close_after_error("sender_disconnected", 1001)
            .await;
    }
    relay.settled().await;
}

#[tokio::test]
async fn every_worker_hears_that_the_relay_stops() {
    let mut relay = relay();
    let mut senders = Vec::new();
    for _ in 0..MANY {
        let mut sender = Client::connect(&relay).await;
        sender.create_room().await;
        senders.push(sender);
    }
    relay.begin_shutdown();
    for mut sender in senders {
        sender
            .expect_close_after_error("server_shutdown", 1012)
            .await;
    }
    relay.join().await.expect("run returns Ok");
}
