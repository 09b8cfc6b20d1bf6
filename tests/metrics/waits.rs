//! By whose fault sessions stand still, and how long a round trip is.

use std::time::{Duration, Instant};

use relay_testing::{
    Client, Raw, TestRelay, frame,
    metrics::Metrics,
    pairs::paired,
    raw_sender_pair,
    wire::{BINARY, TEXT},
};
use tokio::{io::AsyncWriteExt, net::tcp::OwnedWriteHalf, task::JoinHandle};

use super::until::until;

/// Writes these bytes over and over, for as long as somebody takes them.
fn push(mut writer: OwnedWriteHalf, bytes: Vec<u8>) -> JoinHandle<()> {
    tokio::spawn(async move { while writer.write_all(&bytes).await.is_ok() {} })
}

/// Many small messages.
fn messages() -> Vec<u8> {
    frame(BINARY, vec![7; 1000]).encode().repeat(64)
}

fn sessions(metrics: &Metrics, fault: &str) -> u64 {
    metrics.get(&format!("relay_paused_sessions{{fault=\"{fault}\"}}"))
}

fn seconds(metrics: &Metrics, fault: &str) -> f64 {
    metrics.real(&format!("relay_paused_seconds_total{{fault=\"{fault}\"}}"))
}

/// Waits until one session stands still by this fault, and sees that its seconds are those of a clock.
async fn stands_still(relay: &TestRelay, fault: &str) {
    let paused = |now: &Metrics| sessions(now, fault) == 1;
    let (mut first, mut asked, mut answered);
    // It may go on for a moment still.
    loop {
        asked = Instant::now();
        first = until(relay, fault, paused).await;
        answered = Instant::now();
        let later = until(relay, fault, |now| {
            !paused(now) || answered.elapsed() > Duration::from_millis(300)
        });
        let later = later.await;
        if !paused(&later) {
            continue;
        }
        let longest = asked.elapsed().as_secs_f64();
        let more = seconds(&later, fault) - seconds(&first, fault);
        if more > 0.25 {
            assert!(more <= longest, "{fault}: {more} s of {longest} s");
            return;
        }
    }
}

/// It stands still no more, and its seconds stay what they are.
async fn is_over(relay: &TestRelay, fault: &str) {
    let first = until(relay, fault, |now| sessions(now, fault) == 0).await;
    let total = seconds(&first, fault);
    assert!(total > 0.25, "{fault}: {total} s");
    assert_eq!(seconds(&relay.metrics(), fault), total, "{fault}");
}

#[tokio::test]
async fn a_sender_stands_still_by_its_receivers_fault() {
    // With memory to read on from, it would not for long.
    let relay = TestRelay::start(|config| config.max_buffered = 0);
    let sender = Raw::connect_narrow(&relay).await;
    let (sender, receiver) = paired(sender, Raw::connect_narrow(&relay).await).await;
    let (_reader, writer) = sender.split();
    let pushing = push(writer, messages());
    stands_still(&relay, "receiver").await;
    let metrics = relay.metrics();
    let untaken = |whom| metrics.get(&format!("relay_untaken_sessions{{whom=\"{whom}\"}}"));
    assert_eq!((untaken("receiver"), untaken("sender")), (1, 0));
    let waited = metrics.real("relay_untaken_seconds_total{whom=\"receiver\"}");
    assert!(waited > 0.25, "{waited} s");
    for other in ["sender", "queue", "limit"] {
        assert_eq!(seconds(&metrics, other), 0.0, "{other}");
    }
    pushing.abort();
    drop(pushing.await);
    receiver.reset();
    is_over(&relay, "receiver").await;
}

#[tokio::test]
async fn a_receiver_stands_still_by_its_senders_fault() {
    let relay = TestRelay::start(|config| config.max_buffered = 0);
    let sender = Raw::connect_narrow(&relay).await;
    let (sender, receiver) = paired(sender, Raw::connect_narrow(&relay).await).await;
    let (_reader, writer) = receiver.split();
    let pushing = push(writer, messages());
    stands_still(&relay, "sender").await;
    let metrics = relay.metrics();
    assert!(metrics.real("relay_untaken_seconds_total{whom=\"sender\"}") > 0.25);
    for other in ["receiver", "queue", "limit"] {
        assert_eq!(seconds(&metrics, other), 0.0, "{other}");
    }
    pushing.abort();
    drop(pushing.await);
    sender.reset();
    is_over(&relay, "sender").await;
}

#[tokio::test]
async fn who_waits_in_a_queue_stands_still_by_nobodys_fault() {
    let relay = TestRelay::start(|_| {});
    let mut sender = Client::connect(&relay).await;
    let code = sender.create_room().await;
    let mut first = Raw::connect(&relay).await;
    first.join(&code).await;
    sender.expect_peer().await;
    let mut second = Raw::connect_narrow(&relay).await;
    second.join(&code).await;
    let (reader, writer) = second.split();
    let pushing = push(writer, messages());
    stands_still(&relay, "queue").await;
    pushing.abort();
    drop((pushing.await, reader));
    sender.vanish();
    is_over(&relay, "queue").await;
}

