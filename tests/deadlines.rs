//! README's table of dead peers, row by row: the clock is moved to each deadline, and nobody sleeps. And
//! a pause of the whole process, behind which the living must not be taken for dead.
//!
//! The relay runs on the test's own thread, whose clock stands still until it is moved; sockets are
//! real ones. The row that the system itself keeps (`TCP_USER_TIMEOUT`) has its test beside the
//! listener's options.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code, reason = "other tests use the rest of it")]
#[path = "deadlines/site.rs"]
mod site;

use std::time::Duration;

use claude_distill_relay::config::Config;
use futures_util::FutureExt;
use relay_testing::{
    Raw, frame,
    http::UPGRADE,
    wire::{BINARY, CLOSE, CONTINUATION, TEXT},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::tcp::OwnedReadHalf,
};

use self::site::{
    LATE, Site, TICK, answer_pings, at_a_still_clock, expect_last_close, next_now, now, settle,
    with_config,
};

const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
const LOAN_AFTER: Duration = Duration::from_millis(250);
/// Bytes of a message that goes in many frames.
const LONG: usize = 128 * 1024;

/// Reads until `text` has come.
async fn read_until(reader: &mut OwnedReadHalf, text: &str) {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(text) {
        let count = reader.read_buf(&mut seen).await.unwrap();
        assert!(count > 0, "the end instead of {text}");
    }
}

/// Whether the connection has ended, after whatever was said on it.
fn has_ended(reader: &mut OwnedReadHalf) -> bool {
    reader.read_to_end(&mut Vec::new()).now_or_never().is_some()
}

#[test]
fn who_is_silent_is_pinged_and_then_ended() {
    at_a_still_clock(async |site| {
        let mut client = site.connect().await;
        client.create_room().await;
        site.at(PING_INTERVAL - TICK).await;
        assert_eq!(next_now(&mut client), None, "before its time");
        site.at(PING_INTERVAL + TICK).await;
        client.expect_ping().await;
        site.one_ends_at(1, PING_INTERVAL + PING_TIMEOUT).await;
        expect_last_close(&mut client, 1008, "ping_timeout").await;
    });
}

/// Ends the receiver's session at this time, while its sender shows that it is there.
async fn ends_beside_its_sender(site: &Site, sender: &mut Raw, end: Duration) {
    while now() + PING_TIMEOUT / 2 < site.begun + end {
        site.at(now() + PING_TIMEOUT / 2 - site.begun).await;
        sender.round_trip().await;
    }
    site.one_ends_at(2, end + Duration::from_millis(1)).await;
    sender.expect_peer_gone().await;
}

#[test]
fn who_has_shown_that_it_got_all_is_dead_when_it_falls_silent_then() {
    at_a_still_clock(async |site| {
        let (mut sender, mut receiver) = site.pair().await;
        let late = PING_INTERVAL - Duration::from_millis(100);
        site.at(late).await;
        sender.send(frame(BINARY, vec![7; LONG])).await;
        receiver.data(LONG, "what it is sent").await;
        sender.round_trip().await;
        let end = late + PING_INTERVAL + PING_TIMEOUT;
        ends_beside_its_sender(site, &mut sender, end).await;
    });
}

#[test]
fn who_is_silent_behind_what_it_was_sent_has_the_time_of_a_stall_to_get_it() {
    at_a_still_clock(async |site| {
        let (mut sender, _receiver) = site.pair().await;
        let late = PING_INTERVAL - Duration::from_millis(100);
        site.at(late).await;
        // All of it may be on its way, and there are Pings within it.
        sender.send(frame(BINARY, vec![7; 24 * 1024])).await;
        sender.round_trip().await;
        // It has been silent for longer than what it was sent.
        let end = PING_INTERVAL + STALL_TIMEOUT;
        ends_beside_its_sender(site, &mut sender, end).await;
    });
}

#[test]
fn who_takes_nothing_of_more_than_may_be_on_its_way_has_the_time_of_a_stall() {
    at_a_still_clock(async |site| {
        let (mut sender, _receiver) = site.pair().await;
        let late = PING_INTERVAL - Duration::from_millis(100);
        site.at(late).await;
        sender.send(frame(BINARY, vec![7; LONG])).await;
        sender.round_trip().await;
        ends_beside_its_sender(site, &mut sender, late + STALL_TIMEOUT).await;
    });
}

#[test]
fn who_stops_in_mid_message_has_twice_the_time_at_most() {
    at_a_still_clock(async |site| {
        let mut client = site.connect().await;
        client.create_room().await;
        client.send(frame(BINARY, "begun").more()).await;
        client.expect_error("no_peer").await;
        site.at(PING_INTERVAL + TICK).await;
        client.expect_ping().await;
        site.at(PING_INTERVAL + 2 * TICK).await;
        client.send(frame(CONTINUATION, "goes on").more()).await;
        site.one_ends_at(1, PING_INTERVAL + 2 * PING_TIMEOUT).await;
    });
}

