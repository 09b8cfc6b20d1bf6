//! Stopping: who only waits is sent away at once, a pair may finish, and then the relay ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use relay_testing::{Client, Raw, TestRelay, frame, pair, raw_pair, reply, wire::BINARY};
use tokio_tungstenite::tungstenite::Error;

/// Long enough not to pass by itself while a test looks at what happens meanwhile.
const LONG: Duration = Duration::from_secs(25);

fn patient_relay() -> TestRelay {
    TestRelay::start(|config| config.drain_timeout = LONG)
}

#[tokio::test]
async fn a_relay_nobody_uses_stops_at_once() {
    let mut relay = patient_relay();
    let before = Instant::now();
    relay.begin_shutdown();
    relay.join().await.expect("run returns Ok");
    assert!(before.elapsed() < LONG / 2, "took {:?}", before.elapsed());
}

#[tokio::test]
async fn who_only_waits_is_sent_away_at_once_and_nothing_is_waited_for() {
    let mut relay = patient_relay();
    let mut undecided = Client::connect(&relay).await;
    undecided.round_trip().await;
    let mut sender = Client::connect(&relay).await;
    sender.create_room().await;
    let before = Instant::now();
    relay.begin_shutdown();
    sender
        .expect_close_after_error("server_shutdown", 1012)
        .await;
    undecided
        .expect_close_after_error("server_shutdown", 1012)
        .await;
    relay.join().await.expect("run returns Ok");
    assert!(before.elapsed() < LONG / 2, "took {:?}", before.elapsed());
}

#[tokio::test]
async fn a_pair_may_finish_and_nothing_of_ours_falls_into_its_exchange() {
    let mut relay = patient_relay();
    let mut sender = Client::connect(&relay).await;
    let code = sender.create_room().await;
    let (mut paired, mut queued) = (Client::connect(&relay).await, Client::connect(&relay).await);
    paired.join(&code).await;
    queued.join(&code).await;
    let id = sender.expect_peer().await;
    let before = Instant::now();
    relay.begin_shutdown();
    queued
        .expect_close_after_error("server_shutdown", 1012)
        .await;

    sender.expect_silence().await;
    paired.expect_silence().await;
    let payload = vec![3; 2_000_000];
    tokio::join!(sender.send(payload.clone()), paired.expect(payload.clone()));
    paired.send("ACK").await;
    sender.expect("ACK").await;
    paired.close().await;

    assert_eq!(sender.expect_peer_gone().await, id);
    sender
        .expect_close_after_error("server_shutdown", 1012)
        .await;
    relay.join().await.expect("run returns Ok");
    assert!(before.elapsed() < LONG / 2, "took {:?}", before.elapsed());
}

#[tokio::test]
async fn a_sender_that_finishes_first_is_heard_out() {
    let mut relay = patient_relay();
    let (mut sender, mut receiver) = pair(&relay).await;
    relay.begin_shutdown();
    let payload = vec![4; 2_000_000];
    let leaving = async {
        sender.send(payload.clone()).await;
        sender.close().await;
    };
    let reading = async {
        receiver.expect(payload.clone()).await;
        assert_eq!(receiver.expect_close(1001).await, "sender_disconnected");
    };
    tokio::join!(leaving, reading);
    relay.join().await.expect("run returns Ok");
}

#[tokio::test]
async fn nobody_new_is_let_in_while_a_pair_finishes() {
    let mut relay = patient_relay();
    let mut sender = Client::connect(&relay).await;
    let code = sender.create_room().await;
    let (mut paired, mut queued) = (Client::connect(&relay).await, Client::connect(&relay).await);
    paired.join(&code).await;
    queued.join(&code).await;
    sender.expect_peer().await;
    relay.begin_shutdown();
    queued
        .expect_close_after_error("server_shutdown", 1012)
        .await; // So it has begun.
    match Client::open(relay.addr(), &[]).await.err() {
        Some(Error::Http(response)) => {
            assert_eq!(response.status(), 503);
            assert!(
                response.headers().contains_key("retry-after"),
                "{response:?}"
            );
        }
        other => panic!("{other:?} instead of a refusal"),
    }
    let health = Raw::ask(&relay, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_ne!(
        health.status, 200,
        "a load balancer would send more: {health:?}"
    );
    paired.close().await;
    sender.expect_peer_gone().await;
    sender
        .expect_close_after_error("server_shutdown", 1012)
        .await;
    relay.join().await.expect("run returns Ok");
}

#[tokio::test]
async fn who_has_not_finished_in_time_is_closed() {
    const DRAIN: Duration = Duration::from_secs(1);
    let mut relay = TestRelay::start(|config| config.drain_timeout = DRAIN);
    let (mut sender, mut receiver) = pair(&relay).await;
    sender.send("half way").await;
    receiver.expect("half way").await;
    let before = Instant::now();
    relay.begin_shutdown();
    // A receiver's stream is the sender's: it is told by the close alone.
    assert_eq!(receiver.expect_close(1012).await, "server_shutdown");
    assert!(
        before.elapsed() >= DRAIN,
        "closed after {:?}",
        before.elapsed()
    );
    // The sender may hear first that its receiver is gone.
    let mut last = sender.next_json("the end").await;
    if last["type"] == "PEER_DISCONNECTED" {
        last = sender.next_json("the end").await;
    }
    reply::assert_error(&last, "server_shutdown");
    sender.expect_close(1012).await;
    relay.join().await.expect("run returns Ok");
}

#[tokio::test]
async fn clients_that_do_not_react_cannot_keep_the_relay_from_ending() {
    let mut relay = TestRelay::start(|_| {});
    let mut rooms = Vec::new();
    for _ in 0..5 {
        let (mut sender, receiver) = raw_pair(&relay).await;
        sender.send(frame(BINARY, vec![0; 200_000]).more()).await;
        rooms.push((sender, receiver));
    }
    let mut deaf = Raw::connect(&relay).await;
    deaf.create_room().await;
    relay.begin_shutdown();
    relay.join().await.expect("run returns Ok"); // Though nobody has read or answered anything.
}
