//! A room that is open on one node is found from all, and no code is said in clear.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use relay_testing::{
    Client, Raw,
    cluster::{Cluster, NO_CODE, Nats, SECRET, answer_in_the_end, nats_url, pair_across},
    frame,
    http::UPGRADE,
    noise,
    process::{Relay, Start},
    prose, reply, seeded,
    skip::is_too_long,
    tap::Tap,
    text,
    wire::{BINARY, TEXT},
    within,
};
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;

use crate::deflated::{self, OFFER};

#[tokio::test]
async fn each_pair_of_nodes_exchanges_messages_of_every_kind() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let rng = &mut seeded(1);
    let large = Message::binary(noise(rng, 2 << 20));
    let words = text(prose(rng, 300_000));
    for from in &cluster.nodes {
        for to in &cluster.nodes {
            let (mut sender, mut receiver) = pair_across(from.addr(), to.addr()).await;
            let messages = [text("hello"), large.clone(), text(""), words.clone()];
            sender.exchange(&messages, &[]).await;
            receiver.exchange(&[], &messages).await;
            receiver.exchange(&messages[2..], &[]).await;
            sender.exchange(&[], &messages[2..]).await;
            sender.send_in_pieces(&words, &[1, 0, 100_000, 7]).await;
            receiver.expect(words.clone()).await;
            receiver.send_in_pieces(&words, &[0, 65_536]).await;
            sender.expect(words.clone()).await;
            receiver.round_trip().await;
            sender.round_trip().await;
            receiver.close().await;
            sender.expect_peer_gone().await;
            sender.close().await;
        }
    }
}

#[tokio::test]
async fn twenty_megabytes_arrive_and_nine_come_back_at_once() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let (mut sender, mut receiver) = pair_across(cluster[0].addr(), cluster[1].addr()).await;
    let large = [Message::binary(noise(&mut seeded(2), 20 << 20))];
    // What a receiver says has a bound of its own.
    let back = [Message::binary(noise(&mut seeded(3), 9 << 20))];
    tokio::join!(
        sender.exchange(&large, &back),
        receiver.exchange(&back, &large)
    );
}

/// A client with compression, or without.
async fn compressing(relay: &Relay, compression: bool) -> Raw {
    let offer = match compression {
        true => format!("Sec-WebSocket-Extensions: {OFFER}\r\n"),
        false => String::new(),
    };
    relay.connect_by(&format!("{UPGRADE}{offer}")).await
}

async fn say(client: &mut Raw, compression: bool, opcode: u8, said: &[u8]) {
    client
        .send(match compression {
            true => deflated::compressed(opcode, said),
            false => frame(opcode, said),
        })
        .await;
}

async fn hear(client: &mut Raw, compressed: bool, opcode: u8, said: &[u8]) {
    let came = deflated::message(client).await;
    assert_eq!((came.compressed, came.opcode), (compressed, opcode));
    let inflated = match came.compressed {
        true => deflated::inflate(&came.payload, said.len()),
        false => came.payload,
    };
    assert!(inflated == said, "other text than was sent");
}

#[tokio::test]
async fn compressed_messages_pass_and_are_inflated_for_who_has_no_compression() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let said = prose(&mut seeded(3), 500_000).into_bytes();
    for (sends, receives) in [(true, true), (true, false), (false, true)] {
        let mut sender = compressing(&cluster[0], sends).await;
        let code = sender.create_room().await;
        let mut receiver = compressing(&cluster[1], receives).await;
        receiver.join(&code).await;
        sender.expect_peer().await;
        for opcode in [TEXT, BINARY] {
            let both = sends && receives;
            say(&mut sender, sends, opcode, &said).await;
            hear(&mut receiver, both, opcode, &said).await;
            say(&mut receiver, receives, opcode, &said).await;
            hear(&mut sender, both, opcode, &said).await;
        }
    }
}

#[tokio::test]
async fn what_stands_behind_the_request_arrives() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let mut sender = cluster[0].connect().await;
    let code = sender.create_room().await;
    let mut receiver = cluster[1].connect().await;
    let mut frames = vec![
        // A wrong one before it: what is behind that is looked at when it is answered.
        frame(TEXT, reply::join(NO_CODE)),
        frame(TEXT, reply::join(&code)),
    ];
    frames.extend((0..200).map(|n| frame(TEXT, format!("message {n}"))));
    receiver.send_together(&frames).await;
    receiver.expect_error("room_not_found").await;
    reply::assert_joined(&receiver.next_json("ROOM_JOINED").await, &code);
    sender.expect_peer().await;
    for n in 0..200 {
        let came = sender.next_but_pings("a message").await;
        assert_eq!(came.payload, format!("message {n}"));
    }
}

