//! The log of the built program: it stops nobody, whoever does not read it, and nobody can flood it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "log/events.rs"]
mod events;
#[path = "log/lost.rs"]
mod lost;

use std::{
    io::{self, BufRead, BufReader, PipeReader},
    net::{Ipv4Addr, SocketAddr},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use relay_testing::{
    DEADLINE, Raw, frame,
    http::UPGRADE,
    process::{self, Relay, Start},
    program::Program,
    wire::{BINARY, CONTINUATION, TEXT, close},
    within,
};
use tokio::{io::AsyncWriteExt, net::TcpSocket};

/// How a line ends that tells of lines that did not fit, and of those that clients cause.
const FULL: &str = " lines were left out: standard error took no more";
const OVER_BUDGET: &str = " lines were left out: clients cause more than the log has room for";
const FULL_METRIC: &str = r#"relay_log_lines_dropped_total{reason="full"}"#;
const OVER_BUDGET_METRIC: &str = r#"relay_log_lines_dropped_total{reason="over_budget"}"#;

/// The number in a line that ends so.
fn told(line: &str, end: &str) -> Option<u64> {
    let (_, number) = line.strip_suffix(end)?.rsplit_once(' ')?;
    Some(number.parse().expect("a number"))
}

/// A relay whose log goes to a pipe, and what it says there once somebody reads.
fn start_unread() -> (Relay, PipeReader) {
    let (reader, writer) = io::pipe().unwrap();
    let program = Program::new(process::program()).stderr(writer);
    let relay = Start::through(program).env("RUST_LOG", "trace,actix_http=trace");
    (relay.run(), reader)
}

/// Has clients come and go until the pipe and the queue before it are full.
async fn fill_the_log(relay: &Relay) {
    let began = Instant::now();
    while relay.metric(FULL_METRIC).await < 1000 {
        assert!(began.elapsed() < DEADLINE, "the log takes it all");
        for _ in 0..100 {
            let mut client = relay.dial().await;
            client.write(b"nonsense\r\n\r\n").await;
            within("the end of it", client.ended()).await;
        }
    }
}

#[tokio::test]
async fn a_log_that_nobody_reads_stops_nobody() {
    let (mut relay, log) = start_unread();
    assert_eq!(relay.metric(FULL_METRIC).await, 0);
    fill_the_log(&relay).await;
    let (mut sender, mut receiver) = relay.pair().await;
    sender.send(frame(TEXT, "hello")).await;
    assert_eq!(&receiver.data(5, "a message").await[..], b"hello");

    let (say, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(log).lines() {
            say.send(line.unwrap()).unwrap();
        }
    });
    let mut numbers = Vec::new();
    while numbers.is_empty() {
        let line = lines.recv_timeout(DEADLINE).expect("the number");
        numbers.extend(told(&line, FULL));
    }
    let dropped = relay.metric(FULL_METRIC).await;
    // There is nothing left to drain.
    drop((sender, receiver));
    relay.stop().await;
    let rest: Vec<_> = lines.iter().collect();
    numbers.extend(rest.iter().filter_map(|line| told(line, FULL)));
    assert_eq!(numbers.iter().sum::<u64>(), dropped);
    // What was said last is there.
    assert!(rest.iter().any(|line| line.ends_with(" INFO  stopped")));
}

