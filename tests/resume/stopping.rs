//! A relay under a socket of its service manager's stops, and the next one goes on with its rooms.
#![cfg(target_os = "linux")]

use std::{
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
};

use nix::sys::signal::Signal;
use relay_testing::{
    Client,
    process::{Relay, Start},
    reply::{self, Ticket},
    text,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// The workers of each relay.
const WORKERS: usize = 4;

/// What outlives a relay: its manager's socket, and its state directory.
struct Manager {
    listener: TcpListener,
    folder: TempDir,
}

impl Manager {
    fn new() -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
            folder: TempDir::new().unwrap(),
        }
    }

    fn addr(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Starts a relay, which lets pairs finish for so many seconds once it stops.
    fn start(&self, drain: u64) -> Relay {
        let script = "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$@\" 3<&0 </dev/null";
        let socket = OwnedFd::from(self.listener.try_clone().unwrap());
        Start::script(script)
            .stdin(socket)
            .env("RELAY_STATE_DIR", self.folder.path().display())
            .env("RELAY_WORKERS", WORKERS)
            .env("RELAY_DRAIN_TIMEOUT", drain)
            .run_at(self.addr())
    }

    async fn receiver(&self, code: &str) -> Client {
        let mut receiver = Client::at(self.addr()).await;
        receiver.join(code).await;
        receiver
    }

    /// A pair, and what its sender takes the room up by.
    async fn pair(&self) -> (Client, Ticket, Client) {
        let mut sender = Client::at(self.addr()).await;
        let ticket = sender.create_lasting_room().await;
        let receiver = self.receiver(&ticket.code).await;
        sender.expect_peer().await;
        (sender, ticket, receiver)
    }

    /// A sender that takes its room up, from whichever relay is there first.
    fn coming_back(&self, ticket: Ticket) -> JoinHandle<Client> {
        let addr = self.addr();
        tokio::spawn(async move {
            let mut sender = Client::at(addr).await;
            sender.take_up(&ticket).await;
            sender
        })
    }
}

/// When a sender is told to come back.
fn reconnect_in(told: &Value) -> f64 {
    reply::assert_error(told, "server_shutdown");
    told["reconnect_in"].as_f64().unwrap()
}

async fn assert_paired(sender: &mut Client, receiver: &mut Client) {
    sender.expect_peer().await;
    sender.send("again").await;
    receiver.expect(text("again")).await;
    receiver.send("thanks").await;
    sender.expect(text("thanks")).await;
}

#[tokio::test]
async fn a_pair_goes_on_in_the_next_relay() {
    let manager = Manager::new();
    let mut old = manager.start(1);
    let (mut sender, ticket, mut paired) = manager.pair().await;
    let mut queued = manager.receiver(&ticket.code).await;
    old.signal(Signal::SIGTERM);
    queued
        .expect_close_after_error("server_shutdown", 1012)
        .await;
    assert_eq!(paired.expect_close(1012).await, "server_shutdown");
    let mut told = sender.next_json("the end").await;
    if told["type"] == "PEER_DISCONNECTED" {
        told = sender.next_json("the end").await;
    }
    let seconds = reconnect_in(&told);
    assert!((1.0..=15.0).contains(&seconds), "{seconds}");
    sender.expect_close(1012).await;

    // Both come before there is a relay.
    let again = manager.coming_back(ticket.clone());
    old.ended().await;
    let _new = manager.start(1);
    let mut again = again.await.unwrap();
    let mut paired = manager.receiver(&ticket.code).await;
    assert_paired(&mut again, &mut paired).await;
}

#[tokio::test]
async fn a_pair_whose_line_is_cut_while_its_relay_stops_is_told_to_come_back() {
    let manager = Manager::new();
    let mut old = manager.start(3600);
    let (mut sender, ticket, mut paired) = manager.pair().await;
    let mut waiting = Client::at(manager.addr()).await;
    let other = waiting.create_lasting_room().await;
    let mut queued = manager.receiver(&ticket.code).await;
    old.signal(Signal::SIGTERM);
    // Who waits is told at once, and the pair may go on for as long as the relay waits.
    queued
        .expect_close_after_error("server_shutdown", 1012)
        .await;
    let told = waiting.next_json("the end").await;
    assert!(reconnect_in(&told) >= 1.0, "{told}");
    waiting.expect_close(1012).await;
    sender.send("still here").await;
    paired.expect(text("still here")).await;
    sender.reset();
    assert_eq!(paired.expect_close(1012).await, "server_shutdown");
    old.ended().await;

    let _new = manager.start(1);
    for ticket in [ticket, other] {
        let mut again = manager.coming_back(ticket.clone()).await.unwrap();
        let mut paired = manager.receiver(&ticket.code).await;
        assert_paired(&mut again, &mut paired).await;
    }
}

#[tokio::test]
async fn a_receiver_that_leaves_while_its_relay_stops_frees_the_sender() {
    let manager = Manager::new();
    let mut old = manager.start(3600);
    let (mut sender, ticket, paired) = manager.pair().await;
    old.signal(Signal::SIGTERM);
    paired.close().await;
    sender.expect_peer_gone().await;
    let told = sender.next_json("the end").await;
    assert!(reconnect_in(&told) >= 1.0, "{told}");
    sender.expect_close(1012).await;
    old.ended().await;
    let _new = manager.start(1);
    manager.coming_back(ticket).await.unwrap();
}

/// Whoever is accepted by a worker that is the first to start may ask for a room of the last.
#[tokio::test]
async fn who_waits_for_a_relay_to_start_is_served_by_whichever_worker() {
    const ROOMS: usize = 8 * WORKERS;
    let manager = Manager::new();
    let mut relay = manager.start(1);
    let mut tickets = Vec::new();
    for _ in 0..ROOMS {
        let mut sender = Client::at(manager.addr()).await;
        tickets.push(sender.create_lasting_room().await);
    }
    for _ in 0..3 {
        relay.stop().await;
        let coming: Vec<_> = tickets
            .iter()
            .cloned()
            .map(|it| manager.coming_back(it))
            .collect();
        relay = manager.start(1);
        for again in coming {
            again.await.expect("ROOM_RESUMED");
        }
    }
}