#[test]
fn who_takes_no_bytes_is_ended_and_its_sender_goes_on() {
    at_a_still_clock(async |site| {
        let (sender, _receiver) = site.pair().await;
        let (mut answers, mut writer) = sender.split();
        let pushing = actix_rt::spawn(async move {
            let message = frame(BINARY, vec![7; 1 << 20]).encode();
            loop {
                writer.write_all(&message).await.unwrap();
            }
        });
        site.until_still().await;
        // The sender is not read, and pinged all the same. The system may take a little more when
        // it is offered, which begins the stall anew.
        site.at(STALL_TIMEOUT - TICK).await;
        assert_eq!(site.sessions(), 2, "sooner");
        let mut time = STALL_TIMEOUT;
        while site.sessions() == 2 {
            assert!(time < STALL_TIMEOUT + PING_INTERVAL / 2, "not in time");
            time += 20 * TICK;
            site.at(time).await;
        }
        pushing.abort();
        read_until(&mut answers, "PEER_DISCONNECTED").await;
        // It is read again from here on, and has the time of anybody who is silent.
        let stalled = now() - site.begun;
        site.at(stalled + PING_INTERVAL + PING_TIMEOUT + 2 * TICK)
            .await;
        assert_eq!(site.sessions(), 0);
    });
}

/// A sender that is read no further, as there is no memory to lend, is tried again when there may be some.
#[test]
fn a_sender_that_there_was_no_memory_for_is_read_on_soon_after_there_is() {
    const LENT: usize = 1 << 20;
    let config = |config: &mut Config| {
        config.max_buffered = 2 * LENT;
        config.address_buffered = 2 * LENT;
    };
    with_config(config, async |site| {
        let long = frame(BINARY, vec![7; 16 << 20]).encode();
        let mut others = Vec::new();
        for _ in 0..2 {
            let (sender, receiver) = site.pair().await;
            let (answers, mut writer) = sender.split();
            let long = long.clone();
            let pushing = actix_rt::spawn(async move { writer.write_all(&long).await });
            site.until_still().await;
            site.at(now() - site.begun + LOAN_AFTER + TICK).await;
            site.until_still().await;
            let lent = site.now().buffered;
            assert!(lent <= LENT && lent > LENT - 128 * 1024, "{lent}");
            others.push((answers, receiver, pushing));
        }
        let (_answers, receiver, pushing) = others.remove(0);
        pushing.abort();
        receiver.vanish();
        site.until_still().await;
        site.at(now() - site.begun + LOAN_AFTER + TICK).await;
        site.until_still().await;
        let lent = site.now().buffered;
        assert!(lent <= LENT && lent > LENT - 128 * 1024, "{lent}");
    });
}

#[test]
fn who_fills_its_window_in_a_queue_and_leaves_is_noticed() {
    at_a_still_clock(async |site| {
        let (mut sender, code) = site.sender().await;
        let mut paired = site.connect().await;
        paired.join(&code).await;
        let mut queued = site.connect().await;
        queued.join(&code).await;
        queued
            .write(&frame(BINARY, vec![7; 1 << 20]).encode())
            .await;
        site.until_still().await;
        queued.vanish();
        let mut time = Duration::ZERO;
        let limit = STALL_TIMEOUT + PING_TIMEOUT + 4 * PING_INTERVAL;
        while site.sessions() == 3 {
            assert!(time < limit, "still there after {time:?}");
            time += PING_INTERVAL / 2;
            site.at(time).await;
            answer_pings(&mut sender).await;
            answer_pings(&mut paired).await;
        }
        assert!(time >= STALL_TIMEOUT, "ended after {time:?}");
        assert_eq!(site.sessions(), 2);
    });
}

#[test]
fn who_asks_for_nothing_is_ended() {
    at_a_still_clock(async |site| {
        let mut client = site.connect().await;
        site.alive_until(REQUEST_TIMEOUT - TICK, [&mut client])
            .await;
        assert_eq!(next_now(&mut client), None);
        site.at(REQUEST_TIMEOUT + TICK).await;
        client.expect_error("request_timeout").await;
        // It does not answer our Close either.
        site.one_ends_at(1, REQUEST_TIMEOUT + CLOSE_TIMEOUT).await;
        expect_last_close(&mut client, 1008, "request_timeout").await;
    });
}

