//! The head of a request: how long it may be, how long it may take, and what it costs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use relay_testing::{
    Raw, TestRelay, frame,
    http::{Response, UPGRADE},
    process::Relay,
    reply,
    wire::TEXT,
    within,
};
use tokio::{io::AsyncReadExt, task::JoinSet};

/// The longest head.
const MAX_HEAD: usize = 16 * 1024;

/// A handshake of this many bytes.
fn upgrade_of(length: usize) -> String {
    let padding = length - format!("{UPGRADE}X-Padding: \r\n\r\n").len();
    let head = format!("{UPGRADE}X-Padding: {}\r\n\r\n", "x".repeat(padding));
    assert_eq!(head.len(), length);
    head
}

/// All that the relay answers, and then ends the connection.
async fn last_answer(client: Raw) -> Response {
    let (mut reader, _writer) = client.split();
    let mut said = String::new();
    let reading = reader.read_to_string(&mut said);
    within("the end of the connection", reading).await.unwrap();
    let (head, body) = said.split_once("\r\n\r\n").expect("a head");
    let mut answer = Response::parse(head);
    body.clone_into(&mut answer.body);
    answer
}

fn refused(relay: &TestRelay, reason: &str) -> u64 {
    let name = format!("relay_handshakes_refused_total{{reason=\"{reason}\"}}");
    relay.metrics().get(&name)
}

#[tokio::test]
async fn a_head_of_16_kib_is_answered_and_a_longer_one_refused() {
    let relay = TestRelay::start(|_| {});
    let mut client = Raw::dial(&relay).await;
    client.write(upgrade_of(MAX_HEAD).as_bytes()).await;
    assert_eq!(client.response().await.status, 101);
    client.create_room().await;
    assert_eq!(refused(&relay, "head_too_large"), 0);

    // The last is still being sent when it is refused.
    let lengths = [MAX_HEAD + 1, 20_000, 200_000];
    for length in lengths {
        let mut client = Raw::dial(&relay).await;
        client.write(upgrade_of(length).as_bytes()).await;
        let answer = last_answer(client).await;
        assert_eq!(answer.status, 431, "{answer:?}");
        assert_eq!(answer.header("connection"), Some("close"), "{answer:?}");
        assert!(answer.body.contains("16 KiB"), "{answer:?}");
    }
    assert_eq!(refused(&relay, "head_too_large"), lengths.len() as u64);
    relay.until("one session", |now| now.sessions == 1).await;
}

#[tokio::test]
async fn who_goes_on_behind_a_head_that_is_too_long_is_not_read_for_ever() {
    let relay = TestRelay::start(|_| {});
    let mut client = Raw::dial(&relay).await;
    let endless = async { while client.try_write(&[b'x'; 1 << 20]).await.is_ok() {} };
    within("the relay to read no more", endless).await;
    assert_eq!(refused(&relay, "head_too_large"), 1);
}

#[tokio::test]
async fn who_is_too_late_with_its_head_is_told_so() {
    let relay = TestRelay::start(|_| {});
    let (mut silent, mut half) = (Raw::dial(&relay).await, Raw::dial(&relay).await);
    silent.write(b"").await;
    half.write(&UPGRADE.as_bytes()[..40]).await;
    for client in [silent, half] {
        let answer = last_answer(client).await;
        assert_eq!(answer.status, 408, "{answer:?}");
        assert!(answer.body.contains("in time"), "{answer:?}");
    }
    assert_eq!(refused(&relay, "handshake_timeout"), 2);
}

#[tokio::test]
async fn who_hangs_up_before_the_end_of_its_head_was_refused_nothing() {
    let relay = TestRelay::start(|_| {});
    for cut in [0, 40] {
        let mut client = Raw::dial(&relay).await;
        client.write(&UPGRADE.as_bytes()[..cut]).await;
        let (mut reader, writer) = client.split();
        drop(writer);
        let mut said = Vec::new();
        let reading = reader.read_to_end(&mut said);
        within("the end of the connection", reading).await.unwrap();
        assert!(said.is_empty(), "{said:?}");
    }
    assert_eq!(refused(&relay, "handshake_timeout"), 0);
}

#[tokio::test]
async fn a_head_that_is_none_is_counted() {
    let relay = TestRelay::start(|_| {});
    for nonsense in [
        "x\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\n:\r\n\r\n",
    ] {
        let mut client = Raw::dial(&relay).await;
        client.write(nonsense.as_bytes()).await;
        assert_eq!(last_answer(client).await.status, 400);
    }
    assert_eq!(refused(&relay, "bad_handshake"), 3);
}

#[tokio::test]
async fn a_head_of_too_many_headers_is_refused() {
    let relay = TestRelay::start(|_| {});
    let spare = 96 - (UPGRADE.lines().count() - 1);
    let upgrade = |more| format!("{UPGRADE}{}\r\n", "a:\r\n".repeat(more));
    let mut client = Raw::dial(&relay).await;
    client.write(upgrade(spare).as_bytes()).await;
    assert_eq!(client.response().await.status, 101);
    let mut client = Raw::dial(&relay).await;
    client.write(upgrade(spare + 1).as_bytes()).await;
    assert_eq!(last_answer(client).await.status, 431);
    assert_eq!(refused(&relay, "head_too_large"), 1);
}

#[tokio::test]
async fn a_request_byte_by_byte_is_one_request() {
    let relay = TestRelay::start(|_| {});
    let all = [
        format!("{UPGRADE}\r\n").as_bytes(),
        &frame(TEXT, reply::CREATE).encode(),
    ]
    .concat();
    let mut client = Raw::dial(&relay).await;
    for byte in all {
        client.write(&[byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.response().await.status, 101);
    reply::created(&client.next_json("ROOM_CREATED").await);
}

/// Processor time that a process has taken, in its own code.
#[cfg(target_os = "linux")]
fn processor_time(relay: &Relay) -> Duration {
    let stat = relay.proc("stat");
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let ticks = fields.split_whitespace().nth(11).expect("utime");
    // A hundredth of a second each (`getconf CLK_TCK`).
    Duration::from_millis(10 * ticks.parse::<u64>().expect("a number"))
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_head_that_drips_behind_many_headers_is_looked_at_once() {
    const DRIPPING: usize = 60;
    const DROPS: usize = 200;
    let relay = Relay::start(&[]);
    let head = upgrade_of(MAX_HEAD - 2 * DROPS);
    let before = processor_time(&relay);
    let mut dripping = JoinSet::new();
    for _ in 0..DRIPPING {
        let mut client = relay.dial().await;
        let head = head.trim_end().to_owned();
        dripping.spawn(async move {
            client.write(head.as_bytes()).await;
            for _ in 0..DROPS {
                client.write(b"x").await;
                // Not so many at once that the relay reads several together.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            client.write(b"\r\n\r\n").await;
            assert_eq!(client.response().await.status, 101);
        });
    }
    within("all of them to be answered", dripping.join_all()).await;
    let took = processor_time(&relay) - before;
    println!("{} reads took {took:?}", DRIPPING * DROPS);
    // To parse all that has come with each of these reads takes many times as long.
    assert!(took < Duration::from_secs(1), "{took:?}");
}
