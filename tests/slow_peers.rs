//! Who reads slowly slows down whoever sends to it: bounded memory, nothing lost, no room held.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use relay_testing::{
    Client, Raw, TestRelay, frame, noise, pair, seeded, skip::size, text, wire, within,
};
use tokio::{io::AsyncWriteExt, net::tcp::OwnedWriteHalf, task::JoinHandle};
use tokio_tungstenite::tungstenite::Message;

const WINDOW: usize = 256 << 10;
/// What a window may be overdrawn by: the rest of the read that filled it.
const LITTLE: usize = WINDOW / 2;
/// What the operating system's buffers on the way may take in, at both of the relay's sockets.
const HIDDEN: usize = 16 << 20;
/// What is pushed at a peer that does not read: far more than could hide anywhere.
const PUSHED: usize = 24 << 20;
const MESSAGE: usize = 1 << 20;

/// Writes in the background, counting what was taken from it.
struct Push {
    taken: Arc<AtomicUsize>,
    task: JoinHandle<OwnedWriteHalf>,
}

impl Push {
    /// Writes these bytes over and over, until there were so many of them.
    fn start(mut writer: OwnedWriteHalf, bytes: Vec<u8>, total: usize) -> Self {
        let taken = Arc::new(AtomicUsize::new(0));
        let counter = taken.clone();
        let task = tokio::spawn(async move {
            while counter.load(Ordering::Relaxed) < total {
                for chunk in bytes.chunks(64 << 10) {
                    writer.write_all(chunk).await.expect("a write");
                    counter.fetch_add(chunk.len(), Ordering::Relaxed);
                }
            }
            writer
        });
        Self { taken, task }
    }

    /// Waits until the relay takes no more, and returns what it has taken, and the most that it
    /// held meanwhile. Taking it for stuck too early can only make the numbers smaller.
    async fn stuck(&self, relay: &TestRelay) -> (usize, usize) {
        let still = async {
            let (mut taken, mut since, mut held) = (0, Instant::now(), 0);
            while since.elapsed() < Duration::from_secs(1) {
                tokio::time::sleep(Duration::from_millis(5)).await;
                let now = relay.counters();
                held = held.max(now.in_flight + now.buffered);
                let latest = self.taken.load(Ordering::Relaxed);
                if latest != taken {
                    (taken, since) = (latest, Instant::now());
                }
            }
            (taken, held)
        };
        let (taken, held) = within("the relay to take no more", still).await;
        assert!(
            !self.task.is_finished(),
            "{taken} bytes were taken, and nobody read them"
        );
        assert!(
            taken < HIDDEN,
            "{taken} bytes were taken, and nobody read them"
        );
        (taken, held)
    }

    async fn finished(self) -> OwnedWriteHalf {
        within("all to be taken", self.task)
            .await
            .expect("a writer that does not fail")
    }
}

/// A room whose receiver reads only when it is told to; the sender is split for writing apart.
async fn stalled_pair(relay: &TestRelay) -> (String, Raw, Raw) {
    let mut sender = Raw::connect_narrow(relay).await;
    let code = sender.create_room().await;
    let mut receiver = Raw::connect_narrow(relay).await;
    receiver.join(&code).await;
    sender.expect_peer().await;
    (code, sender, receiver)
}

fn message(seed: u64) -> (Vec<u8>, Vec<u8>) {
    let payload = noise(&mut seeded(seed), MESSAGE);
    (frame(wire::BINARY, payload.clone()).encode(), payload)
}

#[tokio::test]
async fn a_receiver_that_does_not_read_stops_its_sender_and_nothing_is_lost() {
    // With memory to read on from it would stop at the end of a message.
    let relay = TestRelay::start(|config| config.max_buffered = 0);
    let (_, sender, mut receiver) = stalled_pair(&relay).await;
    let (_reader, writer) = sender.split();
    let (bytes, payload) = message(1);
    let push = Push::start(writer, bytes, PUSHED);
    let (_, held) = push.stuck(&relay).await;
    assert!(held <= WINDOW + LITTLE, "{held} bytes are held");

    // Meanwhile others are served.
    let (mut other, mut peer) = pair(&relay).await;
    tokio::join!(other.send(vec![0; 4 << 20]), peer.expect(vec![0; 4 << 20]));

    for _ in 0..PUSHED.div_ceil(MESSAGE + 14) {
        let received = receiver.data(MESSAGE, "a message that was held up").await;
        assert!(received == payload, "other bytes than were sent");
        receiver.expect_end_of_message().await;
    }
    let _writer = push.finished().await;
    receiver.expect_silence().await;
    relay
        .until("nothing to be held", |now| now.in_flight == 0)
        .await;
}

