//! How transfers come out, as their ends tell, and what is measured of them.

use std::time::{Duration, Instant};

use relay_testing::{
    Client, Raw, TestRelay, frame,
    metrics::Metrics,
    pair, raw_pair,
    wire::{BINARY, CONTINUATION, close},
    within,
};
use tokio::io::AsyncWriteExt;

use super::until::until;

pub const OUTCOMES: [&str; 6] = [
    "finished",
    "receiver_gone",
    "sender_gone",
    "refused",
    "idle",
    "relay_gone",
];
const MESSAGE: usize = 1000;
/// The longest message in these tests.
const LONGEST: u64 = 100_000;

/// How many transfers there were of this outcome, or of any.
fn count(metrics: &Metrics, outcome: Option<&str>) -> u64 {
    let of = |outcome: &str| {
        let name = format!("relay_transfers_total{{outcome=\"{outcome}\"}}");
        metrics.get(&name)
    };
    match outcome {
        Some(outcome) => of(outcome),
        None => OUTCOMES.into_iter().map(of).sum(),
    }
}

/// A pair of which the receiver has one message.
async fn supplied(relay: &TestRelay) -> (Raw, Raw) {
    let (mut sender, mut receiver) = raw_pair(relay).await;
    sender.send(frame(BINARY, vec![7; MESSAGE])).await;
    receiver.data(MESSAGE, "a message").await;
    (sender, receiver)
}

/// Waits for the next transfer to end, which has this outcome.
async fn comes_out(relay: &TestRelay, before: &Metrics, outcome: &str, how: &str) {
    let ended = count(before, None) + 1;
    let now = until(relay, how, |now| count(now, None) == ended).await;
    let expected = count(before, Some(outcome)) + 1;
    let others = OUTCOMES.map(|outcome| (outcome, count(&now, Some(outcome))));
    assert_eq!(count(&now, Some(outcome)), expected, "{how}: {others:?}");
    relay.settled().await;
}

#[tokio::test]
async fn an_outcome_is_told_by_who_goes_and_how() {
    let relay = TestRelay::start(|config| config.max_msg_size = LONGEST);

    let before = relay.metrics();
    let (mut sender, mut receiver) = supplied(&relay).await;
    receiver.send(frame(BINARY, "thanks")).await;
    sender.data(6, "thanks").await;
    receiver.send(close(1000, "")).await;
    sender.expect_peer_gone().await;
    drop((sender, receiver));
    comes_out(&relay, &before, "finished", "a receiver that closes").await;

    let before = relay.metrics();
    let (mut sender, receiver) = supplied(&relay).await;
    sender.send(close(1000, "")).await;
    sender.expect_close(1000).await;
    drop((sender, receiver));
    comes_out(&relay, &before, "finished", "a sender that closes").await;

    let before = relay.metrics();
    let (sender, mut receiver) = raw_pair(&relay).await;
    receiver.send(close(1000, "")).await;
    receiver.expect_close(1000).await;
    drop((sender, receiver));
    comes_out(&relay, &before, "receiver_gone", "with nothing sent").await;

    let before = relay.metrics();
    let (sender, mut receiver) = supplied(&relay).await;
    receiver.send(close(1001, "")).await;
    receiver.expect_close(1001).await;
    drop((sender, receiver));
    comes_out(&relay, &before, "receiver_gone", "going away").await;

    let before = relay.metrics();
    let (mut sender, mut receiver) = supplied(&relay).await;
    sender.send(frame(BINARY, vec![1; MESSAGE]).more()).await;
    receiver.data(MESSAGE, "a part of a message").await;
    receiver.send(close(1000, "")).await;
    receiver.expect_close(1000).await;
    drop((sender, receiver));
    comes_out(&relay, &before, "receiver_gone", "in a message").await;

    let before = relay.metrics();
    let (sender, receiver) = supplied(&relay).await;
    receiver.vanish();
    comes_out(&relay, &before, "receiver_gone", "without a word").await;
    drop(sender);

    let before = relay.metrics();
    let (sender, receiver) = supplied(&relay).await;
    sender.vanish();
    comes_out(&relay, &before, "sender_gone", "without a word").await;
    drop(receiver);

    let before = relay.metrics();
    let (mut sender, receiver) = supplied(&relay).await;
    sender.send(frame(BINARY, vec![1; MESSAGE]).more()).await;
    sender.send(close(1000, "")).await;
    sender.expect_close(1000).await;
    drop((sender, receiver));
    comes_out(&relay, &before, "sender_gone", "in a message").await;

    let before = relay.metrics();
    let (mut sender, receiver) = supplied(&relay).await;
    sender.send(frame(BINARY, "").claiming(LONGEST + 1)).await;
    sender.expect_close(1009).await;
    drop((sender, receiver));
    comes_out(&relay, &before, "refused", "too long a message").await;

    let before = relay.metrics();
    let (sender, mut receiver) = supplied(&relay).await;
    receiver.send(frame(CONTINUATION, "of what?")).await;
    receiver.expect_close(1002).await;
    drop((sender, receiver));
    comes_out(&relay, &before, "refused", "a broken frame").await;
}

