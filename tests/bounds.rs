//! What clients send cannot make the relay grow beyond its formula: their data, whatever its shape,
//! and whoever does not read it. The relay is a process of its own, held to its resident memory.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use nix::sys::signal::Signal;
use relay_testing::{
    Raw, frame,
    process::Relay,
    wire::{BINARY, CONTINUATION, Outgoing, PING, PONG, TEXT},
    within,
};
use tokio::{
    io::AsyncWriteExt,
    task::{AbortHandle, JoinSet},
};

const MIB: usize = 1024 * 1024;
const KIB: usize = 1024;

/// Sessions of a kind that do their worst together.
const CROWD: usize = 20;
/// What each of them pushes, if it is let.
const PUSHED: usize = 160 * MIB;
/// What each of them pushes that the relay has to read, as it is for nobody.
const DIGESTED: usize = 2 * MIB;

/// `RELAY_WINDOW`, its default.
const WINDOW: usize = 256 * KIB;
/// A session without anything under way.
const IDLE: usize = 4 * KIB;
/// What is read at once, and taken after the window has room for it.
const READ: usize = 64 * KIB;
/// What the allocator keeps, and what the process needs once.
const SLACK: usize = 2 * MIB;

/// A relay that waits for nobody's sign of life: most of these clients never give one, and on a
/// busy machine they are at it for long. A pair has met there already: the pages of the program that
/// this takes are not what is asked about.
async fn start(settings: &[(&str, u64)]) -> Relay {
    let patient = [
        ("RELAY_STALL_TIMEOUT", 3600),
        ("RELAY_PING_INTERVAL", 3600),
        ("RELAY_REQUEST_TIMEOUT", 3600),
    ];
    let relay = Relay::start(&[&patient, settings].concat());
    let (mut sender, receiver) = relay.pair().await;
    receiver.vanish();
    sender.expect_peer_gone().await;
    sender.vanish();
    relay.until("relay_sessions", |now| now == 0).await;
    relay
}

/// The ceiling of so many sessions with full windows.
fn windows(sessions: usize) -> usize {
    sessions * (IDLE + WINDOW + READ) + SLACK
}

/// Writes the same bytes again and again, `total` in all, in writes of this size, for as long as
/// they are taken.
fn push(writer: &mut JoinSet<Raw>, mut from: Raw, unit: Vec<u8>, total: usize) -> AbortHandle {
    writer.spawn(async move {
        let mut written = 0;
        // The relay may close; that is an end as well.
        while written < total && from.writer().write_all(&unit).await.is_ok() {
            written += unit.len();
        }
        from
    })
}

fn repeated(frames: &[Outgoing], at_least: usize) -> Vec<u8> {
    let once: Vec<u8> = frames.iter().flat_map(Outgoing::encode).collect();
    once.repeat(at_least.div_ceil(once.len()))
}

/// A shape of data.
struct Shape {
    name: &'static str,
    /// Written before anything else.
    opening: Vec<u8>,
    /// Written again and again.
    unit: Vec<u8>,
    total: usize,
    /// How many do so at once.
    crowd: usize,
}

fn shapes() -> Vec<Shape> {
    let shape = |name, opening, unit| Shape {
        name,
        opening,
        unit,
        total: PUSHED,
        crowd: CROWD,
    };
    // Slow to make, and slow to read.
    let single = |name, opening, unit| Shape {
        crowd: CROWD / 5,
        ..shape(name, opening, unit)
    };
    let fragment = |bytes: &[u8]| frame(CONTINUATION, bytes).more();
    let open = frame(BINARY, "").more().encode();
    vec![
        shape(
            "long messages",
            vec![],
            frame(BINARY, vec![7; MIB]).encode(),
        ),
        shape("empty messages", vec![], repeated(&[frame(TEXT, "")], READ)),
        shape(
            "messages of a byte",
            vec![],
            repeated(&[frame(TEXT, "x")], READ),
        ),
        single(
            "messages of a byte, a segment each",
            vec![],
            frame(TEXT, "x").encode(),
        ),
        shape(
            "fragments of a byte",
            open.clone(),
            repeated(&[fragment(b"x")], READ),
        ),
        single(
            "fragments of a byte, a segment each",
            open.clone(),
            fragment(b"x").encode(),
        ),
        Shape {
            total: DIGESTED,
            ..shape("empty fragments", open, repeated(&[fragment(b"")], READ))
        },
        shape(
            "pings between messages",
            vec![],
            repeated(&[frame(PING, ""), frame(TEXT, "x")], READ),
        ),
    ]
}

