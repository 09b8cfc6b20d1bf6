//! What clients send cannot make the relay grow beyond its formula: their data, whatever its shape,
//! and whoever does not read it. The relay is a process of its own, held to its resident memory.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use nix::sys::signal::Signal;
use relay_testing::{
    Raw, frame,
    process::Relay,
    skip::size,
    wire::{BINARY, CONTINUATION, Outgoing, PING, PONG, TEXT},
    within,
};
use tokio::{
    io::AsyncWriteExt,
    task::{AbortHandle, JoinSet},
};

const MIB: usize = 1024 * 1024;
const KIB: usize = 1024;

/// Sessions of a kind that do their worst together, and how many in the small form.
const CROWD: usize = 20;
const FEW: usize = 5;
/// What each of them pushes, if it is let.
const PUSHED: usize = 160 * MIB;
/// What each of them pushes that the relay has to read, as it is for nobody.
const DIGESTED: usize = 2 * MIB;
/// Control frames that a session may send at once, and a few more.
const ALLOWED: usize = 900;

/// `RELAY_WINDOW`, its default.
const WINDOW: usize = 256 * KIB;
/// A session without anything under way.
const IDLE: usize = 4 * KIB;
/// What a session is charged for each chunk that waits, beside its bytes.
const CHUNK: usize = 256;
/// What is read at once, and taken after the window has room for it.
const READ: usize = 64 * KIB;
/// What the allocator keeps, and what the process needs once.
const SLACK: usize = 2 * MIB;

