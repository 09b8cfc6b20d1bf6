//! Text is UTF-8, checked as it comes: a violation costs its author the connection, not its peer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use relay_testing::{
    Client, Frame, Raw, TestRelay, frame, pair, raw_pair, text,
    wire::{BINARY, CONTINUATION, Outgoing, TEXT},
};
use tokio_tungstenite::tungstenite::Message;

/// What no text may hold, by the rule it breaks, after a beginning that is right.
const INVALID: [(&str, &[u8]); 14] = [
    ("a continuation byte alone", b"ok\x80"),
    ("a byte that is never used", b"ok\xff"),
    ("a lead byte before another character", b"ok\xc3("),
    (
        "two of three bytes before another character",
        b"ok\xe8\xaa(",
    ),
    (
        "three of four bytes before another character",
        b"ok\xf0\x9f\xa6(",
    ),
    ("an overlong slash", b"ok\xc0\xaf"),
    ("an overlong NUL", b"ok\xc0\x80"),
    ("an overlong form of three bytes", b"ok\xe0\x9f\xbf"),
    ("an overlong form of four bytes", b"ok\xf0\x8f\xbf\xbf"),
    ("half of a surrogate pair", b"ok\xed\xa0\x80"),
    ("a surrogate pair", b"ok\xed\xa0\xbd\xed\xb2\xa9"),
    ("more than there are characters", b"ok\xf4\x90\x80\x80"),
    ("a form of five bytes", b"ok\xf8\x88\x80\x80\x80"),
    ("a character cut off by the end", b"ok\xf0\x9f\xa6"),
];

/// One such text in one frame, and cut in two at every place.
fn every_way(bytes: &[u8]) -> Vec<Vec<Outgoing>> {
    let mut ways = vec![vec![frame(TEXT, bytes)]];
    for cut in 0..=bytes.len() {
        let (head, tail) = bytes.split_at(cut);
        ways.push(vec![frame(TEXT, head).more(), frame(CONTINUATION, tail)]);
    }
    ways
}

/// What a receiver has got could still become a text: nothing of it is wrong, and it has no end.
fn assert_may_go_on(frames: &[Frame]) {
    assert!(
        frames.iter().all(|frame| !frame.fin),
        "the end of a text that was cut off"
    );
    let begun: Vec<u8> = frames
        .iter()
        .flat_map(|frame| frame.payload.to_vec())
        .collect();
    let invalid = std::str::from_utf8(&begun)
        .err()
        .and_then(|error| error.error_len());
    assert_eq!(invalid, None, "passed on: {begun:x?}");
}

#[tokio::test]
async fn a_sender_of_invalid_text_is_closed_with_1007_and_its_receiver_gets_nothing_invalid() {
    let relay = TestRelay::start(|_| {});
    for (rule, bytes) in INVALID {
        for frames in every_way(bytes) {
            println!("{rule}");
            let (mut sender, mut receiver) = raw_pair(&relay).await;
            sender.send_together(&frames).await;
            sender.expect_close(1007).await;
            assert_may_go_on(&receiver.frames_until_sender_gone().await);
        }
    }
    relay.settled().await;
}

#[tokio::test]
async fn a_receiver_of_invalid_text_is_closed_with_1007_and_its_sender_hears_only_that_it_left() {
    let relay = TestRelay::start(|_| {});
    let mut sender = Client::connect(&relay).await;
    let code = sender.create_room().await;
    for (rule, bytes) in INVALID {
        for frames in every_way(bytes) {
            println!("{rule}");
            let mut receiver = Raw::connect(&relay).await;
            receiver.join(&code).await;
            sender.expect_peer().await;
            receiver.send_together(&frames).await;
            receiver.expect_close(1007).await;
            sender.expect_peer_gone().await;
        }
    }
    sender.expect_silence().await;
}

#[tokio::test]
async fn invalid_text_is_seen_before_its_frame_has_arrived_whole() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = raw_pair(&relay).await;
    sender
        .send(frame(TEXT, "valid so far").claiming(1_000_000))
        .await;
    assert_eq!(receiver.data(12, "the beginning").await, "valid so far");
    sender.vanish();
    receiver.expect_close(1001).await;

    let mut client = Raw::connect(&relay).await;
    client.send(frame(TEXT, b"\"\xff").claiming(1_000)).await;
    client.expect_close(1007).await;
}

#[tokio::test]
async fn a_character_may_be_cut_between_two_segments_of_a_frame() {
    let relay = TestRelay::start(|_| {});
    for character in ["é", "語", "🦀"] {
        for cut in 1..character.len() {
            let (mut sender, mut receiver) = raw_pair(&relay).await;
            let before = "before ".len();
            let whole = format!("before {character} after");
            let bytes = frame(TEXT, whole.as_str()).encode();
            let header = bytes.len() - whole.len();
            sender.write(&bytes[..header + before + cut]).await;
            // That this much has arrived shows that the first segment was read by itself.
            let mut received = receiver.data(before, "the beginning").await.to_vec();
            sender.write(&bytes[header + before + cut..]).await;
            let rest = whole.len() - before;
            received.extend(receiver.data(rest, "the rest of a text").await);
            receiver.expect_end_of_message().await;
            assert_eq!(received, whole.as_bytes());
        }
    }
}

#[tokio::test]
async fn a_bad_character_is_seen_over_two_segments_of_a_frame() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = raw_pair(&relay).await;
    let bytes = frame(TEXT, b"before \xf0\x9f\xa6(after").encode();
    let cut = bytes.len() - "(after".len() - 1;
    sender.write(&bytes[..cut]).await;
    let mut frames = vec![receiver.next("the beginning").await];
    assert!(frames[0].payload.starts_with(b"before "), "{frames:?}");
    sender.write(&bytes[cut..]).await;
    sender.expect_close(1007).await;
    frames.extend(receiver.frames_until_sender_gone().await);
    assert_may_go_on(&frames);
}

#[tokio::test]
async fn every_character_passes_however_a_text_is_cut() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = pair(&relay).await;
    let edges = "\0\u{7f}\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{fffe}\u{ffff}\u{10000}\u{10ffff}";
    let message = text(edges);
    for first in 0..=edges.len() {
        for second in [0, 1, 2, 5] {
            sender.send_in_pieces(&message, &[first, second]).await;
            receiver.expect(message.clone()).await;
            receiver.send_in_pieces(&message, &[first, second]).await;
            sender.expect(message.clone()).await;
        }
    }
}

#[tokio::test]
async fn binary_may_be_anything() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = pair(&relay).await;
    for (_, bytes) in INVALID {
        let message = Message::binary(bytes.to_vec());
        sender.send_in_pieces(&message, &[3]).await;
        receiver.expect(message.clone()).await;
        receiver.send_in_pieces(&message, &[3]).await;
        sender.expect(message).await;
    }
}

#[tokio::test]
async fn a_request_in_invalid_text_fails_the_connection_and_in_binary_is_just_invalid() {
    let relay = TestRelay::start(|_| {});
    for (rule, bytes) in INVALID {
        println!("{rule}");
        let mut client = Raw::connect(&relay).await;
        client.send(frame(BINARY, bytes)).await;
        client.expect_error("invalid_request").await;
        client.send(frame(TEXT, bytes)).await;
        client.expect_close(1007).await;
    }
}
