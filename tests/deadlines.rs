//! README's table of dead peers, row by row: the clock is moved to each deadline, and nobody sleeps.
//!
//! The relay runs on the test's own thread, whose clock stands still until it is moved; sockets are
//! real ones. The row that the system itself keeps (`TCP_USER_TIMEOUT`) has its test beside the
//! listener's options.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    net::SocketAddr,
    panic::{AssertUnwindSafe, resume_unwind},
    sync::mpsc,
    time::{Duration, Instant},
};

use claude_distill_relay::{
    config::Config,
    process::{Counters, Relay, worker},
};
use futures_util::FutureExt;
use relay_testing::{
    DEADLINE, Frame, Raw, frame,
    http::UPGRADE,
    wire::{BINARY, CLOSE, CONTINUATION, PING, TEXT},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream, tcp::OwnedReadHalf},
    sync::oneshot,
    task,
    time::advance,
};

const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes for which the slowest peer has a second.
const SLOWEST: usize = 32 * 1024;
/// The clock moves in steps of this length, and what follows from one is done before the next.
const STEP: Duration = Duration::from_millis(100);
/// Each step ends so long after a round time, since the runtime's timers round up.
const TICK: Duration = Duration::from_millis(5);
/// A deadline that follows from another one, and is met by the step after it.
const LATE: Duration = Duration::from_millis(250);

/// A relay whose clock only this test moves.
struct Site {
    addr: SocketAddr,
    counters: Counters,
    begun: Instant,
}

