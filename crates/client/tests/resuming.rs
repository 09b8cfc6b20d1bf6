//! Lines that are cut and ends that are killed: what was received is not sent again.
#![cfg(feature = "distill")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code, reason = "other tests use the rest of it")]
mod ends;

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use nix::sys::signal::Signal;
use relay_client::engine::{event::Event, fault::Fault, options::Secret, share::can_be_taken_up};
use relay_testing::{
    cluster::Cluster,
    line::{Line, mbit},
    process::{Relay, Start},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::spawn_blocking,
};

use self::ends::{Folders, noise, receiving, sharing, start_receive, start_share};

/// Bytes confirmed, once they are more than `least`.
fn more_than(least: u64) -> impl Fn(&Event) -> Option<u64> {
    move |event| match event {
        Event::Progress { confirmed, .. } if *confirmed > least => Some(*confirmed),
        _ => None,
    }
}

/// Waits until nobody holds a journal: the thread of a receiver which is killed here, and not with its process, writes
/// what it has to the end.
async fn until_let_go(journal: PathBuf) {
    let letting_go = spawn_blocking(|| fs::File::open(journal).unwrap().lock());
    letting_go.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receivers_line_is_cut_again_and_again() {
    const BYTES: u64 = 16 << 20;
    let (relay, folders) = (Relay::start(&[]), Folders::new());
    let content = noise(BYTES as usize);
    let share = start_share(sharing(
        &format!("ws://{}/", relay.addr()),
        &folders.file("noise", &content),
    ));
    let code = share.code().await;
    let line = Line::of(mbit(100.0)).lay(relay.addr());
    let receiver = start_receive(receiving(&line.url(), &code, &folders.there));
    for cut in 1..=5 {
        receiver
            .told
            .until("progress", more_than(cut * BYTES / 7))
            .await;
        line.cut();
    }
    let received = receiver.end().await.unwrap();
    assert!(fs::read(received.path.unwrap()).unwrap() == content);
    let sent = share.end().await.unwrap().sent;
    println!("{} bytes sent twice", sent - BYTES);
    assert!(sent - BYTES <= 5 * (8 << 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_killed_goes_on_when_it_is_started_again() {
    const BYTES: u64 = 16 << 20;
    let (relay, folders) = (Relay::start(&[]), Folders::new());
    let content = noise(BYTES as usize);
    let share = start_share(sharing(
        &format!("ws://{}/", relay.addr()),
        &folders.file("noise", &content),
    ));
    let code = share.code().await;
    let line = Line::of(mbit(100.0)).lay(relay.addr());
    let options = receiving(&line.url(), &code, &folders.there);
    let first = start_receive(options.clone());
    let before = first.told.until("progress", more_than(BYTES / 2)).await;
    first.kill().await;
    until_let_go(folders.there.join("noise.part.journal")).await;
    let second = start_receive(options);
    let begun = |event: &Event| match event {
        Event::Begun { from, .. } => Some(*from),
        _ => None,
    };
    assert!(second.told.until("begin", begun).await >= before);
    let received = second.end().await.unwrap();
    assert!(fs::read(received.path.unwrap()).unwrap() == content);
    share.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_senders_line_is_cut_again_and_again() {
    const BYTES: u64 = 16 << 20;
    let (relay, folders) = (Relay::start(&[]), Folders::new());
    let content = noise(BYTES as usize);
    let line = Line::of(mbit(100.0)).lay(relay.addr());
    let share = start_share(sharing(&line.url(), &folders.file("noise", &content)));
    let code = share.code().await;
    let url = format!("ws://{}/", relay.addr());
    let receiver = start_receive(receiving(&url, &code, &folders.there));
    for cut in 1..=5 {
        receiver
            .told
            .until("progress", more_than(cut * BYTES / 7))
            .await;
        line.cut();
    }
    let received = receiver.end().await.unwrap();
    assert!(fs::read(received.path.unwrap()).unwrap() == content);
    let sent = share.end().await.unwrap().sent;
    println!("{} bytes sent twice", sent - BYTES);
    assert!(sent - BYTES <= 5 * (8 << 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_is_killed_goes_on_without_its_passphrase() {
    const BYTES: u64 = 16 << 20;
    let (relay, folders) = (Relay::start(&[]), Folders::new());
    let content = noise(BYTES as usize);
    let line = Line::of(mbit(40.0)).lay(relay.addr());
    let mut options = sharing(&line.url(), &folders.file("noise", &content));
    options.state = Some(folders.here.join("state"));
    let share = start_share(options.clone());
    let code = share.code().await;
    let url = format!("ws://{}/", relay.addr());
    let receiver = start_receive(receiving(&url, &code, &folders.there));
    receiver.told.until("progress", more_than(BYTES / 3)).await;
    share.kill().await;
    assert!(can_be_taken_up(&options));
    options.passphrase = None;
    let again = start_share(options.clone());
    assert_eq!(again.code().await, code);
    let received = receiver.end().await.unwrap();
    assert!(fs::read(received.path.unwrap()).unwrap() == content);
    assert!(again.end().await.unwrap().sent < BYTES * 3 / 4);
    assert!(!can_be_taken_up(&options));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_is_killed_and_started_again_in_the_middle() {
    const BYTES: u64 = 16 << 20;
    let (folders, state) = (Folders::new(), tempfile::tempdir().unwrap());
    let start = || Start::new().env("STATE_DIRECTORY", state.path().display());
    let mut relay = start().run();
    let addr = relay.addr();
    // Both ends find the relay through lines that outlive it.
    let content = noise(BYTES as usize);
    let line = Line::of(mbit(100.0)).lay(addr);
    let url = line.url();
    let share = start_share(sharing(&url, &folders.file("noise", &content)));
    let code = share.code().await;
    let receiver = start_receive(receiving(&url, &code, &folders.there));
    receiver.told.until("progress", more_than(BYTES / 4)).await;
    relay.signal(Signal::SIGKILL);
    relay.ended().await;
    let _relay = start().env("RELAY_PORT", addr.port()).run_at(addr);
    let received = receiver.end().await.unwrap();
    assert!(fs::read(received.path.unwrap()).unwrap() == content);
    share.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_is_taken_up_under_its_own_passphrase_alone() {
    let (relay, folders) = (Relay::start(&[]), Folders::new());
    let url = format!("ws://{}/", relay.addr());
    let mut options = sharing(&url, &folders.file("a", b"secret"));
    options.state = Some(folders.here.join("state"));
    let share = start_share(options.clone());
    let code = share.code().await;
    share.kill().await;
    let again = start_share(options.clone());
    assert_eq!(again.code().await, code);
    again.kill().await;
    options.passphrase = Some(Secret::new("another"));
    let other = start_share(options);
    assert_ne!(other.code().await, code);
    assert_eq!(other.stop().await, Err(Fault::Interrupted));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passphrases_are_counted_over_a_restart() {
    let (relay, folders) = (Relay::start(&[]), Folders::new());
    let url = format!("ws://{}/", relay.addr());
    let mut options = sharing(&url, &folders.file("a", b"secret"));
    options.state = Some(folders.here.join("state"));
    let guess = async |code: &str| {
        let mut options = receiving(&url, code, &folders.there);
        options.passphrase = Secret::new("wrong");
        assert_eq!(
            start_receive(options).end().await,
            Err(Fault::WrongPassphrase)
        );
    };
    let share = start_share(options.clone());
    let code = share.code().await;
    for _ in 0..6 {
        guess(&code).await;
    }
    share.kill().await;
    let share = start_share(options.clone());
    assert_eq!(share.code().await, code);
    for _ in 0..4 {
        guess(&code).await;
    }
    assert_eq!(share.end().await, Err(Fault::TooManyWrongPassphrases));
    assert!(!can_be_taken_up(&options));
}

/// What has failed for want of a relay can still be taken up.
#[tokio::test(flavor = "multi_thread")]
async fn a_share_outlives_a_relay_that_is_away_for_too_long() {
    let (folders, state) = (Folders::new(), tempfile::tempdir().unwrap());
    let start = || Start::new().env("STATE_DIRECTORY", state.path().display());
    let mut relay = start().run();
    let addr = relay.addr();
    let mut options = sharing(&format!("ws://{addr}/"), &folders.file("a", b"a"));
    options.state = Some(folders.here.join("state"));
    options.patience = std::time::Duration::from_millis(500);
    let share = start_share(options.clone());
    let code = share.code().await;
    relay.signal(Signal::SIGKILL);
    relay.ended().await;
    let end = share.end().await;
    assert!(matches!(end, Err(Fault::Unreachable(_))), "{end:?}");
    let _relay = start().env("RELAY_PORT", addr.port()).run_at(addr);
    let again = start_share(options);
    assert_eq!(again.code().await, code);
    assert_eq!(again.stop().await, Err(Fault::Interrupted));
}

/// What stands before the nodes of a cluster: it leads everybody to one of them.
struct Balancer {
    addr: SocketAddr,
    node: Arc<Mutex<SocketAddr>>,
}

impl Balancer {
    async fn to(node: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let node = Arc::new(Mutex::new(node));
        let to = Arc::clone(&node);
        tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let node = *to.lock().unwrap();
                tokio::spawn(async move {
                    // A node that is gone ends the connection, as it would be ended.
                    if let Ok(mut relay) = TcpStream::connect(node).await {
                        drop(copy_bidirectional(&mut client, &mut relay).await);
                    }
                });
            }
        });
        Self { addr, node }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_that_has_the_room_is_killed_in_the_middle() {
    const BYTES: u64 = 16 << 20;
    let Some(mut cluster) = Cluster::start().await else {
        return;
    };
    let folders = Folders::new();
    let content = noise(BYTES as usize);
    let balancer = Balancer::to(cluster[0].addr()).await;
    let url = format!("ws://{}/", balancer.addr);
    let share = start_share(sharing(&url, &folders.file("noise", &content)));
    let code = share.code().await;
    let line = Line::of(mbit(100.0)).lay(cluster[1].addr());
    let receiver = start_receive(receiving(&line.url(), &code, &folders.there));
    receiver.told.until("progress", more_than(BYTES / 4)).await;
    *balancer.node.lock().unwrap() = cluster[2].addr();
    drop(cluster.nodes.remove(0));
    let received = receiver.end().await.unwrap();
    assert!(fs::read(received.path.unwrap()).unwrap() == content);
    assert!(share.end().await.unwrap().sent < BYTES + (8 << 20));
}