#[tokio::test]
async fn stalled_receivers_hold_no_more_than_the_windows_of_their_senders() {
    for Shape {
        name,
        opening,
        unit,
        total,
        crowd,
    } in shapes()
    {
        let relay = start(&[]).await;
        let memory = relay.watch_memory();
        let (mut pushing, mut stalled) = (JoinSet::new(), Vec::new());
        for _ in 0..crowd {
            let (mut sender, receiver) = relay.pair().await;
            sender.write(&opening).await;
            push(&mut pushing, sender, unit.clone(), total);
            stalled.push(receiver);
        }
        relay.until_still().await;
        memory.assert_within(windows(crowd), name);
        assert_eq!(relay.metric("relay_sessions").await, 2 * crowd as u64);
    }
}

#[tokio::test]
async fn who_reads_no_pongs_is_read_no_further() {
    let relay = start(&[]).await;
    let memory = relay.watch_memory();
    let mut pushing = JoinSet::new();
    for payload in [0, 125] {
        let pings = repeated(&[frame(PING, vec![7; payload])], READ);
        for _ in 0..CROWD {
            let session = relay.connect().await;
            push(&mut pushing, session, pings.clone(), PUSHED);
            let (sender, _) = relay.pair().await;
            push(&mut pushing, sender, pings.clone(), PUSHED);
        }
    }
    relay.until_still().await;
    memory.assert_within(windows(4 * CROWD), "pings without an answer read");
}

#[tokio::test]
async fn pings_whose_pongs_are_read_leave_nothing_behind() {
    let relay = start(&[]).await;
    let memory = relay.watch_memory();
    let mut reading = JoinSet::new();
    for _ in 0..CROWD {
        let (mut reader, mut writer) = relay.connect().await.split();
        let pings = repeated(&[frame(PING, "")], DIGESTED);
        // A masked frame without a payload is six bytes, its answer two.
        let mut pongs = vec![0; pings.len() / 3];
        reading.spawn(async move {
            use tokio::io::AsyncReadExt;
            let (sent, read) = tokio::join!(
                writer.write_all(&pings),
                within("every pong", reader.read_exact(&mut pongs))
            );
            sent.unwrap();
            read.unwrap();
            assert!(pongs.chunks(2).all(|pong| pong == [0x8a, 0]));
        });
    }
    while let Some(done) = reading.join_next().await {
        done.unwrap();
    }
    memory.assert_within(windows(CROWD), "pings with every answer read");
    assert_eq!(relay.metric("relay_in_flight_bytes").await, 0);
}

#[tokio::test]
async fn pongs_and_data_at_the_barrier_cost_nothing() {
    let relay = start(&[]).await;
    let memory = relay.watch_memory();
    let mut pushing = JoinSet::new();
    let units = [
        repeated(&[frame(PONG, "")], READ),
        repeated(&[frame(PONG, vec![0xff; 8])], READ),
        repeated(&[frame(TEXT, "x"), frame(PONG, "never asked")], READ),
    ];
    for unit in units.iter().cycle().take(CROWD) {
        let (mut sender, receiver) = relay.pair().await;
        receiver.vanish();
        sender.expect_peer_gone().await;
        push(&mut pushing, sender, unit.clone(), DIGESTED);
    }
    let mut senders = within("all to be read", pushing.join_all()).await;
    for sender in &mut senders {
        // Its Ping is there, and not answered yet: what was sent cleared nothing.
        let ping = sender.expect_ping().await;
        sender.round_trip().await;
        sender.pong(&ping).await;
    }
    memory.assert_within(windows(CROWD), "pongs at the barrier");
}

/// Pages that a process was given so far.
#[cfg(target_env = "gnu")]
fn pages_given(relay: &Relay) -> usize {
    let stat = relay.proc("stat");
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let faults = fields.split_whitespace().nth(7).expect("minor faults");
    faults.parse().expect("a number")
}

#[cfg(target_env = "gnu")]
#[tokio::test]
async fn the_memory_of_a_frame_is_kept_for_the_next() {
    let relay = start(&[]).await;
    let (mut sender, mut receiver) = relay.wide_pair().await;
    let message = frame(BINARY, vec![7; 8 * MIB]);
    let mut pages = Vec::new();
    for _ in 0..4 {
        let before = pages_given(&relay);
        let sent = sender.send(message.clone());
        let (_, got) = tokio::join!(sent, receiver.data(8 * MIB, "a long message"));
        assert_eq!(got.len(), 8 * MIB);
        receiver.expect_end_of_message().await;
        pages.push(pages_given(&relay) - before);
    }
    // Of 2048 that it went through, each time.
    assert!(pages[1..].iter().all(|&pages| pages < 512), "{pages:?}");
}