/// Runs a test beside a relay with the defaults, at a clock that stands still.
fn at_a_still_clock(test: impl AsyncFnOnce(&Site)) {
    worker::system().unwrap().block_on(async {
        tokio::time::pause();
        // The runtime moves a paused clock by itself whenever all tasks wait, unless a thread works.
        // This one gives up at last, so that what waits in vain meets its own deadline.
        let (awake, asleep) = mpsc::channel::<()>();
        let working = task::spawn_blocking(move || asleep.recv_timeout(10 * DEADLINE).is_err());

        let relay = Relay::bind(Config {
            port: 0,
            ..Config::default()
        });
        let relay = relay.unwrap();
        let site = Site {
            addr: relay.local_addr(),
            counters: relay.counters(),
            begun: now(),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let running = actix_rt::spawn(relay.run(async { drop(stopped.await) }));
        // A registry that is dropped by a panic ends the process, without a word of the test's.
        let tested = AssertUnwindSafe(test(&site)).catch_unwind().await;
        // From here on it may move: the drain has deadlines of its own.
        drop((awake, stop));
        working.await.unwrap();
        running.await.unwrap().unwrap();
        tested.unwrap_or_else(|panic| resume_unwind(panic));
    });
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Lets every task do what it can: each is polled many times, and the sockets are looked at.
async fn settle() {
    for _ in 0..150 {
        task::yield_now().await;
    }
}

/// The next frame, if one is there; none from a connection that has ended.
fn next_now(client: &mut Raw) -> Option<Frame> {
    client.next_or_end("a frame").now_or_never().flatten()
}

/// The last that the relay says: a Close, and the end of the connection.
async fn expect_last_close(client: &mut Raw, code: u16, reason: &str) {
    let close = client.next("a close").await;
    let payload = [&code.to_be_bytes()[..], reason.as_bytes()].concat();
    assert_eq!((close.opcode, &close.payload[..]), (CLOSE, &payload[..]));
    assert_eq!(client.next_or_end("the end").await, None);
}

/// Shows that a client lives, whatever else it was sent.
async fn answer_pings(client: &mut Raw) {
    while let Some(frame) = next_now(client) {
        if frame.opcode == PING {
            client.pong(&frame.payload).await;
        }
    }
}

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

impl Site {
    async fn dial(&self) -> Raw {
        Raw::over(TcpStream::connect(self.addr).await.unwrap())
    }

    async fn connect(&self) -> Raw {
        let mut raw = self.dial().await;
        raw.upgrade(UPGRADE).await;
        raw
    }

    /// A session whose system takes little that it does not read.
    async fn connect_narrow(&self) -> Raw {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        let mut raw = Raw::over(socket.connect(self.addr).await.unwrap());
        raw.upgrade(UPGRADE).await;
        raw
    }

    async fn pair(&self) -> (Raw, Raw) {
        let (mut sender, code) = self.sender().await;
        let mut receiver = self.connect_narrow().await;
        receiver.join(&code).await;
        sender.expect_peer().await;
        (sender, receiver)
    }

    /// A sender, and the code of its room.
    async fn sender(&self) -> (Raw, String) {
        let mut sender = self.connect().await;
        let code = sender.create_room().await;
        (sender, code)
    }

    /// Waits until the relay reads nothing more.
    async fn until_still(&self) {
        let (mut last, mut same) = (0, 0);
        while same < 10 {
            settle().await;
            let now = self.counters.snapshot().in_flight;
            same = if now == last { same + 1 } else { 0 };
            last = now;
        }
    }

    fn sessions(&self) -> usize {
        self.counters.snapshot().sessions
    }

    /// Moves the clock to so long after the beginning.
    async fn at(&self, time: Duration) {
        loop {
            settle().await;
            let passed = now() - self.begun;
            let Some(left) = time.checked_sub(passed).filter(|left| !left.is_zero()) else {
                return;
            };
            let rounds = (passed.as_millis() / STEP.as_millis()) as u32 + 1;
            let next = STEP * rounds + TICK;
            advance(left.min(next - passed)).await;
        }
    }

    /// Of `before` sessions one is ended at this time after the beginning, and no sooner.
    async fn one_ends_at(&self, before: usize, time: Duration) {
        self.at(time - TICK).await;
        assert_eq!(self.sessions(), before, "sooner than {time:?}");
        self.at(time + LATE).await;
        assert_eq!(self.sessions(), before - 1, "not after {time:?}");
    }
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

#[test]
fn who_is_silent_behind_what_it_was_sent_has_time_to_get_it() {
    at_a_still_clock(async |site| {
        let (mut sender, mut receiver) = site.pair().await;
        let late = PING_INTERVAL - Duration::from_millis(100);
        site.at(late).await;
        // Its answer shows that the sender is there, and that all was taken up.
        sender.send(frame(BINARY, vec![7; 10 * SLOWEST])).await;
        receiver.data(10 * SLOWEST, "what it is sent").await;
        sender.round_trip().await;
        site.at(PING_INTERVAL + TICK).await;
        let behind = Duration::from_secs(10);
        let end = late + behind + PING_TIMEOUT;
        while now() + PING_TIMEOUT / 2 < site.begun + end {
            site.at(now() + PING_TIMEOUT / 2 - site.begun).await;
            sender.round_trip().await;
        }
        site.one_ends_at(2, end + Duration::from_millis(1)).await;
        sender.expect_peer_gone().await;
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
        site.at(STALL_TIMEOUT + PING_INTERVAL / 2).await;
        assert_eq!(site.sessions(), 1, "not in time");
        pushing.abort();
        read_until(&mut answers, "PEER_DISCONNECTED").await;
        // It is read again from here on, and has the time of anybody who is silent.
        let stalled = now() - site.begun;
        site.at(stalled + PING_INTERVAL + PING_TIMEOUT + 2 * TICK)
            .await;
        assert_eq!(site.sessions(), 0);
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
        let limit = STALL_TIMEOUT + PING_TIMEOUT + 2 * PING_INTERVAL;
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
        site.at(REQUEST_TIMEOUT - TICK).await;
        assert_eq!(next_now(&mut client), None);
        site.at(REQUEST_TIMEOUT + TICK).await;
        client.expect_error("request_timeout").await;
        // It does not answer our Close either.
        site.one_ends_at(1, REQUEST_TIMEOUT + CLOSE_TIMEOUT).await;
        expect_last_close(&mut client, 1008, "request_timeout").await;
    });
}

#[test]
fn a_refused_request_gives_the_time_for_another() {
    at_a_still_clock(async |site| {
        let mut client = site.connect().await;
        site.at(REQUEST_TIMEOUT - TICK).await;
        client.send(frame(TEXT, "no request")).await;
        client.expect_error("invalid_request").await;
        site.at(2 * REQUEST_TIMEOUT - 3 * TICK).await;
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
        sender.send(frame(BINARY, vec![7; 10 * SLOWEST])).await;
        receiver.data(10 * SLOWEST, "what it is sent").await;
        sender.send(frame(CLOSE, 1000_u16.to_be_bytes())).await;
        receiver.expect_end_of_message().await;
        let close = receiver.next("the end of its sender").await;
        assert_eq!(close.opcode, CLOSE);
        settle().await;
        assert_eq!(site.sessions(), 1, "the sender's is over");
        let behind = Duration::from_secs(10);
        site.one_ends_at(1, behind + CLOSE_TIMEOUT + Duration::from_millis(1))
            .await;
    });
}