/// What receivers of transfers were given, and what of all payload was given to anybody.
fn given(metrics: &Metrics) -> [u64; 2] {
    [
        "relay_transfer_bytes_sum",
        "relay_payload_bytes_total{direction=\"out\"}",
    ]
    .map(|name| metrics.get(name))
}

#[tokio::test]
async fn a_sender_that_closes_has_not_finished_before_its_receiver_has_all() {
    const BYTES: usize = 200_000;
    let relay = TestRelay::start(|_| {});
    for (goes, outcome) in [(true, "receiver_gone"), (false, "finished")] {
        let before = relay.metrics();
        let mut sender = Raw::connect(&relay).await;
        let code = sender.create_room().await;
        let mut receiver = Raw::connect_narrow(&relay).await;
        receiver.join(&code).await;
        sender.expect_peer().await;
        sender.send(frame(BINARY, vec![7; BYTES])).await;
        sender.send(close(1000, "")).await;
        sender.expect_close(1000).await;
        until(&relay, "the end of the pair", |now| {
            now.get("relay_pairs") == 0
        })
        .await;
        // It still has some to take.
        assert_eq!(count(&relay.metrics(), None), count(&before, None));
        if goes {
            receiver.reset();
        } else {
            // It answers Pings, as only so much is on its way as that shows to arrive.
            let mut taken = 0;
            while taken < BYTES {
                taken += receiver.next_alive("the message").await.payload.len();
            }
            receiver.expect_close(1001).await;
            receiver.send(close(1001, "")).await;
        }
        comes_out(&relay, &before, outcome, "a sender that closes first").await;
        let [transfers, out] = given(&relay.metrics());
        assert_eq!(transfers, out, "{outcome}");
    }
}

#[tokio::test]
async fn a_receiver_that_goes_under_load_has_what_it_was_given() {
    let relay = TestRelay::start(|_| {});
    for times in 1..=8 {
        let (sender, mut receiver) = raw_pair(&relay).await;
        let (reader, mut writer) = sender.split();
        let pushing = tokio::spawn(async move {
            let messages = frame(BINARY, vec![7; MESSAGE]).encode().repeat(50);
            while writer.write_all(&messages).await.is_ok() {}
        });
        receiver.take(times * 3000, "some of it").await;
        receiver.reset();
        let ended = until(&relay, "the end of a transfer", |now| {
            count(now, Some("receiver_gone")) == times as u64
        });
        let [transfers, out] = given(&ended.await);
        assert_eq!(transfers, out);
        assert!(transfers > 0);
        pushing.abort();
        drop((pushing.await, reader));
        relay.settled().await;
    }
}