#[tokio::test]
async fn what_many_rooms_send_at_once_waits_with_the_system() {
    const ROOMS: usize = 300;
    /// Fits into the buffers of a connection, of which nobody reads meanwhile.
    const LEN: usize = 48 * KIB;
    let relay = start(&[]).await;
    let mut pairs = Vec::new();
    for _ in 0..ROOMS {
        pairs.push(relay.wide_pair().await);
    }
    let memory = relay.watch_memory();
    relay.freeze().await;
    for (sender, _) in &mut pairs {
        sender.send(frame(BINARY, vec![7; LEN])).await;
    }
    relay.signal(Signal::SIGCONT);
    for (_, receiver) in &mut pairs {
        receiver.data(LEN, "a message").await;
    }
    // Of 14 MiB that were there to be read.
    memory.assert_within(2 * MIB + SLACK, "rooms that all send at once");
}

#[tokio::test]
async fn a_length_is_not_believed() {
    let relay = start(&[]).await;
    let mut pairs = Vec::new();
    for _ in 0..CROWD {
        pairs.push(relay.pair().await);
    }
    let memory = relay.watch_memory();
    for (sender, receiver) in &mut pairs {
        let endless = frame(BINARY, "the beginning").claiming(i64::MAX as u64);
        sender.send(endless.clone()).await;
        receiver.send(endless).await;
    }
    for (sender, _) in &mut pairs {
        sender.expect_close(1009).await;
    }
    memory.assert_within(CROWD * IDLE + SLACK, "lengths of 2^63 - 1");
}

#[tokio::test]
async fn queued_receivers_hold_no_more_than_their_windows() {
    for Shape {
        name,
        opening,
        unit,
        total,
        crowd,
    } in shapes()
    {
        let relay = start(&[("RELAY_MAX_QUEUE", CROWD as u64)]).await;
        let mut sender = relay.connect().await;
        let code = sender.create_room().await;
        let _paired = relay.receiver(&code).await;
        sender.expect_peer().await;
        let memory = relay.watch_memory();
        let mut pushing = JoinSet::new();
        for _ in 0..crowd {
            let mut queued = relay.receiver(&code).await;
            queued.write(&opening).await;
            push(&mut pushing, queued, unit.clone(), total);
        }
        relay.until_still().await;
        memory.assert_within(windows(crowd), &format!("{name}, queued"));
    }
}

/// `RELAY_MAX_MSG_SIZE` where messages are put together for senders.
const LONGEST: usize = MIB;
/// `RELAY_MAX_BUFFERED` there.
const BUFFERED: usize = 6 * MIB;
/// Receivers whose longest messages do not fit into that together.
const OVER: usize = 12;

async fn start_assembling() -> Relay {
    start(&[
        ("RELAY_MAX_MSG_SIZE", LONGEST as u64),
        ("RELAY_MAX_BUFFERED", BUFFERED as u64),
    ])
    .await
}

/// The ceiling of that many receivers and their senders.
fn assembling() -> usize {
    // A message grows by doubling, up to a part of 64 KiB.
    BUFFERED + OVER * 2 * READ + windows(2 * OVER)
}

#[tokio::test]
async fn messages_in_progress_hold_no_more_than_their_budget() {
    for size in [1, 4095, 4096, 60_000] {
        let relay = start_assembling().await;
        let memory = relay.watch_memory();
        let (mut pushing, mut senders) = (JoinSet::new(), Vec::new());
        let fragment = frame(CONTINUATION, vec![7; size]).more();
        let unit = repeated(std::slice::from_ref(&fragment), READ);
        // Whole units, and less than a message: it is never finished.
        let total = (LONGEST - READ) / size * fragment.encode().len();
        for _ in 0..OVER {
            let (sender, mut receiver) = relay.pair().await;
            receiver.send(frame(BINARY, "").more()).await;
            push(&mut pushing, receiver, unit.clone(), total - unit.len());
            senders.push(sender);
        }
        // Who does not fit is closed.
        relay
            .until("relay_sessions", |now| now < 2 * OVER as u64)
            .await;
        relay.until_still().await;
        assert!(relay.metric("relay_buffered_bytes").await <= BUFFERED as u64);
        let name = format!("messages in progress, in fragments of {size}");
        memory.assert_within(assembling(), &name);
    }
}

#[tokio::test]
async fn long_messages_to_senders_that_do_not_read_are_bounded() {
    let relay = start_assembling().await;
    let memory = relay.watch_memory();
    let (mut pushing, mut senders) = (JoinSet::new(), Vec::new());
    for _ in 0..OVER {
        let (sender, receiver) = relay.pair().await;
        let long = frame(BINARY, vec![7; LONGEST]).encode();
        push(&mut pushing, receiver, long, PUSHED);
        senders.push(sender);
    }
    relay.until_still().await;
    assert!(relay.metric("relay_buffered_bytes").await <= BUFFERED as u64);
    memory.assert_within(assembling(), "long messages to senders that do not read");
}