#[tokio::test]
async fn a_sender_that_does_not_read_stops_its_receiver_and_nothing_is_lost() {
    let relay = TestRelay::start(|_| {});
    let (_, mut sender, receiver) = stalled_pair(&relay).await;
    let (_reader, writer) = receiver.split();
    let (bytes, payload) = message(2);
    let push = Push::start(writer, bytes, PUSHED);
    let (_, held) = push.stuck(&relay).await;
    // Whole messages are assembled for a sender: a few of them may be on their way.
    assert!(held <= 4 * MESSAGE, "{held} bytes are held");
    for _ in 0..PUSHED.div_ceil(MESSAGE + 14) {
        let received = sender.data(MESSAGE, "a message that was held up").await;
        assert!(received == payload, "other bytes than were sent");
        sender.expect_end_of_message().await;
    }
    let _writer = push.finished().await;
    sender.expect_silence().await;
    relay
        .until("nothing to be held", |now| {
            now.in_flight == 0 && now.buffered == 0
        })
        .await;
}

#[tokio::test]
async fn small_messages_to_a_sender_that_does_not_read_are_bounded_as_well() {
    let relay = TestRelay::start(|_| {});
    let (_, mut sender, receiver) = stalled_pair(&relay).await;
    let (_reader, writer) = receiver.split();
    let bytes = frame(wire::TEXT, "x".repeat(1000)).encode().repeat(64);
    let push = Push::start(writer, bytes.clone(), PUSHED);
    let (_, held) = push.stuck(&relay).await;
    assert!(held <= 2 * (WINDOW + LITTLE), "{held} bytes are held");
    for _ in 0..64 * PUSHED.div_ceil(bytes.len()) {
        assert_eq!(sender.next_alive("a message").await.payload.len(), 1000);
    }
    let _writer = push.finished().await;
}

#[tokio::test]
async fn a_queued_receiver_may_send_ahead_as_much_as_the_window_and_the_rest_waits() {
    let relay = TestRelay::start(|_| {});
    let (code, mut sender, paired) = stalled_pair(&relay).await;
    let mut queued = Raw::connect_narrow(&relay).await;
    queued.join(&code).await;
    let (_reader, writer) = queued.split();
    let (bytes, payload) = message(3);
    let push = Push::start(writer, bytes, PUSHED);
    let (_, held) = push.stuck(&relay).await;
    assert!(held >= WINDOW / 2, "only {held} bytes are held");
    assert!(held <= WINDOW + LITTLE, "{held} bytes are held");
    paired.vanish();
    sender.expect_peer_gone().await;
    let barrier = sender.expect_ping().await;
    sender.pong(&barrier).await;
    sender.expect_peer().await;
    for _ in 0..PUSHED.div_ceil(MESSAGE + 14) {
        assert!(
            sender.data(MESSAGE, "a message").await == payload,
            "other bytes than were sent"
        );
        sender.expect_end_of_message().await;
    }
    let _writer = push.finished().await;
}

#[tokio::test]
async fn a_flood_of_tiny_frames_is_not_free() {
    let relay = TestRelay::start(|_| {});
    let message = frame(wire::TEXT, "").encode().repeat(10_000);
    let fragment = frame(wire::CONTINUATION, "x")
        .more()
        .encode()
        .repeat(10_000);
    for (first, flood) in [
        (frame(wire::TEXT, ""), message),
        (frame(wire::TEXT, "").more(), fragment),
    ] {
        let (code, _sender, _paired) = stalled_pair(&relay).await;
        let mut queued = Raw::connect_narrow(&relay).await;
        queued.join(&code).await;
        queued.send(first).await;
        let (_reader, writer) = queued.split();
        let push = Push::start(writer, flood, PUSHED);
        push.stuck(&relay).await;
        push.task.abort();
    }
    relay.settled().await;
}

