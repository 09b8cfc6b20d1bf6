//! A room's time: who is told when it is up, and who may go on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use relay_testing::{Client, Raw, TestRelay, reply};

/// Long enough to join a room before its end on a busy machine, and to see that it was not early.
const TTL: Duration = Duration::from_secs(2);

fn relay() -> TestRelay {
    TestRelay::start(|config| config.room_ttl = TTL)
}

#[tokio::test]
async fn a_room_nobody_is_served_in_ends_when_its_time_is_up() {
    let relay = relay();
    let mut sender = Client::connect(&relay).await;
    let before = Instant::now();
    sender.create_room().await;
    sender.expect_error("room_expired").await;
    assert!(
        before.elapsed() >= TTL,
        "expired after {:?}",
        before.elapsed()
    );
    sender.expect_close(1001).await;
    relay.settled().await;
}

#[tokio::test]
async fn the_time_counts_from_the_creation_whoever_comes_and_goes() {
    let relay = relay();
    let mut sender = Client::connect(&relay).await;
    let before = Instant::now();
    let code = sender.create_room().await;
    for _ in 0..3 {
        let mut receiver = Client::connect(&relay).await;
        receiver.join(&code).await;
        sender.expect_peer().await;
        receiver.close().await;
        sender.expect_peer_gone().await;
    }
    let served = before.elapsed();
    sender.expect_close_after_error("room_expired", 1001).await;
    assert!(
        before.elapsed() < 2 * TTL + served,
        "expired after {:?}",
        before.elapsed()
    );
}

#[tokio::test]
async fn a_pair_outlives_the_time_of_its_room_and_nobody_else_gets_in() {
    let relay = relay();
    let mut sender = Client::connect(&relay).await;
    let code = sender.create_room().await;
    let (mut paired, mut queued) = (Client::connect(&relay).await, Client::connect(&relay).await);
    paired.join(&code).await;
    queued.join(&code).await;
    let id = sender.expect_peer().await;
    sender.send("before").await;

    // The queued one could never be served any more: it is told at once.
    queued.expect_close_after_error("room_expired", 1001).await;
    let mut late = Client::connect(&relay).await;
    late.send(reply::join(&code)).await;
    late.expect_error("room_not_found").await;

    sender.send(vec![5; 1_000_000]).await;
    paired.expect("before").await;
    paired.expect(vec![5; 1_000_000]).await;
    paired.send("ACK").await;
    sender.expect("ACK").await;
    sender.expect_silence().await;
    assert_eq!(relay.counters().rooms, 1);

    paired.close().await;
    assert_eq!(sender.expect_peer_gone().await, id);
    sender.expect_close_after_error("room_expired", 1001).await;
    relay
        .until("the end of the room", |now| now.rooms == 0)
        .await;
}

#[tokio::test]
async fn an_expired_rooms_receiver_is_closed_when_its_sender_leaves() {
    let relay = relay();
    let mut sender = Client::connect(&relay).await;
    let code = sender.create_room().await;
    let (mut paired, mut queued) = (Client::connect(&relay).await, Client::connect(&relay).await);
    paired.join(&code).await;
    queued.join(&code).await;
    sender.expect_peer().await;
    queued.expect_error("room_expired").await;
    sender.send("last words").await;
    sender.close().await;
    paired.expect("last words").await;
    assert_eq!(paired.expect_close(1001).await, "sender_disconnected");
    relay
        .until("the end of the room", |now| now.rooms == 0)
        .await;
}

#[tokio::test]
async fn a_room_between_two_receivers_ends_when_its_time_is_up() {
    let relay = relay();
    let mut sender = Raw::connect(&relay).await;
    let code = sender.create_room().await;
    let (mut first, mut queued) = (Client::connect(&relay).await, Client::connect(&relay).await);
    first.join(&code).await;
    queued.join(&code).await;
    sender.expect_peer().await;
    first.close().await;
    sender.expect_peer_gone().await;
    sender.expect_ping().await; // Never answered: nobody is paired any more.
    queued.expect_close_after_error("room_expired", 1001).await;
    sender.expect_close_after_error("room_expired", 1001).await;
    relay.settled().await;
}