#[tokio::test]
async fn a_log_that_nobody_reads_keeps_nothing_from_its_end() {
    let (mut relay, _log) = start_unread();
    fill_the_log(&relay).await;
    let began = Instant::now();
    relay.stop().await;
    // A second for the log, and the rest for a busy machine.
    let took = began.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[tokio::test]
async fn a_second_signal_ends_it_with_the_log_unread() {
    let (mut relay, _log) = start_unread();
    let _pair = relay.pair().await;
    fill_the_log(&relay).await;
    relay.signal(Signal::SIGTERM);
    let addr = relay.addr();
    let stopping = tokio::task::spawn_blocking(move || relay_testing::http::until_stopping(addr));
    stopping.await.unwrap();
    relay.signal(Signal::SIGTERM);
    assert_eq!(relay.ended().await.code(), Some(143));
}

/// A connection from this one of the addresses that all lead to this machine.
async fn dial_from(source: u8, relay: SocketAddr) -> Raw {
    let socket = TcpSocket::new_v4().unwrap();
    let source = Ipv4Addr::new(127, 0, 0, source);
    socket.bind((source, 0).into()).unwrap();
    let stream = within("a connection", socket.connect(relay)).await;
    Raw::over(stream.unwrap())
}

async fn session_from(source: u8, relay: SocketAddr) -> Raw {
    let mut raw = dial_from(source, relay).await;
    raw.upgrade(UPGRADE).await;
    raw
}

/// A relay that logs what it does by default, and for which every loopback address is a client.
fn start() -> Relay {
    let start = Start::new().env("RUST_LOG", "");
    start.env("RELAY_TRUSTED_PROXIES", "192.0.2.1").run()
}

#[tokio::test]
async fn one_client_cannot_flood_the_log_nor_hide_what_others_do() {
    const WRONG: usize = 3000;
    const PLAIN: usize = 300;
    let mut relay = start();
    let (addr, began) = (relay.addr(), Instant::now());
    let mut flooding = session_from(1, addr).await;
    for _ in 0..WRONG {
        flooding.send(frame(TEXT, "nonsense")).await;
        flooding.expect_error("invalid_request").await;
    }
    for _ in 0..PLAIN {
        let mut client = dial_from(3, addr).await;
        client.write(b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n").await;
        assert_eq!(client.response().await.status, 426);
    }
    let mut other = session_from(2, addr).await;
    other.create_room().await;
    other.vanish();
    flooding.vanish();
    relay.until("relay_sessions", |now| now == 0).await;
    relay.until("relay_rooms", |now| now == 0).await;
    let seconds = began.elapsed().as_secs() as usize + 1;
    let left_out = relay.metric(OVER_BUDGET_METRIC).await;
    assert_eq!(relay.metric(FULL_METRIC).await, 0);
    relay.stop().await;

    let refused = relay.lines_with(" refused: invalid_request");
    let plain = relay.lines_with("handshake refused: not_a_websocket");
    for shown in [refused, plain] {
        // The burst of an address, and its rate.
        assert!((80..=80 + 10 * seconds).contains(&shown), "{shown}");
    }
    let summaries = relay.lines_with(OVER_BUDGET);
    assert!((1..=seconds + 1).contains(&summaries), "{summaries}");
    assert_eq!(relay.lines_with(" opened"), 1);
    assert_eq!(relay.lines_with(" closed"), 1);
    let numbers = relay
        .said()
        .iter()
        .filter_map(|line| told(line, OVER_BUDGET));
    assert_eq!(numbers.sum::<u64>(), left_out);
    assert_eq!(refused + plain + left_out as usize, WRONG + PLAIN);
}

#[tokio::test]
async fn what_a_receiver_shows_to_have_read_is_counted_and_in_its_line() {
    const BYTES: usize = 4 << 20;
    const ARRIVED: &str = "relay_payload_arrived_bytes_total";
    let mut relay = start();
    let (mut sender, mut receiver) = relay.wide_pair().await;
    assert_eq!(relay.metric(ARRIVED).await, 0);
    // Its Pings are answered as they are come to.
    let sending = sender.send(frame(BINARY, vec![7; BYTES]));
    let (_, ()) = tokio::join!(receiver.data(BYTES, "a message"), sending);
    receiver.send(close(1000, "")).await;
    sender.expect_peer_gone().await;
    let arrived = relay.metric(ARRIVED).await;
    // All but the last, of which nothing tells: marks are a tenth of what may be on its way apart.
    let last = 512 << 10;
    assert!(
        (BYTES - last..=BYTES).contains(&(arrived as usize)),
        "{arrived}"
    );
    let line = relay.line_with(" left room ");
    let end = format!(
        "with peer_closed; {BYTES} bytes down, 0 bytes up; it has shown that {arrived} arrived"
    );
    assert!(line.ends_with(&end), "{line}");
}

#[tokio::test]
async fn a_handshake_that_is_refused_is_in_the_log_with_its_reason() {
    let start = Start::new().env("RUST_LOG", "");
    let mut relay = start.env("RELAY_MAX_SESSIONS", 1).run();
    let _only = relay.connect().await;
    let two_keys = format!("{UPGRADE}Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n");
    for (head, status, reason) in [
        (UPGRADE, 503, "relay_full"),
        (&two_keys, 400, "bad_handshake"),
        ("GET / HTTP/1.1\r\nHost: relay\r\n", 426, "not_a_websocket"),
    ] {
        let mut client = relay.dial().await;
        client.write(format!("{head}\r\n").as_bytes()).await;
        assert_eq!(client.response().await.status, status);
        let line = relay.line_with("handshake refused: ");
        assert!(
            line.ends_with(&format!(" INFO  handshake refused: {reason}")),
            "{line}"
        );
    }
}

#[tokio::test]
async fn warnings_are_not_of_that_budget() {
    // The warning comes with the first session, after everything that fills the budget.
    let mut relay = Start::new().env("RUST_LOG", "").run();
    for _ in 0..500 {
        let mut client = relay.dial().await;
        client.write(b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n").await;
        client.response().await;
    }
    let left_out = relay.metric(OVER_BUDGET_METRIC).await;
    assert!(left_out > 0);
    let _session = relay.connect().await;
    relay.line_with("WARN  a trusted proxy says nothing");
}

/// The end of the log line with this text, from there on, without the seconds in it.
fn tail(relay: &mut Relay, from: &str) -> String {
    let line = relay.line_with(from);
    let (_, tail) = line.split_once(from).unwrap();
    tail.split_once(" s").unwrap().1.to_owned()
}

/// The number of a session, and its room's hash, from the line that tells of its opening.
fn opened(relay: &mut Relay) -> (String, String) {
    let line = relay.line_with(" opened by session ");
    let (start, session) = line.split_once(" opened by session ").unwrap();
    let (_, room) = start.rsplit_once(' ').unwrap();
    (room.to_owned(), session.to_owned())
}

#[tokio::test]
async fn the_log_says_whose_end_a_room_was_and_why() {
    let start = Start::new().env("RUST_LOG", "");
    let mut relay = start.env("RELAY_MAX_MSG_SIZE", 100).run();
    let too_big = frame(TEXT, vec![b'x'; 101]).encode();
    let in_two = [
        frame(TEXT, vec![b'x'; 60]).more().encode(),
        frame(CONTINUATION, vec![b'x'; 60]).encode(),
    ];
    for (end, why) in [
        (too_big, "message_too_big (101 bytes of 100 allowed)"),
        (
            in_two.concat(),
            "message_too_big (120 bytes of 100 allowed)",
        ),
        (frame(TEXT, "x").unmasked().encode(), "unmasked_frame"),
        (frame(TEXT, [0xff]).encode(), "invalid_utf8"),
        (frame(TEXT, "x").rsv(4).encode(), "reserved_bits"),
        (close(1000, "").encode(), "peer_closed"),
        (Vec::new(), "peer_vanished"),
    ] {
        let (mut sender, mut receiver) = relay.pair().await;
        let (room, session) = opened(&mut relay);
        let line = relay.line_with(&format!(" joined room {room}"));
        let (_, other) = line.rsplit_once("session ").unwrap();
        let (other, _) = other.split_once(' ').unwrap();
        receiver.send(frame(TEXT, "four")).await;
        sender.data(4, "a message").await;
        if end.is_empty() {
            sender.vanish();
        } else {
            sender.write(&end).await;
        }
        // What of a broken message came before the break was passed on.
        let down: usize = match why.contains("120 bytes") {
            true => receiver.data(60, "the beginning").await.len(),
            false => 0,
        };
        let passed = format!("{down} bytes down, 4 bytes up");
        assert_eq!(
            tail(
                &mut relay,
                &format!("session {other} left room {room} after ")
            ),
            // It is told what it waits for in vain.
            match why.starts_with("message_too_big") {
                true => format!(" with message_too_big; {passed}"),
                false => format!(" with sender_disconnected; {passed}"),
            }
        );
        assert_eq!(
            tail(
                &mut relay,
                &format!("room {room} of session {session} closed after ")
            ),
            format!(": its sender ended with {why}; 1 receiver, {passed}")
        );
    }
}

#[tokio::test]
async fn the_log_says_why_a_receiver_left() {
    let start = Start::new().env("RUST_LOG", "");
    let start = start.env("RELAY_PING_INTERVAL", 1);
    let mut relay = start.env("RELAY_PING_TIMEOUT", 5).run();

    // It answers no Ping, and its sender does.
    let (mut sender, _mute) = relay.pair().await;
    let (room, _) = opened(&mut relay);
    sender.next_alive("the end of its receiver").await;
    let with = " with ping_timeout; 0 bytes down, 0 bytes up";
    assert_eq!(tail(&mut relay, &format!(" left room {room} after ")), with);

    // It takes nothing.
    let start = Start::new().env("RUST_LOG", "");
    let mut relay = start.env("RELAY_STALL_TIMEOUT", 1).run();
    let (sender, _stalled) = relay.pair().await;
    let (room, _) = opened(&mut relay);
    let (_reader, mut writer) = sender.split();
    let pushing = tokio::spawn(async move {
        let message = frame(BINARY, vec![0; 1 << 20]).encode();
        while writer.write_all(&message).await.is_ok() {}
    });
    let stalled = r#"relay_sessions_ended_total{reason="stalled"}"#;
    relay.until(stalled, |now| now == 1).await;
    let line = tail(&mut relay, &format!(" left room {room} after "));
    assert!(line.starts_with(" with stalled; "), "{line}");
    assert!(line.ends_with(" bytes down, 0 bytes up"), "{line}");
    pushing.abort();
}

#[tokio::test]
async fn the_log_tells_of_those_in_the_queue() {
    let mut relay = Start::new().env("RUST_LOG", "").run();
    let mut sender = relay.connect().await;
    let code = sender.create_room().await;
    let (room, _) = opened(&mut relay);
    let _first = relay.receiver(&code).await;
    relay.line_with(&format!(" joined room {room}"));
    let second = relay.receiver(&code).await;
    let line = relay.line_with(&format!(" joined room {room}"));
    assert!(line.ends_with(", number 1 in its queue"), "{line}");
    second.vanish();
    let left = tail(
        &mut relay,
        &format!(" left the queue of room {room} after "),
    );
    assert_eq!(left, " with peer_vanished");
}

#[tokio::test]
async fn the_log_has_the_addresses_of_sessions_at_debug() {
    let mut relay = Start::new().env("RUST_LOG", "debug").run();
    let _pair = relay.pair().await;
    let addresses = [(); 2].map(|()| {
        let line = relay.line_with(" from 127.0.0.1");
        let (_, session) = line.rsplit_once("session ").unwrap();
        session.strip_suffix(" from 127.0.0.1").unwrap().to_owned()
    });
    assert_eq!(opened(&mut relay).1, addresses[0]);
    relay.line_with(&format!("session {} joined room ", addresses[1]));
}
