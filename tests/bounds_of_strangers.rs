//! Whoever has no room yet cannot make the relay grow beyond its formula: idle sessions, requests,
//! the addresses they come from, and handshakes that never end.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use relay_testing::{
    Raw, frame,
    http::UPGRADE,
    process::{Relay, Start},
    skip::size,
    wire::TEXT,
    within,
};
use tokio::task::JoinSet;

const MIB: usize = 1024 * 1024;
const KIB: usize = 1024;

/// A session without anything under way.
const SESSION: usize = 4 * KIB;
/// What an HTTP request under way may take: its head is refused from 16 KiB on.
const HANDSHAKE: usize = 20 * KIB;
/// Requests that may be under way at once, for each worker.
const PLACES: usize = 1024;
/// A client address, or a network it is in, in one budget.
const ADDRESS: usize = 300;
/// What the allocator keeps, and what the process needs once.
const SLACK: usize = 2 * MIB;

/// The head of an upgrade with one more header of this length.
fn upgrade_with(name: &str, value: &str) -> String {
    format!("{UPGRADE}{name}: {value}\r\n")
}

#[tokio::test]
async fn a_session_that_never_asks_keeps_nothing_of_its_handshake() {
    const SESSIONS: usize = 400;
    for header in [10, 5_000, 15_000] {
        let relay = Relay::start(&[("RELAY_REQUEST_TIMEOUT", 3600)]);
        let head = upgrade_with("X-Padding", &"x".repeat(header));
        // What one handshake takes while it is under way is not what is asked about.
        relay.connect_by(&head).await.vanish();
        let memory = relay.watch_memory();
        let mut idle = Vec::new();
        for _ in 0..SESSIONS {
            idle.push(relay.connect_by(&head).await);
        }
        let name = format!("idle sessions, by a head of {header} bytes");
        memory.assert_within(SESSIONS * SESSION + SLACK, &name);
    }
}

#[tokio::test]
async fn sessions_that_never_ask_are_closed_in_time() {
    const SESSIONS: usize = 200;
    let relay = Relay::start(&[("RELAY_REQUEST_TIMEOUT", 1)]);
    let mut idle = Vec::new();
    for _ in 0..SESSIONS {
        idle.push(relay.connect().await);
    }
    // None of them answers the close, nor hangs up.
    relay.until("relay_sessions", |now| now == 0).await;
    for session in &mut idle {
        session.expect_error("request_timeout").await;
        session.expect_close(1008).await;
    }
}

#[tokio::test]
async fn sessions_beyond_the_limit_are_turned_away_and_cost_nothing() {
    let relay = Relay::start(&[("RELAY_MAX_SESSIONS", 2)]);
    let kept = [relay.connect().await, relay.connect().await];
    let memory = relay.watch_memory();
    for _ in 0..2000 {
        let mut refused = relay.dial().await;
        refused.write(format!("{UPGRADE}\r\n").as_bytes()).await;
        let answer = refused.response().await;
        assert_eq!(answer.status, 503, "{answer:?}");
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait));
    }
    memory.assert_within(SLACK, "handshakes refused");
    let [first, mut second] = kept;
    first.vanish();
    relay.until("relay_sessions", |now| now == 1).await;
    second.round_trip().await;
    relay.connect().await.round_trip().await;
}

#[tokio::test]
async fn rooms_leave_nothing_behind() {
    let rooms = size(500, 1500);
    let relay = Relay::start(&[]);
    let churn = async |times| {
        for _ in 0..times {
            let (mut sender, receiver) = relay.pair().await;
            receiver.vanish();
            sender.expect_peer_gone().await;
            sender.vanish();
        }
        relay.until("relay_sessions", |now| now == 0).await;
    };
    churn(rooms / 10).await;
    let memory = relay.watch_memory();
    churn(rooms).await;
    memory.assert_within(SLACK / 2, "rooms opened and left");
    assert_eq!(relay.metric("relay_rooms").await, 0);
    assert_eq!(relay.metric("relay_in_flight_bytes").await, 0);
}