/// Connects so many that ask for nothing.
async fn silent(site: &Site, count: usize) -> Vec<Raw> {
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(site.connect().await);
    }
    clients
}

#[test]
fn silent_ones_keep_the_places_for_a_third_of_the_time_while_more_than_half_are_taken() {
    let adjust = |config: &mut Config| config.max_sessions = 4;
    with_config(adjust, async |site| {
        let third = REQUEST_TIMEOUT / 3;
        let mut early = silent(site, 2).await;
        // Half of the places are enough for the others.
        site.at(third + third / 2).await;
        assert_eq!(site.sessions(), 2);
        let mut late = silent(site, 2).await;
        let begun = now() - site.begun;
        let mut newcomer = site.dial().await;
        newcomer.write(format!("{UPGRADE}\r\n").as_bytes()).await;
        assert_eq!(newcomer.response().await.status, 503);
        for (clients, time) in [(&mut early, 2 * third), (&mut late, begun + third)] {
            site.at(time - TICK).await;
            for client in clients.iter_mut() {
                assert_eq!(next_now(client), None, "before {time:?}");
            }
            site.at(time + TICK).await;
            for client in clients.iter_mut() {
                client.expect_error("request_timeout").await;
            }
        }
        // They do not answer our Close either.
        site.at(begun + third + CLOSE_TIMEOUT + LATE).await;
        assert_eq!(site.sessions(), 0);
        site.connect().await.create_room().await;
    });
}

#[test]
fn silent_ones_of_one_address_need_its_share_alone_for_that() {
    let adjust = |config: &mut Config| config.address_sessions = 2;
    with_config(adjust, async |site| {
        let mut crowd = [site.connect().await, site.connect().await];
        let mut neighbour = site.connect_for("192.0.2.1").await;
        site.at(REQUEST_TIMEOUT / 3 + TICK).await;
        for client in &mut crowd {
            client.expect_error("request_timeout").await;
        }
        assert_eq!(next_now(&mut neighbour), None);
    });
}

#[test]
fn a_person_may_take_twenty_seconds_to_type_each_line_of_the_quick_try() {
    const PACE: Duration = Duration::from_secs(20);
    at_a_still_clock(async |site| {
        let mut sender = site.connect().await;
        site.at(PACE - TICK).await;
        let code = sender.create_room().await;
        site.alive_until(2 * PACE, [&mut sender]).await;
        let mut receiver = site.connect().await;
        let typed = [&mut sender, &mut receiver];
        site.alive_until(3 * PACE - TICK, typed).await;
        receiver.join(&code).await;
        sender.expect_peer().await;
        let typed = [&mut sender, &mut receiver];
        site.alive_until(4 * PACE, typed).await;
        receiver.send(frame(TEXT, "hello")).await;
        assert_eq!(sender.next_but_pings("a line").await.payload, "hello");
    });
}

#[test]
fn a_refused_request_gives_the_time_for_another() {
    at_a_still_clock(async |site| {
        let mut client = site.connect().await;
        let first = REQUEST_TIMEOUT - TICK;
        site.alive_until(first, [&mut client]).await;
        client.send(frame(TEXT, "no request")).await;
        client.expect_error("invalid_request").await;
        let second = 2 * REQUEST_TIMEOUT - 3 * TICK;
        site.alive_until(second, [&mut client]).await;
        assert_eq!(next_now(&mut client), None);
        site.at(2 * REQUEST_TIMEOUT + TICK).await;
        client.expect_error("request_timeout").await;
    });
}

#[test]
fn who_sends_half_an_http_request_is_ended() {
    at_a_still_clock(async |site| {
        let mut client = site.dial().await;
        client.write(&UPGRADE.as_bytes()[..40]).await;
        let (mut reader, _writer) = client.split();
        site.at(HEAD_TIMEOUT - TICK).await;
        assert!(!has_ended(&mut reader), "sooner");
        site.at(HEAD_TIMEOUT + TICK).await;
        assert!(has_ended(&mut reader), "not after its time");
    });
}

#[test]
fn who_sends_a_request_that_makes_no_session_gets_one_answer() {
    at_a_still_clock(async |site| {
        let mut client = site.dial().await;
        client
            .write(b"POST / HTTP/1.1\r\nHost: relay\r\nContent-Length: 1000\r\n\r\n")
            .await;
        assert_eq!(client.response().await.status, 426);
        let (mut reader, _writer) = client.split();
        site.at(2 * HEAD_TIMEOUT + TICK).await;
        assert!(has_ended(&mut reader));
        assert_eq!(site.sessions(), 0);
    });
}

