//! Rooms that outlive a line, and what the operator decides of them and of their senders, whether those are there or away.

use relay_testing::{Client, process::Relay, reply::Ticket};

use super::{Machine, status};

const SENDER: &str = "192.0.2.1";
const RECEIVER: &str = "192.0.2.2";
const QUEUED: &str = "192.0.2.3";

async fn client(relay: &Relay, address: &str) -> Client {
    let headers = [("x-forwarded-for", address)];
    Client::open(relay.addr(), &headers).await.unwrap()
}

async fn receiver(relay: &Relay, address: &str, room: &Ticket) -> Client {
    let mut receiver = client(relay, address).await;
    receiver.join(&room.code).await;
    receiver
}

/// A room whose sender is there.
async fn present(relay: &Relay) -> (Client, Ticket) {
    let mut sender = client(relay, SENDER).await;
    let ticket = sender.create_lasting_room().await;
    (sender, ticket)
}

/// A room whose sender's line is cut.
async fn left(relay: &Relay) -> Ticket {
    let (sender, ticket) = present(relay).await;
    sender.reset();
    relay
        .until("relay_rooms_without_sender", |rooms| rooms == 1)
        .await;
    ticket
}

/// Nobody can join it, and nobody takes it up, from wherever that is tried.
async fn assert_over(relay: &Relay, room: &Ticket) {
    let mut late = client(relay, RECEIVER).await;
    assert_eq!(late.try_code(&room.code).await, "room_not_found");
    assert_eq!(late.try_request(room.request()).await, "room_not_found");
    assert_eq!(relay.metric("relay_rooms").await, 0);
    assert_eq!(relay.metric("relay_rooms_without_sender").await, 0);
}

/// Has the operator end the only room.
async fn end(machine: &Machine) {
    let list = machine.json(&["rooms"]).await;
    let name = list["rooms"][0]["room"].as_str().unwrap().to_owned();
    machine.says(&["end", &format!("#{name}")]).await;
}

#[tokio::test]
async fn an_ended_room_is_over_for_its_sender_and_its_token() {
    let machine = Machine::new();
    let relay = machine.relay().run();
    let (mut sender, ticket) = present(&relay).await;
    let mut paired = receiver(&relay, RECEIVER, &ticket).await;
    sender.expect_peer().await;
    let mut queued = receiver(&relay, QUEUED, &ticket).await;
    end(&machine).await;
    for told in [&mut sender, &mut queued] {
        told.expect_close_after_error("ended_by_operator", 1008)
            .await;
    }
    assert_eq!(paired.expect_close(1008).await, "ended_by_operator");
    assert_over(&relay, &ticket).await;
}

#[tokio::test]
async fn a_room_that_waits_for_its_sender_is_ended_too() {
    let machine = Machine::new();
    let relay = machine.relay().run();
    let ticket = left(&relay).await;
    let mut queued = receiver(&relay, QUEUED, &ticket).await;
    end(&machine).await;
    queued
        .expect_close_after_error("ended_by_operator", 1008)
        .await;
    assert_over(&relay, &ticket).await;
}

#[tokio::test]
async fn a_block_of_its_sender_ends_a_room() {
    let machine = Machine::new();
    let relay = machine.relay().run();
    let (mut sender, ticket) = present(&relay).await;
    let mut queued = receiver(&relay, QUEUED, &ticket).await;
    sender.expect_peer().await;
    machine.says(&["block", SENDER]).await;
    assert_eq!(sender.expect_close(1008).await, "blocked");
    assert_eq!(queued.expect_close(1001).await, "sender_disconnected");
    assert_over(&relay, &ticket).await;
}

#[tokio::test]
async fn nobody_waits_for_a_sender_that_is_blocked_while_it_is_away() {
    let machine = Machine::new();
    let relay = machine.relay().run();
    let ticket = left(&relay).await;
    let mut queued = receiver(&relay, QUEUED, &ticket).await;
    machine.says(&["block", RECEIVER]).await;
    queued.expect_silence().await;
    machine.says(&["unblock", RECEIVER]).await;
    machine.says(&["block", SENDER]).await;
    queued
        .expect_close_after_error("sender_disconnected", 1001)
        .await;
    assert_eq!(status(&relay, SENDER).await, 403);
    assert_over(&relay, &ticket).await;
}
