//! What the tests share: a relay on a free port, a client built on an independent library, and a
//! raw socket for the bytes that no client library would send.
#![allow(dead_code, unused_imports)] // Every test program uses its own part of this.

mod client;
pub(crate) mod http;
#[cfg(target_os = "linux")]
pub(crate) mod netns;
#[cfg(target_os = "linux")]
pub(crate) mod process;
mod raw;
mod relay;
pub(crate) mod reply;
pub(crate) mod wire;

use std::{future::Future, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};

pub(crate) use client::{Client, text};
pub(crate) use raw::Raw;
pub(crate) use relay::TestRelay;
pub(crate) use wire::{Frame, frame};

/// How long anything may take that is bound to happen. It bounds the failures, not the successes.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Waits for what is bound to happen, and fails with its name where it does not.
pub(crate) async fn within<T>(awaited: &str, event: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, event).await {
        Ok(outcome) => outcome,
        Err(_) => panic!("waited {DEADLINE:?} in vain for {awaited}"),
    }
}

/// The same numbers in every run, so that a failure can be repeated.
pub(crate) fn seeded(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// Bytes without a pattern, so that a lost or a swapped piece cannot go unseen.
pub(crate) fn noise(rng: &mut StdRng, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rng.fill(&mut bytes[..]);
    bytes
}

/// Text of `length` bytes without a pattern, with characters of one to four bytes.
pub(crate) fn prose(rng: &mut StdRng, length: usize) -> String {
    const CHARACTERS: [char; 8] = ['a', 'Z', '7', '"', 'é', 'ß', '語', '🦀'];
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let next = CHARACTERS[rng.random_range(0..CHARACTERS.len())];
        text.push(if text.len() + next.len_utf8() > length {
            '.'
        } else {
            next
        });
    }
    text
}

/// A sender and its receiver, each told of the other.
pub(crate) async fn pair(relay: &TestRelay) -> (Client, Client) {
    let mut sender = Client::connect(relay).await;
    let code = sender.create_room().await;
    let mut receiver = Client::connect(relay).await;
    receiver.join(&code).await;
    sender.expect_peer().await;
    (sender, receiver)
}

/// The same pair, the sender on a raw socket.
pub(crate) async fn raw_sender_pair(relay: &TestRelay) -> (Raw, Client) {
    let mut sender = Raw::connect(relay).await;
    let code = sender.create_room().await;
    let mut receiver = Client::connect(relay).await;
    receiver.join(&code).await;
    sender.expect_peer().await;
    (sender, receiver)
}

/// The same pair, the receiver on a raw socket.
pub(crate) async fn raw_receiver_pair(relay: &TestRelay) -> (Client, Raw) {
    let mut sender = Client::connect(relay).await;
    let code = sender.create_room().await;
    let mut receiver = Raw::connect(relay).await;
    receiver.join(&code).await;
    sender.expect_peer().await;
    (sender, receiver)
}

/// The same pair, both on raw sockets.
pub(crate) async fn raw_pair(relay: &TestRelay) -> (Raw, Raw) {
    let mut sender = Raw::connect(relay).await;
    let code = sender.create_room().await;
    let mut receiver = Raw::connect(relay).await;
    receiver.join(&code).await;
    sender.expect_peer().await;
    (sender, receiver)
}
