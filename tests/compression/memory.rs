//! What compressed messages swell to takes no memory, whoever waits for whom.

use std::time::Duration;

use relay_testing::{
    Raw, frame,
    http::UPGRADE,
    process::Relay,
    wire::{BINARY, CONTINUATION, TEXT},
    within,
};
use relay_wire::frame::COMPRESSED;
use tokio::{
    io::AsyncWriteExt,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::deflated::{OFFER, deflate, deflate_within};

const KIB: usize = 1024;

/// A session without anything under way.
const IDLE: usize = 4 * KIB;
/// `RELAY_WINDOW`, its default, and the read that fills it.
const WINDOW: usize = (256 + 64) * KIB;
/// The state that inflates a message, and a piece of what comes of it.
const INFLATING: usize = 64 * KIB;
/// What the allocator keeps, and what the process needs once.
const SLACK: usize = 2 * 1024 * KIB;
/// How soon what is no longer needed is the system's again, and how often to look.
const REST: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

async fn start() -> Relay {
    Relay::start(&[
        ("RELAY_STALL_TIMEOUT", 3600),
        ("RELAY_PING_INTERVAL", 3600),
        ("RELAY_MAX_MSG_SIZE", 1 << 30),
        ("RELAY_MAX_QUEUE", 1000),
    ])
}

async fn client(relay: &Relay) -> Raw {
    let head = format!("{UPGRADE}Sec-WebSocket-Extensions: {OFFER}\r\n");
    relay.connect_by(&head).await
}

#[tokio::test]
async fn swelling_messages_wait_for_stalled_receivers_as_they_came() {
    const PAIRS: usize = 10;
    let relay = start().await;
    let bomb = frame(BINARY, deflate_within(&vec![0; 30_000_000], 15)).rsv(COMPRESSED);
    let bombs = bomb.encode().repeat(100);
    let memory = relay.watch_memory();
    let (mut pushing, mut stalled) = (JoinSet::new(), Vec::new());
    for _ in 0..PAIRS {
        let (mut sender, mut receiver) = (client(&relay).await, relay.connect().await);
        let code = sender.create_room().await;
        receiver.join(&code).await;
        sender.expect_peer().await;
        stalled.push(receiver);
        let bombs = bombs.clone();
        pushing.spawn(async move {
            let _ = sender.writer().write_all(&bombs).await;
            sender
        });
    }
    relay.until_still().await;
    let most = PAIRS * (2 * IDLE + WINDOW + INFLATING) + SLACK;
    memory.assert_within(most, "what swells for receivers that take nothing");
    assert_eq!(relay.metric("relay_sessions").await, 2 * PAIRS as u64);
    assert!(relay.metric("relay_in_flight_bytes").await > (PAIRS * 128 * KIB) as u64);
}

#[tokio::test]
async fn receivers_in_the_middle_of_messages_take_a_state_each_and_give_it_back() {
    const RECEIVERS: usize = 200;
    let relay = start().await;
    let mut sender = client(&relay).await;
    let code = sender.create_room().await;
    // As much as a window holds, and more comes of it.
    let text = deflate(&vec![b'x'; 1_000_000]);
    let (most, last) = text.split_at(text.len() - 1);
    let memory = relay.watch_memory();
    let mut receivers = Vec::new();
    for _ in 0..RECEIVERS {
        let mut receiver = client(&relay).await;
        receiver.join(&code).await;
        receiver
            .send(frame(TEXT, most).rsv(COMPRESSED).more())
            .await;
        receivers.push(receiver);
    }
    for receiver in &mut receivers {
        receiver.round_trip().await;
    }
    let states = RECEIVERS * (IDLE + INFLATING + 2 * text.len()) + SLACK;
    memory.assert_within(states, "receivers in the middle of a message");
    for receiver in &mut receivers {
        receiver.send(frame(CONTINUATION, last)).await;
        receiver.round_trip().await;
    }
    // The next messages find the place of those before, again and again.
    for _ in 0..5 {
        for receiver in &mut receivers {
            receiver.send(frame(TEXT, &text[..]).rsv(COMPRESSED)).await;
            within("a turn", receiver.round_trip()).await;
        }
    }
    let said = 12 * RECEIVERS * (text.len() + 256);
    memory.assert_within(states + said, "receivers behind their messages");
    // No state is left, though all are still there.
    let rest = RECEIVERS * IDLE + said + SLACK;
    let given_back = async {
        while memory.now() > rest {
            sleep(LOOK_AGAIN).await;
        }
    };
    let soon = timeout(REST, given_back).await;
    let left = memory.now();
    println!("{} KiB of {} KiB are left", left / KIB, rest / KIB);
    assert!(soon.is_ok(), "{left} bytes are left of {rest}");
    assert_eq!(relay.metric("relay_sessions").await, RECEIVERS as u64 + 1);
}
