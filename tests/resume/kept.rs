//! A room waits for its sender, and its receivers wait in it.

use std::time::Duration;

use relay_testing::{
    Client, TestRelay,
    reply::{self, Ticket},
    text,
};
use tokio_tungstenite::tungstenite::Message;

/// Long enough to join a room before its end on a busy machine.
const TTL: Duration = Duration::from_secs(3);

/// Opens a room whose sender's line is cut then.
async fn left(relay: &TestRelay) -> Ticket {
    let mut sender = Client::connect(relay).await;
    let ticket = sender.create_lasting_room().await;
    sender.reset();
    relay
        .until("a sender that is away", |it| it.away == 1)
        .await;
    ticket
}

#[tokio::test]
async fn a_room_waits_for_a_sender_whose_line_is_cut() {
    let relay = TestRelay::start(|_| {});
    let ticket = left(&relay).await;
    let mut receiver = Client::connect(&relay).await;
    receiver.join(&ticket.code).await;
    receiver.expect_silence().await;

    let mut again = Client::connect(&relay).await;
    again.take_up(&ticket).await;
    again.expect_peer().await;
    again.send("hello").await;
    receiver.expect(text("hello")).await;
    receiver.send("thanks").await;
    again.expect(text("thanks")).await;
    assert_eq!(relay.counters().away, 0);
}

#[tokio::test]
async fn a_receiver_gets_what_was_sent_and_is_told_to_come_back() {
    let relay = TestRelay::start(|_| {});
    let mut sender = Client::connect(&relay).await;
    let ticket = sender.create_lasting_room().await;
    let mut receiver = Client::connect(&relay).await;
    receiver.join(&ticket.code).await;
    let mut queued = Client::connect(&relay).await;
    queued.join(&ticket.code).await;
    sender.expect_peer().await;
    sender.send("the last word").await;
    sender.close_with(1001).await;
    receiver.expect(text("the last word")).await;
    assert_eq!(receiver.expect_close(1013).await, "sender_away");

    // It may come back at once, behind those who waited.
    let mut receiver = Client::connect(&relay).await;
    receiver.join(&ticket.code).await;
    let mut again = Client::connect(&relay).await;
    again.take_up(&ticket).await;
    for waiting in [queued, receiver] {
        let mut waiting = waiting;
        let id = again.expect_peer().await;
        again.send("whole").await;
        waiting.expect(text("whole")).await;
        waiting.close().await;
        assert_eq!(again.expect_peer_gone().await, id);
    }
}

#[tokio::test]
async fn a_sender_that_means_to_leave_ends_its_room() {
    let relay = TestRelay::start(|_| {});
    for with_code in [true, false] {
        let mut sender = Client::connect(&relay).await;
        let ticket = sender.create_lasting_room().await;
        let mut receiver = Client::connect(&relay).await;
        receiver.join(&ticket.code).await;
        sender.expect_peer().await;
        if with_code {
            sender.close().await;
        } else {
            sender.send(Message::Close(None)).await;
        }
        receiver.expect_close(1001).await;
        let mut again = Client::connect(&relay).await;
        assert_eq!(again.try_request(ticket.request()).await, "room_not_found");
    }
}

#[tokio::test]
async fn each_other_way_of_going_keeps_the_room() {
    let relay = TestRelay::start(|_| {});
    for code in [1001, 1011, 3000, 4321] {
        let mut sender = Client::connect(&relay).await;
        let ticket = sender.create_lasting_room().await;
        sender.close_with(code).await;
        let mut again = Client::connect(&relay).await;
        again.take_up(&ticket).await;
        again.close().await;
    }
    let mut sender = Client::connect(&relay).await;
    let ticket = sender.create_lasting_room().await;
    sender.vanish();
    relay
        .until("a sender that is away", |it| it.away == 1)
        .await;
    let mut again = Client::connect(&relay).await;
    again.take_up(&ticket).await;
}

#[tokio::test]
async fn a_connection_that_seems_alive_is_replaced_and_told() {
    let relay = TestRelay::start(|_| {});
    let mut old = Client::connect(&relay).await;
    let ticket = old.create_lasting_room().await;
    let mut receiver = Client::connect(&relay).await;
    receiver.join(&ticket.code).await;
    old.expect_peer().await;
    let mut new = Client::connect(&relay).await;
    let ticket = new.take_up(&ticket).await;
    old.expect_close_after_error("replaced", 1008).await;
    assert_eq!(receiver.expect_close(1013).await, "sender_away");
    let mut receiver = Client::connect(&relay).await;
    receiver.join(&ticket.code).await;
    new.expect_peer().await;
    new.send("new").await;
    receiver.expect(text("new")).await;
}

