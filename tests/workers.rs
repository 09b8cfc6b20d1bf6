//! With several worker threads a session lands where its room is not, and goes there: nobody must
//! notice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use claude_distill_relay::rooms::placement::Placement;
use futures_util::future::join_all;
use relay_testing::{
    Client, Raw, TestRelay, frame, noise, prose, reply, seeded, text,
    wire::{BINARY, PING, PONG, TEXT},
    within,
};
use relay_wire::code::RoomCode;
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
    let mut rng = seeded(1);
    let messages = [
        text(prose(&mut rng, 1000)),
        Message::binary(noise(&mut rng, 2 << 20)),
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

/// Which worker keeps the room of this code.
fn worker_of(code: &str) -> usize {
    Placement::new(WORKERS).home(&RoomCode::from_typed(code).unwrap())
}

#[tokio::test]
async fn rooms_are_dealt_out_evenly_wherever_their_senders_land() {
    const EACH: usize = MANY / WORKERS;
    let relay = relay();
    let open = async |rooms| {
        let (mut senders, mut dealt) = (Vec::new(), [0; WORKERS]);
        for _ in 0..rooms {
            let mut sender = Client::connect(&relay).await;
            let worker = worker_of(&sender.create_room().await);
            dealt[worker] += 1;
            senders.push((worker, sender));
        }
        (senders, dealt)
    };
    let all_have_started = async { while open(WORKERS).await.1 != [1; WORKERS] {} };
    within("rooms on all workers", all_have_started).await;
    relay.settled().await;

    let (senders, dealt) = open(MANY).await;
    assert_eq!(dealt, [EACH; WORKERS]);

    // What has closed counts no more.
    let mut kept = Vec::new();
    for (worker, sender) in senders {
        if worker == 0 {
            kept.push(sender);
        } else {
            sender.close().await;
        }
    }
    relay.until("closed rooms", |now| now.rooms == EACH).await;
    assert_eq!(open(2 * EACH).await.1, [0, EACH, EACH]);
}

#[tokio::test]
async fn what_a_client_sends_behind_its_request_goes_along() {
    let relay = relay();
    for _ in 0..MANY {
        let mut sender = Raw::connect(&relay).await;
        let behind = frame(PING, "behind");
        sender
            .send_together(&[frame(TEXT, reply::CREATE), behind.clone()])
            .await;
        let code = reply::created(&sender.next_json("ROOM_CREATED").await);
        assert_eq!(sender.next("a pong").await.opcode, PONG);

        let mut receiver = Raw::connect(&relay).await;
        let (long, cut) = (frame(BINARY, vec![5; 70_000]), frame(TEXT, "cut in two"));
        let mut bytes = frame(TEXT, reply::join(&code)).encode();
        bytes.extend([behind, long].iter().flat_map(|frame| frame.encode()));
        let (first, second) = (cut.encode(), cut.encode().split_off(1));
        bytes.push(first[0]);
        receiver.write(&bytes).await;
        reply::assert_joined(&receiver.next_json("ROOM_JOINED").await, &code);
        let pong = receiver.next("a pong").await;
        assert_eq!((pong.opcode, &pong.payload[..]), (PONG, &b"behind"[..]));
        sender.expect_peer().await;
        assert_eq!(sender.data(70_000, "a message").await, vec![5; 70_000]);
        sender.expect_end_of_message().await;
        receiver.write(&second).await;
        // A Ping of the relay's may come behind a long message.
        assert_eq!(sender.next_alive("a message").await.payload, "cut in two");
    }
}

#[tokio::test]
async fn who_is_refused_on_one_worker_may_try_on_another() {
    let relay = relay();
    let mut sender = Client::connect(&relay).await;
    let code = sender.create_room().await;
    let mut receiver = Client::connect(&relay).await;
    for wrong in 0..MANY {
        receiver.send(reply::join(&format!("nobody{wrong}"))).await;
        receiver.expect_error("room_not_found").await;
    }
    receiver.join(&code).await;
    sender.expect_peer().await;
    receiver.send("found").await;
    sender.expect("found").await;
    receiver.close().await;
    sender.expect_peer_gone().await;
    sender.close().await;
    relay.settled().await;
}

#[tokio::test]
async fn wrong_codes_are_counted_over_all_workers_at_once() {
    const ALLOWED: usize = 10;
    for _ in 0..5 {
        let relay = TestRelay::start(|config| {
            config.workers = WORKERS;
            config.failed_join_max = ALLOWED;
            // The next turn is so far away that nobody waits for it.
            config.failed_join_window = Duration::from_secs(6000);
        });
        let mut guessers = Vec::new();
        for _ in 0..3 * ALLOWED {
            guessers.push(Client::connect(&relay).await);
        }
        for (guess, guesser) in guessers.iter_mut().enumerate() {
            guesser.send(reply::join(&format!("nobody{guess}"))).await;
        }
        let mut wrong = 0;
        for guesser in &mut guessers {
            let answer = guesser.next_json("an answer").await;
            wrong += usize::from(answer["reason"] == "room_not_found");
        }
        assert_eq!(wrong, ALLOWED);
    }
}

#[tokio::test]
async fn a_turn_is_waited_for_on_whichever_worker_the_room_is() {
    let relay = TestRelay::start(|config| {
        config.workers = WORKERS;
        config.failed_join_max = 1;
        config.failed_join_window = Duration::from_secs(6);
    });
    let mut senders = Vec::new();
    for _ in 0..5 {
        let mut sender = Client::connect(&relay).await;
        let code = sender.create_room().await;
        senders.push((sender, code));
    }
    let mut guesser = Client::connect(&relay).await;
    guesser.send(reply::join("nobody")).await;
    guesser.expect_error("room_not_found").await;
    let mut receivers = Vec::new();
    for (count, (_, code)) in senders.iter().enumerate() {
        let mut receiver = Client::connect(&relay).await;
        receiver.send(reply::join(code)).await;
        receiver.send("at once").await;
        relay
            .until("the wait", |now| now.waiting == count + 1)
            .await;
        receivers.push(receiver);
    }
    for ((sender, _), receiver) in senders.iter_mut().zip(&mut receivers) {
        let joined = receiver.next_json("an answer").await;
        assert_eq!(joined["type"], "ROOM_JOINED", "{joined}");
        sender.expect_peer().await;
        sender.expect("at once").await;
    }
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
        config.address_rate_limit_max = 4;
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

#[tokio::test]
async fn who_is_on_the_way_hears_that_the_relay_stops() {
    for _ in 0..10 {
        let mut relay = relay();
        let mut sender = Client::connect(&relay).await;
        let code = sender.create_room().await;
        let mut receivers = Vec::new();
        for _ in 0..MANY {
            receivers.push(Client::connect(&relay).await);
        }
        let joining = receivers
            .iter_mut()
            .map(|receiver| receiver.send(reply::join(&code)));
        join_all(joining).await;
        relay.begin_shutdown();
        for mut receiver in receivers {
            let answer = receiver.next_json("an answer").await;
            match answer["type"].as_str() {
                Some("ROOM_JOINED") => {}
                _ => reply::assert_error(&answer, "server_shutdown"),
            }
        }
        sender.vanish();
        relay.join().await.expect("run returns Ok");
    }
}