/// A request of exactly 4 KiB, the longest that is looked into: nested as deep as it can be.
fn longest_request() -> String {
    let (open, close) = (r#"{"type":"NONE","x":"#, "}");
    let depth = (4096 - open.len() - close.len()) / 2;
    let request = format!("{open}{}{}{close}", "[".repeat(depth), "]".repeat(depth));
    format!("{request:4096}")
}

#[tokio::test]
async fn the_longest_requests_leave_nothing_behind() {
    const SESSIONS: usize = 100;
    let relay = Relay::start(&[]);
    let memory = relay.watch_memory();
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        let mut session = relay.connect().await;
        for _ in 0..20 {
            session.send(frame(TEXT, longest_request())).await;
            session.expect_error("invalid_request").await;
        }
        sessions.push(session);
    }
    memory.assert_within(SESSIONS * SESSION + SLACK, "requests of 4 KiB");
}

#[tokio::test]
async fn an_address_costs_the_same_however_much_it_asks() {
    const REQUESTS: usize = 20;
    let addresses = size(2000, 8000);
    let relay = Relay::start(&[
        ("RELAY_ADDRESS_RATE_LIMIT_MAX", REQUESTS as u64),
        ("RELAY_RATE_LIMIT_WINDOW", 3600),
    ]);
    let request = frame(TEXT, "not a request").encode().repeat(REQUESTS);
    let ask = async |number: usize| {
        let [.., high, low] = number.to_be_bytes();
        let head = upgrade_with("X-Forwarded-For", &format!("198.18.{high}.{low}"));
        let mut session: Raw = relay.connect_by(&head).await;
        session.write(&request).await;
        for _ in 0..REQUESTS {
            session.expect_error("invalid_request").await;
        }
        session.vanish();
    };
    ask(0).await;
    let memory = relay.watch_memory();
    stream::iter(1..=addresses)
        .for_each_concurrent(50, ask)
        .await;
    assert_eq!(relay.metric("relay_addresses").await, 1 + addresses as u64);
    memory.assert_within(
        addresses * ADDRESS + SLACK,
        "addresses with their budget spent",
    );
}

#[tokio::test]
async fn handshakes_that_never_end_are_dropped_and_cost_no_more_than_their_heads() {
    // More than there are places.
    const CROWD: usize = 1_500;
    // So many send the first part, and then the second: each is read by itself.
    const BATCH: usize = 50;
    rlimit::increase_nofile_limit(2 * CROWD as u64).unwrap();
    // Nobody is pinged meanwhile.
    let relay = Relay::start(&[("RELAY_PING_INTERVAL", 3600)]);
    let (mut sender, mut receiver) = relay.pair().await;
    let mut longest = upgrade_with("X", &"x".repeat(16 * KIB));
    longest.truncate(16 * KIB - 1);
    let beginnings = [
        // What the process needs once is there after these.
        ("", 0),
        // One whose memory would be a little too small after two reads, and then doubled.
        (&longest, 8_100),
        (&longest, 0),
        ("GET / HTTP/1.1\r\nHost", 0),
    ];
    for &(sent, cut) in &beginnings[..size(2, beginnings.len())] {
        let memory = relay.watch_memory();
        let began = Instant::now();
        let (first, second) = sent.as_bytes().split_at(cut);
        let mut halves = Vec::new();
        for _ in 0..CROWD / BATCH {
            let mut batch = Vec::new();
            for _ in 0..BATCH {
                let mut half = relay.dial().await;
                half.write(first).await;
                batch.push(half);
            }
            for half in &mut batch {
                // Who has lost its place meanwhile takes no more.
                let _ = half.try_write(second).await;
            }
            halves.append(&mut batch);
        }
        // Who has a session does not notice, and a newcomer is not kept out.
        sender.send(frame(TEXT, "meanwhile")).await;
        let message = receiver.next("what was sent meanwhile").await;
        assert_eq!(&message.payload[..], b"meanwhile");
        relay.connect().await.round_trip().await;
        for half in &mut halves {
            within("the end of a half handshake", half.ended()).await;
        }
        let took = began.elapsed();
        assert!(took < Duration::from_secs(15), "dropped after {took:?}");
        let name = format!("halves of a handshake, of {cut} and {} bytes", second.len());
        memory.assert_within(PLACES * HANDSHAKE + SLACK, &name);
    }
}