#[tokio::test]
async fn a_pair_that_moves_nothing_is_idle() {
    let relay = TestRelay::start(|config| config.pair_idle = Duration::from_millis(80));
    let before = relay.metrics();
    let (sender, receiver) = raw_pair(&relay).await;
    let ended = until(&relay, "the end of an idle pair", |now| {
        count(now, None) == 1
    })
    .await;
    assert_eq!(count(&ended, Some("idle")), count(&before, None) + 1);
    drop((sender, receiver));
}

#[tokio::test]
async fn a_transfer_is_measured_as_its_clients_measure_it() {
    const BYTES: usize = 200_000;
    let relay = TestRelay::start(|_| {});
    let opened = Instant::now();
    let (mut sender, mut receiver) = pair(&relay).await;
    let paired = Instant::now();
    // The time to the first byte is the sender's.
    let pause = Duration::from_millis(120);
    tokio::time::sleep(pause).await;
    sender.send(vec![1; BYTES]).await;
    receiver.expect(vec![1; BYTES]).await;
    receiver.close().await;
    let measured = until(&relay, "the end of a transfer", |now| {
        count(now, Some("finished")) == 1
    })
    .await;
    let lasted = opened.elapsed().as_secs_f64();
    for (name, value) in [
        ("relay_transfer_bytes_count", 1),
        ("relay_transfer_bytes_sum", BYTES as u64),
        ("relay_transfer_bytes_bucket{le=\"65536.0\"}", 0),
        ("relay_transfer_bytes_bucket{le=\"262144.0\"}", 1),
        ("relay_transfer_first_byte_seconds_count", 1),
        ("relay_transfer_first_byte_seconds_bucket{le=\"0.1\"}", 0),
        ("relay_transfer_rate_bytes_per_second_count", 1),
    ] {
        assert_eq!(measured.get(name), value, "{name}");
    }
    let first = measured.real("relay_transfer_first_byte_seconds_sum");
    assert!((pause.as_secs_f64()..lasted).contains(&first), "{first} s");
    let rate = measured.real("relay_transfer_rate_bytes_per_second_sum");
    let slowest = BYTES as f64 / (paired.elapsed() - pause).as_secs_f64();
    assert!(rate >= slowest, "{rate} bytes a second");

    sender.close().await;
    let closed = until(&relay, "the end of the room", |now| {
        now.get("relay_room_lifetime_seconds_count") == 1
    })
    .await;
    let lifetime = closed.real("relay_room_lifetime_seconds_sum");
    let longest = opened.elapsed().as_secs_f64();
    assert!(
        (pause.as_secs_f64()..longest).contains(&lifetime),
        "{lifetime} s"
    );
}

#[tokio::test]
async fn a_queue_is_told_by_its_length_and_by_the_places_in_it() {
    let relay = TestRelay::start(|_| {});
    let mut sender = Client::connect(&relay).await;
    let code = sender.create_room().await;
    let mut receivers = Vec::new();
    for _ in 0..3 {
        let mut receiver = Raw::connect(&relay).await;
        receiver.join(&code).await;
        receivers.push(receiver);
    }
    let metrics = relay.metrics();
    assert_eq!(metrics.get("relay_pairs"), 1);
    assert_eq!(metrics.get("relay_queued_receivers"), 2);
    for (place, joined) in [("0.0", 1), ("1.0", 2), ("2.0", 3), ("+Inf", 3)] {
        let name = format!("relay_queue_place_bucket{{le=\"{place}\"}}");
        assert_eq!(metrics.get(&name), joined, "{name}");
    }
    receivers.remove(1).vanish();
    until(&relay, "one that has left the queue", |now| {
        now.get("relay_queued_receivers") == 1
    })
    .await;
    receivers.remove(0).vanish();
    within("the next one's turn", async {
        sender.expect_peer().await;
        sender.expect_peer_gone().await;
        sender.expect_peer().await;
    })
    .await;
    let metrics = relay.metrics();
    let now = ["relay_pairs", "relay_queued_receivers"].map(|name| metrics.get(name));
    assert_eq!(now, [1, 0]);
}
