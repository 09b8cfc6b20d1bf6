//! What the relay has taken from a sender reaches its receiver after the sender's end as well,
//! however that came, and however slowly it is read.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use relay_testing::{
    Raw, TestRelay, frame,
    pairs::paired,
    skip::size,
    wire::{self, BINARY, PONG},
    within,
};
use tokio::io::AsyncWriteExt;

/// Read at once.
const PIECE: usize = 32 << 10;

/// A room whose receiver has small buffers, so that most of what it has not read is the relay's.
async fn narrow_pair(relay: &TestRelay) -> (Raw, Raw) {
    let sender = Raw::connect(relay).await;
    paired(sender, Raw::connect_narrow(relay).await).await
}

/// Bytes that the relay has read so far, of everything.
fn read_so_far(relay: &TestRelay) -> u64 {
    relay.metrics().get("relay_received_bytes_total")
}

#[tokio::test]
async fn a_receiver_that_is_slow_and_talks_is_waited_for_after_its_sender_has_closed() {
    let length = size(3 << 19, 3 << 20);
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = narrow_pair(&relay).await;
    sender.send(frame(BINARY, vec![7; length])).await;
    let closing = async {
        sender.send(wire::close(1000, "")).await;
        sender.expect_close(1000).await;
    };
    let reading = async {
        // For far longer than a client gets to answer a Close that it has received. What it says
        // meanwhile would be met with a reset, had the relay closed the socket.
        for _ in 0..length / PIECE {
            receiver.data(PIECE, "a piece of the message").await;
            receiver.send(frame(PONG, "unsolicited")).await;
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        receiver.expect_end_of_message().await;
        receiver.expect_close(1001).await;
    };
    tokio::join!(closing, reading);
    relay.settled().await;
}

#[tokio::test]
async fn a_sender_that_is_slowed_down_and_resets_has_still_sent_it_all() {
    const LENGTH: usize = 40_000;
    let relay = TestRelay::start(|config| {
        config.session_bytes_per_sec = 10_000;
        config.ping_interval = Duration::from_millis(200);
        config.stall_timeout = Duration::from_secs(1);
    });
    let (mut sender, mut receiver) = narrow_pair(&relay).await;
    // On its way or in the relay's own buffer before the reset, as it fits there.
    sender.send(frame(BINARY, vec![7; LENGTH])).await;
    sender.reset();
    let message = within("all of it", receiver.data(LENGTH, "the message")).await;
    assert_eq!(message, vec![7; LENGTH]);
    receiver.expect_close(1001).await;
}

#[tokio::test]
async fn a_sender_that_resets_while_its_receiver_pauses_has_still_sent_what_was_taken() {
    const INTERVAL: Duration = Duration::from_millis(200);
    let relay = TestRelay::start(|config| config.ping_interval = INTERVAL);
    let (mut sender, mut receiver) = narrow_pair(&relay).await;
    let message = frame(BINARY, vec![7; PIECE]).encode();
    let pushing = async {
        loop {
            sender.writer().write_all(&message).await.unwrap();
        }
    };
    // Until every buffer on the way is full.
    let mut before = 0;
    let stuck = async {
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            match read_so_far(&relay) {
                now if now == before => break,
                now => before = now,
            }
        }
    };
    tokio::select! {
        () = pushing => {}
        () = within("the relay to take no more", stuck) => {}
    }
    sender.reset();
    // The relay has looked after the sender again and again, and the receiver is not late yet.
    tokio::time::sleep(10 * INTERVAL).await;
    assert_eq!(relay.counters().sessions, 2);

    let frames = receiver.frames_until_sender_gone().await;
    assert!(!frames.is_empty());
    let after = read_so_far(&relay);
    assert!(
        after > before,
        "what lay in the system's buffer was not read"
    );
}