#[tokio::test]
async fn a_head_that_drips_is_dropped_in_time() {
    let relay = Relay::start(&[]);
    let began = Instant::now();
    let mut drip = relay.dial().await;
    drip.write(UPGRADE.as_bytes()).await;
    let mut sent = 0;
    let dripping = async {
        // A byte in time for any limit on silence, and the head never ends.
        while drip.try_write(b"x").await.is_ok() {
            sent += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    within("the end of a dripping head", dripping).await;
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    assert!(sent > 10, "dropped after {sent} bytes already");
}

/// Writes `opening`, then `unit` again and again, a pause between, for as long as it is taken.
async fn keep_at_it(mut client: Raw, opening: String, unit: String, pause: Duration) {
    if client.try_write(opening.as_bytes()).await.is_err() {
        return;
    }
    while client.try_write(unit.as_bytes()).await.is_ok() {
        tokio::time::sleep(pause).await;
    }
}

#[tokio::test]
async fn many_requests_on_a_connection_take_no_more_than_one_and_nobodys_time() {
    const CROWD: usize = 100;
    let relay = Relay::start(&[]);
    let (mut sender, mut receiver) = relay.pair().await;
    let get = |path, headers| {
        let padding = "a:\r\n".repeat(headers);
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{padding}\r\n").repeat(100)
    };
    for (path, headers) in [("/", 90), ("/metrics", 0)] {
        let memory = relay.watch_memory();
        let mut crowd = JoinSet::new();
        for _ in 0..CROWD {
            // It reads none of the answers.
            let client = relay.dial().await;
            crowd.spawn(keep_at_it(
                client,
                String::new(),
                get(path, headers),
                Duration::ZERO,
            ));
        }
        sender.send(frame(TEXT, "meanwhile")).await;
        let message = receiver.next("what was sent meanwhile").await;
        assert_eq!(&message.payload[..], b"meanwhile");
        within("the end of them all", async {
            while crowd.join_next().await.is_some() {}
        })
        .await;
        memory.assert_within(
            CROWD * HANDSHAKE + SLACK,
            &format!("many requests for {path}"),
        );
    }
}

#[tokio::test]
async fn nobody_keeps_a_connection_that_is_no_session() {
    let relay = Relay::start(&[]);
    let pause = Duration::from_millis(100);
    let began = Instant::now();
    let mut crowd = JoinSet::new();
    for (opening, unit) in [
        (
            "POST / HTTP/1.1\r\nHost: relay\r\nTransfer-Encoding: chunked\r\n\r\n",
            "1\r\nx\r\n",
        ),
        (
            "POST / HTTP/1.1\r\nHost: relay\r\nContent-Length: 1000000\r\n\r\n",
            "x",
        ),
        ("", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("", "\r\n"),
    ] {
        let client = relay.dial().await;
        crowd.spawn(keep_at_it(
            client,
            opening.to_owned(),
            unit.to_owned(),
            pause,
        ));
    }
    within("the end of them all", async {
        while crowd.join_next().await.is_some() {}
    })
    .await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
}

#[tokio::test]
async fn nonsense_fills_no_log() {
    let mut relay = Start::new().env("RUST_LOG", "").run();
    for nonsense in [
        "x\r\n\r\n",
        "\0\0",
        "GET / HTTP/9.9\r\n\r\n",
        "\u{1b}[2J\r\n\r\n",
    ] {
        let mut client = relay.dial().await;
        client.write(nonsense.as_bytes()).await;
        within("the end of it", client.ended()).await;
    }
    relay.stop().await;
    for level in ["ERROR", "WARN"] {
        assert_eq!(relay.lines_with(level), 0, "{level}");
    }
}