/// What waits for an answer is not read either, and is nobody's fault.
#[tokio::test]
async fn who_waits_for_an_answer_stands_still_by_no_limit() {
    let relay = TestRelay::start(|config| {
        config.failed_join_max = 1;
        config.failed_join_window = Duration::from_secs(60);
    });
    let mut guesser = Raw::connect(&relay).await;
    let join = frame(TEXT, r#"{"type":"JOIN_ROOM","room_id":"aaaaaa"}"#);
    guesser.send_together(&[join.clone(), join]).await;
    until(&relay, "a join that waits", |now| {
        now.get("relay_joins_waiting") == 1
    })
    .await;
    let metrics = relay.metrics();
    assert_eq!(sessions(&metrics, "limit"), 0);
    assert_eq!(seconds(&metrics, "limit"), 0.0);
    guesser.vanish();
    relay.settled().await;
}

#[tokio::test]
async fn a_session_that_vanishes_in_a_pause_of_its_own_is_paused_no_more() {
    let relay = TestRelay::start(|config| config.session_bytes_per_sec = 10_000);
    let (sender, _receiver) = raw_sender_pair(&relay).await;
    let (reader, writer) = sender.split();
    let pushing = push(writer, messages());
    stands_still(&relay, "limit").await;
    pushing.abort();
    let writer = pushing.await;
    drop((reader, writer));
    is_over(&relay, "limit").await;
}

#[tokio::test]
async fn who_has_sent_what_it_may_stands_still_by_a_limit() {
    let relay = TestRelay::start(|config| config.session_bytes_per_sec = 10_000);
    let (sender, _receiver) = raw_sender_pair(&relay).await;
    let (_reader, writer) = sender.split();
    let pushing = push(writer, messages());
    stands_still(&relay, "limit").await;
    pushing.abort();
}

/// The count of round trips behind data or nothing, and their seconds.
fn trips(metrics: &Metrics, behind: &str) -> (u64, f64) {
    let name = |what| format!("relay_round_trip_seconds_{what}{{behind=\"{behind}\"}}");
    (metrics.get(&name("count")), metrics.real(&name("sum")))
}

#[tokio::test]
async fn a_round_trip_is_as_long_as_the_client_takes_to_answer() {
    let relay = TestRelay::start(|config| config.ping_interval = Duration::from_millis(200));
    let mut client = Raw::connect(&relay).await;
    client.create_room().await;
    let ping = client.expect_ping().await;
    let pinged = Instant::now();
    let thinking = Duration::from_millis(150);
    tokio::time::sleep(thinking).await;
    client.pong(&ping).await;
    let metrics = until(&relay, "a round trip", |now| trips(now, "nothing").0 == 1).await;
    let (_, took) = trips(&metrics, "nothing");
    assert!(took >= thinking.as_secs_f64(), "{took} s");
    // The Ping was written a moment before it was read.
    assert!(took <= pinged.elapsed().as_secs_f64() + 1.0, "{took} s");
    assert_eq!(trips(&metrics, "data").0, 0);
}

#[tokio::test]
async fn a_pong_that_waits_for_its_session_to_be_read_is_no_round_trip() {
    let relay = TestRelay::start(|config| {
        // A pause is three quarters of a second, and has a Ping in it.
        config.session_bytes_per_sec = 700;
        config.ping_interval = Duration::from_millis(100);
    });
    let mut sender = Raw::connect(&relay).await;
    sender.create_room().await;
    sender.send(frame(BINARY, vec![7; 1100])).await;
    sender.expect_error("no_peer").await;
    until(&relay, "a pause", |now| sessions(now, "limit") == 1).await;
    let ping = sender.expect_ping().await;
    sender.pong(&ping).await;
    sender.send(frame(BINARY, "after")).await;
    let dropped = r#"relay_dropped_bytes_total{reason="no_peer"}"#;
    let metrics = until(&relay, "what follows", |now| now.get(dropped) == 1105).await;
    let counted = ["nothing", "data"].map(|behind| trips(&metrics, behind).0);
    assert_eq!(counted, [0, 0]);
    // One that is sent and answered while it is read is one.
    while trips(&relay.metrics(), "nothing").0 == 0 {
        let ping = sender.expect_ping().await;
        sender.pong(&ping).await;
    }
}

#[tokio::test]
async fn a_round_trip_behind_data_is_told_apart() {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = raw_sender_pair(&relay).await;
    let message = vec![7; 1 << 20];
    sender.send(frame(BINARY, message.clone())).await;
    receiver.expect(message).await;
    receiver.round_trip().await;
    until(&relay, "round trips", |now| trips(now, "data").0 > 0).await;
}