/// A relay that waits for nobody's sign of life: most of these clients never give one, and on a
/// busy machine they are at it for long. A pair has met there already: the pages of the program that
/// this takes are not what is asked about.
async fn start(settings: &[(&str, u64)]) -> Relay {
    let patient = [
        // What is beside the windows has tests of its own.
        ("RELAY_MAX_BUFFERED", 0),
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

/// Nobody was thrown out for what it sent, and so everybody leans on what else there is.
async fn assert_no_flood(relay: &Relay) {
    let floods = r#"relay_sessions_ended_total{reason="control_flood"}"#;
    assert_eq!(relay.metric(floods).await, 0);
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
    /// How many do so at once.
    crowd: usize,
}

fn shapes() -> Vec<Shape> {
    let crowd = size(FEW, CROWD);
    let shape = |name, opening, unit| Shape {
        name,
        opening,
        unit,
        crowd,
    };
    // Slow to make, and slow to read.
    let single = |name, opening, unit| Shape {
        crowd: crowd / 5,
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
            open,
            fragment(b"x").encode(),
        ),
        shape(
            "messages of a fragment and its end",
            vec![],
            repeated(&[frame(TEXT, "x").more(), frame(CONTINUATION, "")], READ),
        ),
        shape(
            "pings between the first messages",
            repeated(&[frame(PING, vec![7; 125]), frame(TEXT, "x")], 1).repeat(ALLOWED),
            repeated(&[frame(TEXT, "x")], READ),
        ),
    ]
}

#[tokio::test]
async fn stalled_receivers_hold_no_more_than_the_windows_of_their_senders() {
    for Shape {
        name,
        opening,
        unit,
        crowd,
    } in shapes()
    {
        let relay = start(&[]).await;
        let memory = relay.watch_memory();
        let (mut pushing, mut stalled) = (JoinSet::new(), Vec::new());
        for _ in 0..crowd {
            let (mut sender, receiver) = relay.pair().await;
            sender.write(&opening).await;
            push(&mut pushing, sender, unit.clone(), PUSHED);
            stalled.push(receiver);
        }
        relay.until_still().await;
        memory.assert_within(windows(crowd), name);
        assert_eq!(relay.metric("relay_sessions").await, 2 * crowd as u64);
        assert_no_flood(&relay).await;
    }
}

#[tokio::test]
async fn who_reads_no_answers_is_read_no_further() {
    let plenty = 1_000_000;
    let relay = start(&[
        ("RELAY_RATE_LIMIT_MAX", plenty),
        ("RELAY_ADDRESS_RATE_LIMIT_MAX", plenty),
    ])
    .await;
    let memory = relay.watch_memory();
    let mut pushing = JoinSet::new();
    let requests = repeated(&[frame(TEXT, "no request")], READ);
    for _ in 0..CROWD {
        let session = relay.connect().await;
        push(&mut pushing, session, requests.clone(), PUSHED);
    }
    // It is their answers that stop them. A window takes nothing in while three quarters are full.
    let full = (CROWD * WINDOW * 3 / 4) as u64;
    relay
        .until("relay_in_flight_bytes", |now| now >= full)
        .await;
    relay.until_still().await;
    memory.assert_within(windows(CROWD), "requests without an answer read");
    assert_eq!(relay.metric("relay_sessions").await, CROWD as u64);
}

#[tokio::test]
async fn who_reads_no_pongs_has_few_made() {
    const AT_ONCE: usize = 45;
    const READ_FIRST: usize = MIB;
    let relay = start(&[]).await;
    let (mut pushing, mut senders) = (JoinSet::new(), Vec::new());
    for _ in 0..CROWD {
        let (mut sender, receiver) = relay.pair().await;
        let messages = repeated(&[frame(BINARY, vec![7; KIB])], READ);
        push(&mut pushing, receiver, messages, PUSHED);
        // It answers Pings until so much may be on its way that the system has no room for Pongs.
        let mut came = 0;
        while came < READ_FIRST {
            came += sender.next_alive("a message").await.payload.len();
        }
        senders.push(sender);
    }
    relay.until_still().await;
    let before = relay.metric("relay_in_flight_bytes").await;
    let mut received = relay.metric("relay_received_bytes_total").await;
    let pings = frame(PING, vec![7; 125]).encode().repeat(AT_ONCE);
    for _ in 0..ALLOWED / AT_ONCE {
        for sender in &mut senders {
            sender.write(&pings).await;
        }
        received += (CROWD * pings.len()) as u64;
        relay
            .until("relay_received_bytes_total", |now| now >= received)
            .await;
    }
    let made = relay.metric("relay_in_flight_bytes").await - before;
    // Those of one read, as the system has no room for them; of the others the last is owed.
    let pongs = (CROWD * (AT_ONCE * (2 + 125) + CHUNK)) as u64;
    println!("{made} bytes of pongs of {pongs}");
    assert!((pongs / 4..=pongs).contains(&made), "{made} bytes of pongs");
    assert_no_flood(&relay).await;
}

#[tokio::test]
async fn pings_whose_pongs_are_read_leave_nothing_behind() {
    const SESSIONS: usize = 10 * CROWD;
    let relay = start(&[]).await;
    let memory = relay.watch_memory();
    let pings = frame(PING, vec![7; 125]).encode().repeat(ALLOWED);
    let mut kept = Vec::new();
    for _ in 0..SESSIONS {
        let mut session = relay.connect().await;
        session.write(&pings).await;
        session.send(frame(PING, "last")).await;
        // Of those that come at once the last must be answered (RFC 6455 §5.5.3).
        while session.next("the last pong").await.payload != "last" {}
        kept.push(session);
    }
    memory.assert_within(SESSIONS * IDLE + SLACK, "pings with every answer read");
    assert_eq!(relay.metric("relay_in_flight_bytes").await, 0);
    assert_eq!(relay.metric("relay_sessions").await, SESSIONS as u64);
}

#[tokio::test]
async fn pongs_and_data_at_the_barrier_cost_nothing() {
    let relay = start(&[]).await;
    let memory = relay.watch_memory();
    let mut pushing = JoinSet::new();
    let text = frame(TEXT, "x");
    let pong = frame(PONG, "never asked");
    let pongs = |payload| frame(PONG, payload).encode().repeat(ALLOWED);
    // Each has data behind it, of which nothing is kept either.
    let openings = [
        pongs(vec![]),
        pongs(vec![0xff; 8]),
        repeated(&[text.clone(), pong], 1).repeat(ALLOWED),
    ];
    for opening in openings.iter().cycle().take(CROWD) {
        let (mut sender, receiver) = relay.pair().await;
        receiver.vanish();
        sender.expect_peer_gone().await;
        sender.write(opening).await;
        let data = repeated(std::slice::from_ref(&text), READ);
        push(&mut pushing, sender, data, DIGESTED);
    }
    let mut senders = within("all to be read", pushing.join_all()).await;
    for sender in &mut senders {
        // Its Ping is there, and not answered yet: what was sent cleared nothing.
        let ping = sender.expect_ping().await;
        sender.round_trip().await;
        sender.pong(&ping).await;
    }
    let bound = CROWD * (IDLE + READ) + SLACK;
    memory.assert_within(bound, "pongs and data at the barrier");
    assert_no_flood(&relay).await;
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
    const ROOMS: usize = 600;
    /// May be on its way to a receiver that has not shown yet that anything arrives.
    const LEN: usize = 24 * KIB;
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
            push(&mut pushing, queued, unit.clone(), PUSHED);
        }
        relay.until_still().await;
        memory.assert_within(windows(crowd), &format!("{name}, queued"));
        assert_no_flood(&relay).await;
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
    let sizes = [1, 4095, 4096, 60_000];
    for &size in &sizes[..size(1, sizes.len())] {
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

/// The ceiling where so many senders of messages without an end are read on from.
#[tokio::test]
async fn long_messages_to_receivers_that_do_not_read_are_bounded() {
    let relay = start(&[
        ("RELAY_MAX_MSG_SIZE", 1 << 32),
        ("RELAY_MAX_BUFFERED", 4 * BUFFERED as u64),
        ("RELAY_ADDRESS_BUFFERED", BUFFERED as u64),
    ])
    .await;
    let memory = relay.watch_memory();
    let (mut pushing, mut receivers) = (JoinSet::new(), Vec::new());
    let open = frame(BINARY, "").more().encode();
    // In large parts and in small ones, whose bookkeeping counts.
    for part in [READ, 1000].into_iter().cycle().take(OVER) {
        let (mut sender, receiver) = relay.pair().await;
        sender.write(&open).await;
        let fragment = frame(CONTINUATION, vec![7; part]).more();
        push(&mut pushing, sender, repeated(&[fragment], READ), PUSHED);
        receivers.push(receiver);
    }
    relay.until_still().await;
    let lent = relay.metric("relay_buffered_bytes").await;
    // One address has half of its share of the memory for it, and uses that.
    let most = BUFFERED as u64 / 2;
    assert!(lent <= most && lent > most * 3 / 4, "{lent} of {most}");
    let ceiling = BUFFERED / 2 + windows(2 * OVER);
    memory.assert_within(ceiling, "long messages to receivers that do not read");

    // What is lent comes back with the receivers' end.
    drop(receivers);
    relay.until("relay_buffered_bytes", |now| now == 0).await;
}