#[tokio::test]
async fn a_room_whose_sender_does_not_come_back_ends() {
    let relay = TestRelay::start(|config| config.room_grace = Duration::from_secs(1));
    let mut sender = Client::connect(&relay).await;
    let ticket = sender.create_lasting_room().await;
    let [mut paired, mut queued] = [Client::connect(&relay).await, Client::connect(&relay).await];
    paired.join(&ticket.code).await;
    sender.expect_peer().await;
    queued.join(&ticket.code).await;
    sender.reset();
    assert_eq!(paired.expect_close(1013).await, "sender_away");
    queued
        .expect_close_after_error("sender_disconnected", 1001)
        .await;
    let mut again = Client::connect(&relay).await;
    assert_eq!(again.try_request(ticket.request()).await, "room_not_found");
    assert_eq!(again.try_code(&ticket.code).await, "room_not_found");
    let counts = relay.counters();
    assert_eq!((counts.rooms, counts.away), (0, 0));
}

#[tokio::test]
async fn who_does_not_ask_for_it_sees_no_change() {
    let relay = TestRelay::start(|_| {});
    let mut sender = Client::connect(&relay).await;
    sender.send(reply::CREATE).await;
    let created = sender.next_json("ROOM_CREATED").await;
    let names: Vec<_> = created.as_object().unwrap().keys().cloned().collect();
    assert_eq!(names.len(), 3, "{created}");
    let code = reply::created(&created);
    sender.reset();
    let mut receiver = Client::connect(&relay).await;
    relay.until("the end of the room", |it| it.rooms == 0).await;
    assert_eq!(receiver.try_code(&code).await, "room_not_found");

    let none = TestRelay::start(|config| config.room_grace = Duration::ZERO);
    let mut sender = Client::connect(&none).await;
    sender.send(reply::CREATE_LASTING).await;
    let created = sender.next_json("ROOM_CREATED").await;
    assert!(created.get("resume_token").is_none(), "{created}");
}

#[tokio::test]
async fn a_room_lives_as_long_as_it_is_asked_to_within_bounds() {
    let relay = TestRelay::start(|config| config.max_room_ttl = Duration::from_secs(7200));
    for (asked, given) in [
        ("60", 60),
        ("7200", 7200),
        ("999999", 7200),
        ("0", 1),
        ("-1", 1800),
    ] {
        let mut sender = Client::connect(&relay).await;
        sender
            .send(format!(r#"{{"type":"CREATE_ROOM","expires_in":{asked}}}"#))
            .await;
        let created = sender.next_json("ROOM_CREATED").await;
        assert_eq!(created["expires_in"], given, "{asked}");
    }
}

#[tokio::test]
async fn a_relay_that_stops_says_when_to_come_back() {
    let mut relay = TestRelay::start(|_| {});
    let mut senders = Vec::new();
    for _ in 0..20 {
        let mut sender = Client::connect(&relay).await;
        sender.create_lasting_room().await;
        senders.push(sender);
    }
    let mut plain = Client::connect(&relay).await;
    plain.create_room().await;
    relay.begin_shutdown();
    let mut times = Vec::new();
    for mut sender in senders {
        let told = sender.expect_error("server_shutdown").await;
        times.push(told["reconnect_in"].as_f64().unwrap());
        sender.expect_close(1012).await;
    }
    assert!(
        times.iter().all(|it| (1.0..=15.0).contains(it)),
        "{times:?}"
    );
    let told = plain.expect_error("server_shutdown").await;
    assert!(told.get("reconnect_in").is_none(), "{told}");
    plain.expect_close(1012).await;
}

#[tokio::test]
async fn a_room_whose_time_is_up_is_over_whoever_is_there() {
    let relay = TestRelay::start(|config| config.room_ttl = TTL);
    let mut sender = Client::connect(&relay).await;
    let ticket = sender.create_lasting_room().await;
    let [mut paired, mut behind_a_pair] =
        [Client::connect(&relay).await, Client::connect(&relay).await];
    paired.join(&ticket.code).await;
    sender.expect_peer().await;
    behind_a_pair.join(&ticket.code).await;
    let waiting = left(&relay).await;
    let mut without_sender = Client::connect(&relay).await;
    without_sender.join(&waiting.code).await;
    for queued in [&mut behind_a_pair, &mut without_sender] {
        queued.expect_close_after_error("room_expired", 1001).await;
    }
    // The pair may finish, but its sender cannot come back.
    sender.send("the last").await;
    paired.expect(text("the last")).await;
    sender.reset();
    assert_eq!(paired.expect_close(1001).await, "sender_disconnected");
    let mut again = Client::connect(&relay).await;
    for over in [ticket, waiting] {
        assert_eq!(again.try_request(over.request()).await, "room_not_found");
        assert_eq!(again.try_code(&over.code).await, "room_not_found");
    }
    drop(again);
    relay.settled().await;
}
