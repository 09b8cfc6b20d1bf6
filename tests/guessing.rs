//! What guessing a room's code, or its token, costs: a budget for each address, one for the whole relay, and
//! answers that tell nothing. Who waits for a turn is in `turns`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use relay_testing::{
    Raw, frame,
    http::UPGRADE,
    process::{Relay, Start},
    reply::{self, Ticket},
    skip::size,
    wire::TEXT,
    within,
};
use serde_json::json;
use tokio::{task::JoinSet, time::sleep_until};

/// Refused joins a second that are answered at once.
const AT_ONCE: usize = 5;
/// The longest such an answer is held back.
const LONGEST: Duration = Duration::from_secs(5);

/// A session of a client behind a trusted proxy.
async fn connect_for(relay: &Relay, client: &str) -> Raw {
    let head = format!("{UPGRADE}X-Forwarded-For: {client}\r\n");
    relay.connect_by(&head).await
}

#[tokio::test]
async fn an_address_has_so_many_wrong_codes_and_no_other_pays_for_it() {
    const GUESSES: usize = 3;
    let relay = Start::new().env("RELAY_FAILED_JOIN_MAX", GUESSES).run();
    let mut sender = connect_for(&relay, "198.51.100.1").await;
    let code = sender.create_room().await;

    let mut guesser = connect_for(&relay, "198.51.100.2").await;
    let wrong = "A".repeat(71);
    for guess in [
        reply::join("wrong1"),
        reply::resume(&code, &wrong),
        reply::resume("wrong1", &wrong),
    ] {
        guesser.send(frame(TEXT, guess)).await;
        guesser.expect_error("room_not_found").await;
    }
    // Not even the right one, from there; and not in a new session.
    guesser.send(frame(TEXT, reply::join(&code))).await;
    guesser.expect_error("rate_limited").await;
    guesser.expect_close(1008).await;
    let mut again = connect_for(&relay, "198.51.100.2").await;
    again.send(frame(TEXT, reply::join(&code))).await;
    let error = again.next_json("a refusal").await;
    reply::assert_error(&error, "rate_limited");
    let wait = error["retry_after"].as_u64().unwrap();
    // Longer than anybody is kept waiting.
    assert!((190..=200).contains(&wait), "{error}");
    // Opening a room is no guess.
    connect_for(&relay, "198.51.100.2")
        .await
        .create_room()
        .await;

    connect_for(&relay, "198.51.100.3").await.join(&code).await;
    sender.expect_peer().await;
}

/// Opens a room that outlives its sender's line.
async fn lasting_room(sender: &mut Raw, life: u64) -> Ticket {
    let create = json!({"type": "CREATE_ROOM", "resume": true, "expires_in": life});
    sender.send(frame(TEXT, create.to_string())).await;
    Ticket::of(&sender.next_json("ROOM_CREATED").await)
}