#[tokio::test]
async fn receivers_from_all_nodes_take_their_turns() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let mut sender = Client::at(cluster[0].addr()).await;
    let code = sender.create_room().await;
    let mut first = Client::at(cluster[1].addr()).await;
    first.join(&code).await;
    sender.expect_peer().await;
    // Each from another node; one wants to know its place.
    let mut second = Client::at(cluster[2].addr()).await;
    let request = serde_json::json!({"type": "JOIN_ROOM", "room_id": code, "queue_updates": true});
    second.send(text(request.to_string())).await;
    reply::assert_joined(&second.next_json("ROOM_JOINED").await, &code);
    second
        .expect(text(r#"{"type":"QUEUED","position":1}"#))
        .await;
    let mut third = Client::at(cluster[0].addr()).await;
    third.join(&code).await;
    third.send(text("ahead of its turn")).await;

    sender.send(text("for the first")).await;
    first.expect(text("for the first")).await;
    first.close().await;
    sender.expect_peer_gone().await;
    sender.expect_peer().await;
    second
        .expect(text(r#"{"type":"QUEUED","position":0}"#))
        .await;
    sender.send(text("for the second")).await;
    second.expect(text("for the second")).await;
    second.vanish();
    sender.expect_peer_gone().await;
    sender.expect_peer().await;
    sender.expect(text("ahead of its turn")).await;
    sender.send(text("for the third")).await;
    third.expect(text("for the third")).await;
    third.close().await;
    sender.expect_peer_gone().await;
    sender.expect_silence().await;
    sender.send(text("to nobody")).await;
    sender.expect_error("no_peer").await;
    let mut last = Client::at(cluster[2].addr()).await;
    last.join(&code).await;
    sender.expect_peer().await;
    sender.close().await;
    last.expect_close(1001).await;
}

#[tokio::test]
async fn a_room_expires_for_all() {
    let Some(cluster) = Cluster::with(|_, it| it.env("RELAY_ROOM_TTL", 5)).await else {
        return;
    };
    let mut sender = Client::at(cluster[0].addr()).await;
    let code = sender.create_room().await;
    let mut paired = Client::at(cluster[1].addr()).await;
    paired.join(&code).await;
    sender.expect_peer().await;
    let mut queued = Client::at(cluster[2].addr()).await;
    queued.join(&code).await;
    queued.expect_close_after_error("room_expired", 1001).await;
    let mut late = Client::at(cluster[2].addr()).await;
    let told = answer_in_the_end(&mut late, &code).await;
    assert_eq!(told, "room_not_found");
    sender.send(text("still there")).await;
    paired.expect(text("still there")).await;
}

#[tokio::test]
async fn a_node_that_says_nothing_is_waited_for_until_its_rooms_are_over() {
    const LIFE: Duration = Duration::from_secs(10);
    let Some(cluster) = Cluster::with(|_, it| it.env("RELAY_ROOM_TTL", 2)).await else {
        return;
    };
    let mut sender = Client::at(cluster[0].addr()).await;
    let began = Instant::now();
    sender
        .send(format!(
            r#"{{"type":"CREATE_ROOM","expires_in":{}}}"#,
            LIFE.as_secs()
        ))
        .await;
    sender.next_json("ROOM_CREATED").await;
    // It tells of its rooms once a second.
    sleep(Duration::from_secs(2)).await;
    cluster[0].freeze().await;
    let forgotten = async {
        let mut guest = Client::at(cluster[1].addr()).await;
        loop {
            match guest.try_code(NO_CODE).await.as_str() {
                "cluster_unavailable" => sleep(Duration::from_millis(500)).await,
                other => break assert_eq!(other, "room_not_found"),
            }
        }
    };
    within("a node that is forgotten", forgotten).await;
    assert!(began.elapsed() >= LIFE, "with a room that may be there");
    cluster[0].signal(Signal::SIGCONT);
}

#[tokio::test]
async fn a_full_queue_is_said_to_be_full_and_costs_nothing() {
    let with = |_, it: Start| it.env("RELAY_MAX_QUEUE", 1).env("RELAY_FAILED_JOIN_MAX", 2);
    let Some(cluster) = Cluster::with(with).await else {
        return;
    };
    let mut sender = Client::at(cluster[0].addr()).await;
    let code = sender.create_room().await;
    let mut others = Vec::new();
    for _ in 0..2 {
        let mut other = Client::at(cluster[1].addr()).await;
        other.join(&code).await;
        others.push(other);
    }
    sender.expect_peer().await;
    for _ in 0..5 {
        let mut late = Client::at(cluster[2].addr()).await;
        assert_eq!(late.try_code(&code).await, "room_full");
    }
}

/// All that nodes say to each other is heard, over NATS and at their addresses, and no code is in it.
#[tokio::test]
async fn no_code_is_said_in_clear() {
    let Some(nats) = Nats::start() else { return };
    let to_nats = Tap::to(nats.addr());
    let starts: Vec<_> = (0..3)
        .map(|_| {
            let start = Start::new().in_cluster(&nats_url(to_nats.addr()));
            let tap = Tap::to(start.addr());
            let address = format!("ws://{}", tap.addr());
            (start.env("RELAY_CLUSTER_ADDRESS", address), tap)
        })
        .collect();
    let (nodes, taps): (Vec<_>, Vec<_>) = starts
        .into_iter()
        .map(|(start, tap)| (start.run(), tap))
        .unzip();
    let mut cluster = Cluster { nodes, nats };
    cluster.meet().await;
    let mut codes = vec![NO_CODE.to_owned()];
    for from in &cluster.nodes {
        for to in &cluster.nodes {
            let mut sender = Client::at(from.addr()).await;
            let code = sender.create_room().await;
            for _ in 0..2 {
                let mut receiver = Client::at(to.addr()).await;
                receiver.join(&code).await;
                sender.expect_peer().await;
                sender.send(text("said in the room")).await;
                receiver.expect(text("said in the room")).await;
                receiver.close().await;
                sender.expect_peer_gone().await;
            }
            sender.close().await;
            let mut late = Client::at(to.addr()).await;
            let told = answer_in_the_end(&mut late, &code).await;
            assert_eq!(told, "room_not_found");
            codes.push(code);
        }
    }
    assert!(to_nats.has_heard("claude-distill-relay."));
    assert!(!to_nats.has_heard("said in the room"));
    assert!(taps.iter().all(|tap| tap.has_heard("said in the room")));
    assert!(taps.iter().all(|tap| tap.has_heard("x-relay-cluster")));
    codes.push(SECRET.to_owned());
    for tap in taps.iter().chain([&to_nats]) {
        for code in &codes {
            assert!(!tap.has_heard(code), "{code} in clear");
            assert!(!tap.has_heard(&code.to_uppercase()), "{code} in clear");
        }
    }
}

/// How long joins take to a room there, from here: the median.
async fn median(rooms: &Relay, clients: &Relay) -> Duration {
    let mut took = Vec::new();
    for _ in 0..100 {
        let mut sender = Client::at(rooms.addr()).await;
        let code = sender.create_room().await;
        let mut receiver = Client::at(clients.addr()).await;
        let began = Instant::now();
        receiver.join(&code).await;
        took.push(began.elapsed());
    }
    took.sort();
    took[took.len() / 2]
}

#[tokio::test]
async fn a_join_across_is_paired_within_milliseconds_of_a_local_one() {
    if is_too_long() {
        return;
    }
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let local = median(&cluster[0], &cluster[0]).await;
    let across = median(&cluster[0], &cluster[1]).await;
    println!("a local join takes {local:?}, one across {across:?}");
    // 5 ms where nobody else uses the machine.
    assert!(across < local + Duration::from_millis(25));
}

#[tokio::test]
async fn a_wrong_code_is_unknown_at_once() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let mut client = Client::at(cluster[0].addr()).await;
    let mut least = Duration::MAX;
    for _ in 0..5 {
        // A few a second are not held back.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let began = Instant::now();
        let told = answer_in_the_end(&mut client, NO_CODE).await;
        assert_eq!(told, "room_not_found");
        least = least.min(began.elapsed());
    }
    // Less than what a node has that does not answer.
    assert!(least < Duration::from_millis(150), "{least:?}");
}
