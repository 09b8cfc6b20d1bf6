//! The size limit of a message: kept to the byte, and before anything of the excess is taken in.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use relay_testing::{Raw, TestRelay, frame, noise, pair, raw_pair, seeded, wire};
use tokio_tungstenite::tungstenite::Message;

const MAX: usize = 1 << 20;

fn relay() -> TestRelay {
    TestRelay::start(|config| config.max_msg_size = MAX as u64)
}

#[tokio::test]
async fn a_message_of_exactly_the_limit_passes_however_it_is_cut() {
    let relay = relay();
    let (mut sender, mut receiver) = pair(&relay).await;
    let message = Message::binary(noise(&mut seeded(1), MAX));
    for pieces in [
        &[][..],
        &[MAX],
        &[1, MAX - 1],
        &[MAX - 1, 0],
        &[MAX / 3, MAX / 3],
    ] {
        tokio::join!(
            sender.send_in_pieces(&message, pieces),
            receiver.expect(message.clone()),
        );
        tokio::join!(
            receiver.send_in_pieces(&message, pieces),
            sender.expect(message.clone()),
        );
    }
}

/// Messages that are too long: how many bytes come in a first fragment, and the header that says so.
fn too_long() -> Vec<(Option<usize>, Vec<u8>)> {
    let head = |claim: u64| frame(wire::BINARY, []).claiming(claim).encode();
    let tail = |claim: u64| frame(wire::CONTINUATION, []).claiming(claim).encode();
    let max = MAX as u64;
    vec![
        (None, head(max + 1)),
        (None, head(u64::from(u32::MAX) + 1)),
        (None, head(i64::MAX as u64)),
        (Some(1), tail(max)),
        (Some(MAX), tail(1)),
        (Some(10), tail(i64::MAX as u64)),
        (
            Some(0),
            frame(wire::CONTINUATION, [])
                .more()
                .claiming(max + 1)
                .encode(),
        ),
    ]
}

/// Sends one of them.
async fn send_too_long(client: &mut Raw, first: Option<usize>, header: &[u8]) {
    if let Some(length) = first {
        client
            .send(frame(wire::BINARY, vec![7; length]).more())
            .await;
    }
    client.write(header).await;
}

#[tokio::test]
async fn a_sender_over_the_limit_is_closed_at_the_header_and_no_more_is_forwarded() {
    let relay = relay();
    for (first, header) in too_long() {
        let (mut sender, mut receiver) = raw_pair(&relay).await;
        send_too_long(&mut sender, first, &header).await;
        let (_, frames) = tokio::join!(
            sender.expect_close(1009),
            // It does not take it for a sender that left, and come again.
            receiver.frames_until_close(1009, "message_too_big")
        );
        assert!(
            frames.iter().all(|frame| !frame.fin),
            "the end of a message that was cut off"
        );
        let forwarded: usize = frames.iter().map(|frame| frame.payload.len()).sum();
        assert_eq!(
            forwarded,
            first.unwrap_or(0),
            "all before the excess, and nothing of it"
        );
    }
    relay.settled().await;
}

#[tokio::test]
async fn a_receiver_over_the_limit_is_closed_and_its_sender_hears_nothing_of_the_message() {
    let relay = relay();
    for (first, header) in too_long() {
        let (mut sender, mut receiver) = raw_pair(&relay).await;
        send_too_long(&mut receiver, first, &header).await;
        receiver.expect_close(1009).await;
        sender.expect_peer_gone().await;
        sender.expect_silence().await;
    }
    relay.settled().await;
}

#[tokio::test]
async fn the_limit_holds_before_a_request_and_while_nobody_is_paired() {
    let relay = relay();
    let header = frame(wire::TEXT, []).claiming(MAX as u64 + 1);
    let mut nobody = Raw::connect(&relay).await;
    nobody.send(header.clone()).await;
    nobody.expect_close(1009).await;
    let mut sender = Raw::connect(&relay).await;
    sender.create_room().await;
    sender.send(header).await;
    sender.expect_close(1009).await;
}

#[tokio::test]
async fn a_client_that_goes_on_sending_still_gets_to_read_why_it_was_closed() {
    let relay = relay();
    let (mut sender, mut receiver) = pair(&relay).await;
    // Were the connection just dropped with all this unread, a reset would overtake the close.
    sender.send(vec![0; 16 * MAX]).await;
    sender.expect_close(1009).await;
    receiver.expect_close(1009).await;
    relay.settled().await;
}

/// A relay with these settings, and the most that a message of a sender and of a receiver may have.
fn limits() -> [(TestRelay, usize, usize); 4] {
    const MIB: usize = 1 << 20;
    let with = |chosen: u64, of_receivers: u64| {
        TestRelay::start(move |config| {
            config.max_msg_size = chosen;
            config.max_receiver_msg_size = of_receivers;
        })
    };
    [
        (with(0, 0), 64 * MIB, 10 * MIB),
        (with(3 << 20, 0), 3 * MIB, 3 * MIB),
        (with(0, 100), 64 * MIB, 100),
        (with(2 << 20, 1 << 20), 2 * MIB, MIB),
    ]
}

#[tokio::test]
async fn a_sender_and_a_receiver_have_limits_of_their_own() {
    for (relay, of_sender, of_receiver) in limits() {
        let (mut sender, mut receiver) = pair(&relay).await;
        let longest = |size| Message::binary(vec![1; size]);
        tokio::join!(
            sender.send(longest(of_sender)),
            receiver.expect(longest(of_sender))
        );
        tokio::join!(
            receiver.send(longest(of_receiver)),
            sender.expect(longest(of_receiver))
        );
        let over = |size: usize| frame(wire::BINARY, []).claiming(size as u64 + 1);
        let (mut sender, mut receiver) = raw_pair(&relay).await;
        receiver.send(over(of_receiver)).await;
        receiver.expect_close(1009).await;
        sender.expect_peer_gone().await;
        sender.send(over(of_sender)).await;
        let words = format!(
            "message_too_big: {} bytes of at most {of_sender}",
            of_sender + 1
        );
        sender.frames_until_close(1009, &words).await;
    }
}