/// Requests for rooms that nobody gets into, of every kind there is, and who is in the rooms of some of them.
async fn wrong_requests(relay: &Relay) -> (Vec<(&'static str, String)>, [Raw; 3]) {
    let mut present = relay.connect().await;
    let open = lasting_room(&mut present, 3600).await;
    let mut over = relay.connect().await;
    let dead = lasting_room(&mut over, 1).await;
    let mut closed = relay.connect().await;
    let closed_code = closed.create_room().await;
    closed.vanish();
    // Its time is up with a pair in it, so that it is still there.
    let mut lasting = relay.connect().await;
    let lasting_code = lasting.create_room().await;
    let receiver = relay.receiver(&lasting_code).await;
    lasting.expect_peer().await;
    let mut expired = relay.connect().await;
    let expired_code = expired.create_room().await;
    expired.expect_error("room_expired").await;
    over.expect_error("room_expired").await;
    lasting.round_trip().await;
    let other = "A".repeat(open.token.len());
    let requests = [
        ("unknown", reply::join("yyyyyy")),
        ("too long", reply::join(&"a".repeat(100))),
        ("malformed", reply::join("방7f3k2")),
        ("empty", reply::join("")),
        ("closed", reply::join(&closed_code)),
        ("expired", reply::join(&expired_code)),
        ("expired, with a pair in it", reply::join(&lasting_code)),
        ("another's token", reply::resume(&open.code, &dead.token)),
        ("its token, no room", reply::resume("yyyyyy", &open.token)),
        ("a made-up token", reply::resume(&open.code, &other)),
        ("no token", reply::resume(&open.code, "no token")),
        ("a made-up token, no room", reply::resume("yyyyyy", &other)),
        ("a dead token", dead.request()),
    ];
    (requests.into(), [lasting, receiver, present])
}

#[tokio::test]
async fn every_wrong_code_or_token_gets_the_same_answer_as_fast() {
    let relay = Start::new().env("RELAY_ROOM_TTL", 3).run();
    let (requests, _members) = wrong_requests(&relay).await;
    let mut took = vec![Vec::new(); requests.len()];
    let mut answers = Vec::new();
    let mut session = relay.connect().await;
    // Slowly enough that none is held back, also of those that come after a pause of the whole machine.
    let step = Duration::from_secs(1) / AT_ONCE as u32 * 11 / 10;
    let mut next = tokio::time::Instant::now() + Duration::from_secs(1);
    for _ in 0..size(5, 12) {
        for ((_, request), took) in requests.iter().zip(&mut took) {
            sleep_until(next).await;
            next = tokio::time::Instant::now() + step;
            let began = Instant::now();
            session.send(frame(TEXT, request.clone())).await;
            answers.push(session.next_but_pings("a refusal").await);
            took.push(began.elapsed());
        }
    }
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
    // What else goes on in the machine only adds to it.
    let least: Vec<_> = took.iter().map(|took| took.iter().min().unwrap()).collect();
    let (fastest, slowest) = (least.iter().min().unwrap(), least.iter().max().unwrap());
    let kinds: Vec<_> = requests.iter().map(|(kind, _)| kind).zip(&least).collect();
    println!("the least of each: {kinds:?}");
    assert!(**slowest < **fastest * 3, "{kinds:?}");
}

/// What has come of those that are done.
fn until_now<T: 'static>(tasks: &mut JoinSet<T>) -> Vec<T> {
    std::iter::from_fn(|| tasks.try_join_next())
        .map(Result::unwrap)
        .collect()
}

#[tokio::test]
async fn a_distributed_guess_is_answered_late_and_a_right_code_at_once() {
    const GUESSERS: usize = 60;
    let relay = Relay::start(&[]);
    let mut sender = relay.connect().await;
    let Ticket { code, token } = lasting_room(&mut sender, 3600).await;
    let wrong = "A".repeat(token.len());
    let began = Instant::now();
    let mut guessing = JoinSet::new();
    for number in 0..GUESSERS {
        let mut guesser = connect_for(&relay, &format!("198.51.100.{number}")).await;
        let guess = match number % 2 {
            0 => reply::join("wrong1"),
            _ => reply::resume(&code, &wrong),
        };
        guesser.send(frame(TEXT, guess)).await;
        guessing.spawn(async move {
            guesser.expect_error("room_not_found").await;
            began.elapsed()
        });
    }
    let refused = r#"relay_refused_total{reason="room_not_found"}"#;
    relay.until(refused, |count| count == GUESSERS as u64).await;

    let mut answered = until_now(&mut guessing);
    let waiting = guessing.len();
    connect_for(&relay, "198.51.100.200")
        .await
        .join(&code)
        .await;
    sender.expect_peer().await;
    let meanwhile = until_now(&mut guessing);
    assert!(
        meanwhile.len() * 2 < waiting,
        "the right code waited for {} of {waiting}",
        meanwhile.len()
    );
    answered.extend(meanwhile);
    answered.extend(within("every refusal", guessing.join_all()).await);
    answered.sort();
    // One a fifth of a second after the first few, until it is as slow as it gets.
    let late = answered[3 * AT_ONCE];
    assert!(late > Duration::from_secs(1), "{answered:?}");
    let last = answered[GUESSERS - 1];
    assert!(last > LONGEST * 9 / 10, "{answered:?}");
}
