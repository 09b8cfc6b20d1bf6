//! Nobody is kept out by those who connect and do not get on with it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use relay_testing::{
    Client, Raw, frame,
    http::UPGRADE,
    process::{Relay, Start},
    skip::{size, skip},
    wire::TEXT,
    within,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::{Mutex, MutexGuard},
    task::JoinSet,
};

/// Connections that are held, of which the relay keeps 1,024.
fn crowd_size() -> usize {
    size(2_000, 6_000)
}

/// How long after its end a connection of the crowd is made again: more than a thousand a second are.
const AGAIN: Duration = Duration::from_secs(5);
/// How long most newcomers may take to their sessions.
const SOON: Duration = Duration::from_secs(1);
/// Connections that have given way to a newcomer.
const GAVE_WAY: &str = r#"relay_handshakes_refused_total{reason="too_many_handshakes"}"#;

/// A connection from this address of the loopback network.
async fn dial_from(source: [u8; 4], relay: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    // As a reset, or else its port is of no use for a minute, and there are only so many.
    socket.set_zero_linger().unwrap();
    socket.bind((Ipv4Addr::from(source), 0).into()).unwrap();
    within("a connection", socket.connect(relay)).await.unwrap()
}

/// Connections from these addresses in turn, each of which says this and no more. Those that the relay
/// ends are made again.
async fn crowd(relay: &Relay, addresses: u8, said: &'static [u8]) -> JoinSet<()> {
    let addr = relay.addr();
    let mut crowd = JoinSet::new();
    let dialled = stream::iter(0..crowd_size()).map(async |index| {
        let source = [127, 0, 0, 2 + (index % usize::from(addresses)) as u8];
        let mut held = dial_from(source, addr).await;
        held.write_all(said).await.unwrap();
        (source, held)
    });
    let mut dialled = std::pin::pin!(dialled.buffer_unordered(100));
    while let Some((source, mut held)) = dialled.next().await {
        crowd.spawn(async move {
            loop {
                // However it ends.
                let _ = held.read_to_end(&mut Vec::new()).await;
                tokio::time::sleep(AGAIN).await;
                held = dial_from(source, addr).await;
                let _ = held.write_all(said).await;
            }
        });
    }
    crowd
}

/// Crowds take all the files there are: one at a time has them.
static FILES: Mutex<()> = Mutex::const_new(());

/// Waits until a crowd may have its files; says so where there are not enough.
async fn files() -> Option<MutexGuard<'static, ()>> {
    let wanted = crowd_size() as u64 + 1_000;
    if rlimit::increase_nofile_limit(wanted).unwrap() < wanted {
        skip(&format!("{wanted} open files"));
        return None;
    }
    Some(FILES.lock().await)
}

/// Newcomers get their sessions, and soon, whatever the crowd does.
async fn newcomers_get_in(relay: &Relay, source: [u8; 4]) {
    let (mut from_elsewhere, mut neighbours) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        let began = Instant::now();
        let mut newcomer = Client::open(relay.addr(), &[]).await.unwrap();
        newcomer.create_room().await;
        from_elsewhere.push(began.elapsed());

        let began = Instant::now();
        let mut neighbour = Raw::over(dial_from(source, relay.addr()).await);
        neighbour.upgrade(UPGRADE).await;
        neighbours.push(began.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for (origin, mut took) in [("elsewhere", from_elsewhere), ("the crowd's", neighbours)] {
        took.sort();
        println!("sessions from {origin} after {took:?}");
        assert!(took[took.len() / 2] < SOON, "from {origin}: {took:?}");
        assert!(took[took.len() - 1] < 5 * SOON, "from {origin}: {took:?}");
    }
}

async fn nobody_is_kept_out(trusted: &str, addresses: u8, said: &'static [u8]) {
    let Some(_files) = files().await else {
        return;
    };
    let relay = Start::new().env("RELAY_TRUSTED_PROXIES", trusted).run();
    let mut sender = Client::open(relay.addr(), &[]).await.unwrap();
    let code = sender.create_room().await;
    let mut receiver = Client::open(relay.addr(), &[]).await.unwrap();
    receiver.join(&code).await;
    sender.expect_peer().await;

    let _crowd = crowd(&relay, addresses, said).await;
    // Until they are all there. The question itself is a newcomer's.
    relay
        .until(GAVE_WAY, |count| count >= crowd_size() as u64 - 1024)
        .await;
    newcomers_get_in(&relay, [127, 0, 0, 2]).await;
    sender.send("meanwhile").await;
    receiver.expect("meanwhile").await;
}

#[tokio::test]
async fn a_silent_crowd_from_one_address_keeps_nobody_out() {
    nobody_is_kept_out("", 1, b"").await;
}

#[tokio::test]
async fn a_silent_crowd_from_many_addresses_keeps_nobody_out() {
    nobody_is_kept_out("", 20, b"").await;
}

#[tokio::test]
async fn a_silent_crowd_behind_a_proxy_keeps_nobody_out() {
    nobody_is_kept_out("127.0.0.0/8", 1, b"").await;
}

#[tokio::test]
async fn a_crowd_with_half_a_request_each_keeps_nobody_out() {
    nobody_is_kept_out("", 20, b"GET / HTTP/1.1\r\nHost: relay").await;
}

/// The relay answers a request of which the first half was there before a crowd of silent ones came.
#[tokio::test]
async fn who_has_begun_to_speak_is_served_before_who_is_silent() {
    let Some(_files) = files().await else {
        return;
    };
    let relay = Start::new().env("RELAY_TRUSTED_PROXIES", "").run();
    let (first, last) = UPGRADE.split_at(40);
    let mut slow = Raw::over(dial_from([127, 0, 0, 2], relay.addr()).await);
    slow.write(first.as_bytes()).await;
    let mut silent = Vec::new();
    // More than there are places, and little more: the half of a request is not to be late itself.
    for index in 0..1100 {
        let source = [127, 0, 0, 2 + (index % 20) as u8];
        silent.push(dial_from(source, relay.addr()).await);
    }
    relay.until(GAVE_WAY, |count| count >= 70).await;
    slow.write(format!("{last}\r\n").as_bytes()).await;
    assert_eq!(slow.response().await.status, 101);
    slow.round_trip().await;
}

/// An address that has its share of the places gives way to itself, whoever else is silent.
#[tokio::test]
async fn one_address_takes_no_more_than_its_share() {
    let relay = Start::new().env("RELAY_TRUSTED_PROXIES", "").run();
    let mut bystander = dial_from([127, 0, 0, 3], relay.addr()).await;
    let mut crowd = Vec::new();
    for _ in 0..300 {
        crowd.push(dial_from([127, 0, 0, 2], relay.addr()).await);
    }
    for held in &mut crowd[..300 - 256] {
        let mut answer = String::new();
        within("an answer", held.read_to_string(&mut answer))
            .await
            .unwrap();
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("retry-after: "), "{answer}");
    }
    // It is older than all of them.
    bystander
        .write_all(format!("{UPGRADE}\r\n").as_bytes())
        .await
        .unwrap();
    let mut bystander = Raw::over(bystander);
    assert_eq!(bystander.response().await.status, 101);
    bystander.send(frame(TEXT, "no request")).await;
    bystander.expect_error("invalid_request").await;
}
