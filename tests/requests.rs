//! The first message of a session: what is granted, what is refused, and what follows either.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{collections::HashSet, time::Duration};

use relay_testing::{Client, Raw, TestRelay, frame, pair, reply, text, wire};
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn a_room_is_created_with_a_code_and_its_lifetime() {
    let relay = TestRelay::start(|config| config.room_ttl = Duration::from_secs(1234));
    let mut sender = Client::connect(&relay).await;
    sender.send(reply::CREATE).await;
    let answer = sender.next_json("ROOM_CREATED").await;
    assert_eq!(reply::created(&answer).len(), 6);
    assert_eq!(answer["expires_in"], 1234);
}

#[tokio::test]
async fn codes_have_the_configured_length_and_differ() {
    let relay = TestRelay::start(|config| config.room_code_length = 9);
    let mut senders = Vec::new();
    let mut codes = HashSet::new();
    for _ in 0..50 {
        let mut sender = Client::connect(&relay).await;
        let code = sender.create_room().await;
        assert_eq!(code.len(), 9);
        assert!(codes.insert(code), "the same code twice");
        senders.push(sender);
    }
    assert_eq!(relay.counters().rooms, 50);
}

#[tokio::test]
async fn a_request_may_come_as_binary_and_with_further_fields() {
    let relay = TestRelay::start(|_| {});
    let mut sender = Client::connect(&relay).await;
    sender
        .send(br#" {"client":"x","type":"CREATE_ROOM","version":[1]} "#.to_vec())
        .await;
    let code = reply::created(&sender.next_json("ROOM_CREATED").await);
    let mut receiver = Client::connect(&relay).await;
    receiver.send(reply::join(&code).into_bytes()).await;
    reply::assert_joined(&receiver.next_json("ROOM_JOINED").await, &code);
    sender.expect_peer().await;
}

#[tokio::test]
async fn a_request_may_come_in_fragments_with_pings_between() {
    let relay = TestRelay::start(|_| {});
    let mut sender = Raw::connect(&relay).await;
    let (head, tail) = reply::CREATE.split_at(5);
    sender.send(frame(wire::TEXT, head).more()).await;
    sender.round_trip().await;
    sender.send(frame(wire::CONTINUATION, "").more()).await;
    sender.round_trip().await;
    sender.send(frame(wire::CONTINUATION, tail)).await;
    reply::created(&sender.next_json("ROOM_CREATED").await);
}

#[tokio::test]
async fn the_code_is_found_in_what_a_person_types_or_pastes() {
    let relay = TestRelay::start(|_| {});
    let mut sender = Client::connect(&relay).await;
    let code = sender.create_room().await;
    let shout = code.to_uppercase();
    let (head, tail) = code.split_at(3);
    let wide = code
        .chars()
        .map(|it| char::from_u32(u32::from(it) + 0xfee0));
    let wide: Option<String> = wide.collect();
    let alike = code.chars().map(|it| match it {
        '2' => 'Z',
        '5' => 's',
        '9' => 'q',
        'v' => 'u',
        'a' => 'а', // Of the Cyrillic alphabet, as the next.
        'e' => 'Е',
        other => other,
    });
    let typed = [
        shout.clone(),
        format!("  {code}"),
        format!("{code}\r\n"),
        format!("\t {shout} \n"),
        format!("{head}-{tail}"),
        format!("{head} {tail}"),
        format!("{head}\u{2013}{tail}."),
        format!("\u{201c}{code}\u{201d}"),
        format!("\u{feff}{head}\u{200b}{tail}\u{ad}"),
        wide.unwrap(),
        alike.collect(),
    ];
    for typed in typed {
        let mut receiver = Client::connect(&relay).await;
        receiver.send(reply::join(&typed)).await;
        reply::assert_joined(
            &receiver.next_json(&format!("{typed:?} to join")).await,
            &code,
        );
    }
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_may_be_tried_again() {
    let relay = TestRelay::start(|_| {});
    let deep = "[".repeat(4000);
    let wrong: Vec<Message> = vec![
        text(""),
        text(" "),
        text("hello"),
        text("[]"),
        text("null"),
        text("\"CREATE_ROOM\""),
        text(r#"["CREATE_ROOM"]"#),
        text("{}"),
        text(r#"{"type":null}"#),
        text(r#"{"type":["CREATE_ROOM"]}"#),
        text(r#"{"type":"create_room"}"#),
        text(r#"{"type":" CREATE_ROOM"}"#),
        text(r#"{"type":"HELLO"}"#),
        text(r#"{"type":"JOIN_ROOM"}"#),
        text(r#"{"type":"JOIN_ROOM","room_id":null}"#),
        text(r#"{"type":"JOIN_ROOM","room_id":123456}"#),
        text(r#"{"type":"JOIN_ROOM","room_id":["aaaaaa"]}"#),
        text(r#"{"Type":"CREATE_ROOM"}"#),
        text(r#"{"type":"CREATE_ROOM""#),
        text(r#"{"type":"CREATE_ROOM"}{}"#),
        text(deep),
        Message::binary(Vec::new()),
        Message::binary(b"{\"type\":\"CREATE_ROOM\xff\"}".to_vec()),
    ];
    let mut client = Client::connect(&relay).await;
    for message in wrong {
        client.send(message).await;
        client.expect_error("invalid_request").await;
    }
    client.create_room().await;
}

#[tokio::test]
async fn a_request_has_at_most_4_kib() {
    let relay = TestRelay::start(|_| {});
    let padded = |length: usize| format!("{:length$}", reply::CREATE);
    for pieces in [&[][..], &[1, 4000], &[4095], &[4096]] {
        let mut client = Client::connect(&relay).await;
        client.send_in_pieces(&text(padded(4097)), pieces).await;
        client.expect_error("invalid_request").await;
        client.send_in_pieces(&text(padded(4096)), pieces).await;
        reply::created(&client.next_json("ROOM_CREATED").await);
    }
}

#[tokio::test]
async fn an_oversize_request_gets_one_answer_however_long_it_goes_on() {
    let relay = TestRelay::start(|_| {});
    let mut client = Client::connect(&relay).await;
    // The last fragment looks like a request. Only a whole message is one.
    let long = " ".repeat(500_000) + reply::CREATE;
    client
        .send_in_pieces(&text(long), &[4097, 1, 100_000, 0, 395_902])
        .await;
    client.expect_error("invalid_request").await;
    client.expect_silence().await;
    client.create_room().await;
}

#[tokio::test]
async fn every_code_that_cannot_be_joined_gets_the_same_answer() {
    let relay = TestRelay::start(|config| config.room_ttl = Duration::from_millis(300));
    let mut sender = Client::connect(&relay).await;
    let closed = sender.create_room().await;
    sender.vanish();
    relay
        .until("the end of the room", |now| now.rooms == 0)
        .await;
    let mut sender = Client::connect(&relay).await;
    let expired = sender.create_room().await;
    sender.expect_error("room_expired").await;

    let requests = [
        r#"{"type":"JOIN_ROOM","room_id":"\ud83d"}"#.to_owned(),
        reply::join(""),
        reply::join("      "),
        reply::join("aaaaa"),
        reply::join("aaaaaaa"),
        reply::join("aaa aaa"),
        reply::join("aaa-aa"),
        reply::join("ａａａａａａ"),
        reply::join("a\u{0}aaaa"),
        reply::join(&"a".repeat(3000)),
        reply::join("방aaaaa"),
        reply::join(&closed),
        reply::join(&expired),
    ];
    let mut client = Client::connect(&relay).await;
    let mut answers = HashSet::new();
    for request in requests {
        client.send(request).await;
        answers.insert(client.expect_error("room_not_found").await.to_string());
    }
    assert_eq!(answers.len(), 1, "a guess learns something: {answers:?}");
    client.create_room().await;
}

#[tokio::test]
async fn what_follows_a_granted_request_in_the_same_segment_is_data() {
    let relay = TestRelay::start(|_| {});
    let mut sender = Raw::connect(&relay).await;
    let create = frame(wire::TEXT, reply::CREATE);
    sender
        .send_together(&[create.clone(), create.clone()])
        .await;
    let code = reply::created(&sender.next_json("ROOM_CREATED").await);
    sender.expect_error("no_peer").await;

    let mut receiver = Raw::connect(&relay).await;
    let join = frame(wire::TEXT, reply::join(&code));
    receiver.send_together(&[join.clone(), join, create]).await;
    reply::assert_joined(&receiver.next_json("ROOM_JOINED").await, &code);
    sender.expect_peer().await;
    assert_eq!(sender.next("data").await.payload, reply::join(&code));
    assert_eq!(sender.next("data").await.payload, reply::CREATE);
    receiver.expect_silence().await;
}

#[tokio::test]
async fn what_follows_a_refused_request_in_the_same_segment_is_the_next_request() {
    let relay = TestRelay::start(|_| {});
    let mut client = Raw::connect(&relay).await;
    let wrong = [
        frame(wire::TEXT, "?"),
        frame(wire::TEXT, reply::join("nobody")),
    ];
    let right = [
        frame(wire::BINARY, reply::CREATE),
        frame(wire::TEXT, "data"),
    ];
    client
        .send_together(&[&wrong[..], &right[..]].concat())
        .await;
    client.expect_error("invalid_request").await;
    client.expect_error("room_not_found").await;
    reply::created(&client.next_json("ROOM_CREATED").await);
    client.expect_error("no_peer").await;
}

#[tokio::test]
async fn once_granted_no_message_is_parsed_as_a_request() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = pair(&relay).await;
    for message in [
        reply::CREATE.to_owned(),
        reply::join("a7f3k2"),
        "{".to_owned(),
    ] {
        sender.send(message.as_str()).await;
        receiver.expect(message.as_str()).await;
        receiver.send(message.as_str()).await;
        sender.expect(message.as_str()).await;
    }
    assert_eq!(relay.counters().rooms, 1);
}

#[tokio::test]
async fn who_has_nothing_more_to_say_still_hears_why_not() {
    let relay = TestRelay::start(|_| {});
    for (request, reason) in [
        ("?", "invalid_request"),
        (&reply::join("nobody"), "room_not_found"),
    ] {
        let mut client = Raw::connect(&relay).await;
        client.send(frame(wire::TEXT, request)).await;
        client.writer().shutdown().await.unwrap();
        client.expect_error(reason).await;
        client.expect_end().await;
    }
    relay.settled().await;
}