#[tokio::test]
async fn a_receiver_that_stays_stalled_is_dropped_and_the_next_one_served() {
    const STALL: Duration = Duration::from_secs(2);
    let relay = TestRelay::start(|config| config.stall_timeout = STALL);
    let (code, mut sender, _stalled) = stalled_pair(&relay).await;
    let mut next = Client::connect(&relay).await;
    next.join(&code).await;
    let (bytes, _) = message(4);
    let before = Instant::now();
    // What was for the stalled one is dropped when that is gone, so that all of it is taken.
    let writing = async {
        let all = bytes.repeat(PUSHED / MESSAGE);
        sender.write(&all).await;
        sender
    };
    let (mut sender, ()) = tokio::join!(writing, async {
        relay
            .until("the stalled one to be dropped", |now| now.sessions == 2)
            .await;
        // It has half the time of a stall, as another waits for its place.
        assert!(
            before.elapsed() >= STALL / 2,
            "dropped after {:?}",
            before.elapsed()
        );
    });
    sender.expect_peer_gone().await;
    let barrier = sender.expect_ping().await;
    sender.pong(&barrier).await;
    sender.expect_peer().await;
    sender.send(frame(wire::TEXT, "for the next")).await;
    next.expect("for the next").await;
    relay
        .until("nothing to be held", |now| now.in_flight == 0)
        .await;
}

#[tokio::test]
async fn a_sender_that_stays_stalled_is_dropped_with_its_room() {
    let relay = TestRelay::start(|config| config.stall_timeout = Duration::from_secs(2));
    let (code, _stalled, mut receiver) = stalled_pair(&relay).await;
    let mut queued = Client::connect(&relay).await;
    queued.join(&code).await;
    let (bytes, _) = message(5);
    let writing = async {
        loop {
            if receiver.writer().write_all(&bytes).await.is_err() {
                break; // It was closed, and goes on writing: that ends in a reset.
            }
        }
    };
    let dropped = async {
        queued
            .expect_close_after_error("sender_disconnected", 1001)
            .await;
    };
    let before = Instant::now();
    tokio::join!(within("the receiver to be closed", writing), dropped);
    // Long before any other clock of it would ring.
    let took = before.elapsed();
    assert!(took < Duration::from_secs(8), "dropped after {took:?}");
    relay.settled().await;
}

#[tokio::test]
async fn a_receiver_that_reads_slowly_but_steadily_is_neither_stalled_nor_dead() {
    const PIECE: usize = 64 << 10;
    let relay = TestRelay::start(|config| {
        config.stall_timeout = Duration::from_secs(2);
        config.ping_interval = Duration::from_millis(500);
        config.ping_timeout = Duration::from_secs(2);
    });
    let mut sender = Client::connect(&relay).await;
    let code = sender.create_room().await;
    let mut receiver = Raw::connect_narrow(&relay).await;
    receiver.join(&code).await;
    sender.expect_peer().await;
    let (_, payload) = message(6);
    let messages = vec![Message::binary(payload.clone()); PUSHED / MESSAGE];
    let reading = async {
        // For longer than each of the timeouts by far, and so slowly that the system's buffer has
        // no room to speak of for longer as well.
        let (before, slowly) = (Instant::now(), Duration::from_secs(size(5, 9)));
        for _ in &messages {
            for expected in payload.chunks(PIECE) {
                let piece = receiver.data(PIECE, "a piece of a message").await;
                assert!(piece == expected, "other bytes than were sent");
                if before.elapsed() < slowly {
                    tokio::time::sleep(Duration::from_millis(400)).await;
                }
            }
            receiver.expect_end_of_message().await;
        }
        receiver.send(frame(wire::TEXT, "ACK")).await;
    };
    let ack = [text("ACK")];
    tokio::join!(sender.exchange(&messages, &ack), reading);
}

#[tokio::test]
async fn who_is_told_to_leave_and_takes_nothing_ended_as_it_was_told() {
    let relay = TestRelay::start(|config| config.stall_timeout = Duration::from_secs(2));
    let (_, sender, mut receiver) = stalled_pair(&relay).await;
    let (_reader, writer) = sender.split();
    let _push = Push::start(writer, message(7).0, PUSHED);
    relay
        .until("its window to be full", |now| now.in_flight > 192 << 10)
        .await;
    receiver.send(frame(wire::TEXT, "x").unmasked()).await;
    relay.until("its end", |now| now.sessions == 1).await;
    let metrics = relay.metrics();
    for (reason, count) in [("unmasked_frame", 1), ("stalled", 0)] {
        let name = format!("relay_sessions_ended_total{{reason=\"{reason}\"}}");
        assert_eq!(metrics.get(&name), count, "{name}");
    }
}