#[test]
fn who_does_not_answer_our_close_is_ended() {
    at_a_still_clock(async |site| {
        let (mut sender, mut receiver) = site.pair().await;
        sender.send(frame(BINARY, vec![7; LONG])).await;
        receiver.data(LONG, "what it is sent").await;
        sender.send(frame(CLOSE, 1000_u16.to_be_bytes())).await;
        receiver.expect_end_of_message().await;
        let close = receiver.next("the end of its sender").await;
        assert_eq!(close.opcode, CLOSE);
        settle().await;
        assert_eq!(site.sessions(), 1, "the sender's is over");
        // It has answered the Pings within what it was sent.
        site.one_ends_at(1, CLOSE_TIMEOUT + Duration::from_millis(1))
            .await;
    });
}

#[test]
fn a_pair_that_moves_no_data_ends_and_its_sender_goes_on() {
    const PAIR_IDLE: Duration = Duration::from_secs(160);
    const LOOK: Duration = Duration::from_secs(20);
    let adjust = |config: &mut Config| config.pair_idle = PAIR_IDLE;
    with_config(adjust, async |site| {
        let (mut sender, code) = site.sender().await;
        let mut receiver = site.connect().await;
        receiver.join(&code).await;
        sender.expect_peer().await;
        let last = LOOK * 3 / 2;
        site.alive_until(last, [&mut sender, &mut receiver]).await;
        sender.send(frame(BINARY, "the last")).await;
        let data = receiver.next("data").await;
        assert_eq!(&data.payload[..], b"the last");

        // From the next look on. What goes to and fro until then are Pings and Pongs.
        let end = 2 * LOOK + PAIR_IDLE;
        let quiet = [&mut sender, &mut receiver];
        site.alive_until(end - TICK, quiet).await;
        assert_eq!((next_now(&mut receiver), site.sessions()), (None, 2));
        site.at(end + LATE).await;
        receiver.send(frame(CLOSE, 1008_u16.to_be_bytes())).await;
        expect_last_close(&mut receiver, 1008, "pair_idle").await;
        sender.expect_peer_gone().await;
        answer_pings(&mut sender).await;
        site.connect().await.join(&code).await;
        sender.expect_peer().await;
    });
}

/// All clients share one address.
fn with_budgets(config: &mut Config) {
    (config.rate_limit_max, config.address_rate_limit_max) = (1000, 1000);
}

/// As many as it takes to see whether all of them are looked at.
async fn crowd(connect: impl AsyncFn() -> Raw) -> Vec<Raw> {
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(connect().await);
    }
    clients
}

#[test]
fn whose_answer_came_during_a_pause_lives_on() {
    with_config(with_budgets, async |site| {
        let mut clients = crowd(async || site.connect().await).await;
        for client in &mut clients {
            client.create_room().await;
        }
        site.at(PING_INTERVAL + TICK).await;
        for client in &mut clients {
            let ping = client.expect_ping().await;
            client.pong(&ping).await;
        }
        // This one does not answer.
        let mut silent = site.sender().await.0;
        site.at(2 * PING_INTERVAL + 3 * TICK).await;
        for client in clients.iter_mut().chain([&mut silent]) {
            client.expect_ping().await;
        }
        for client in &mut clients {
            client.pong(&2_u64.to_be_bytes().to_vec().into()).await;
        }
        site.pause(10 * PING_TIMEOUT).await;
        site.at(now() - site.begun + 2 * TICK).await;
        assert_eq!(site.sessions(), clients.len(), "the silent one is gone");
        site.at(now() - site.begun + PING_INTERVAL / 2).await;
        assert_eq!(site.sessions(), clients.len());
    });
}

#[test]
fn whose_request_came_during_a_pause_is_answered() {
    with_config(with_budgets, async |site| {
        let mut clients = crowd(async || site.connect().await).await;
        let request = frame(TEXT, r#"{"type":"CREATE_ROOM"}"#).encode();
        for client in &mut clients {
            client.write(&request).await;
        }
        site.pause(10 * REQUEST_TIMEOUT).await;
        for client in &mut clients {
            let answer = client.next_but_pings("an answer").await;
            let answer = String::from_utf8_lossy(&answer.payload);
            assert!(answer.contains("ROOM_CREATED"), "{answer}");
        }
    });
}

#[test]
fn whose_head_came_during_a_pause_has_its_session() {
    with_config(with_budgets, async |site| {
        let mut clients = crowd(async || site.dial().await).await;
        // They are accepted, and their heads are due.
        settle().await;
        for client in &mut clients {
            client.write(format!("{UPGRADE}\r\n").as_bytes()).await;
        }
        site.pause(10 * HEAD_TIMEOUT).await;
        for client in &mut clients {
            assert_eq!(client.response().await.status, 101);
        }
    });
}
