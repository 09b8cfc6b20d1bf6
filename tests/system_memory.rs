//! What the system holds of the relay's connections, as `ss` tells: bounded, whatever clients do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{fs, path::Path, process::Command};

use claude_distill_relay::flow::buffers::UNSENT;
use relay_testing::{
    frame,
    process::Relay,
    skip::{find, skip},
    wire::{BINARY, PING},
};
use tokio::{io::AsyncWriteExt, task::JoinSet};

/// What the system may hold above a bound: the packet that goes over it, with its overhead.
const PACKET: usize = 128 << 10;

/// What a sender says again and again, and how many of it a receiver reads before it reads no more.
const MESSAGE: usize = 1 << 20;
const READ_FIRST: usize = 32;

/// Bytes that the system lets wait on a connection: what each begins with, and the most.
fn receive_buffer() -> (usize, usize) {
    let sizes = fs::read_to_string("/proc/sys/net/ipv4/tcp_rmem").unwrap();
    let sizes: Vec<_> = sizes.split_whitespace().collect();
    (sizes[1].parse().unwrap(), sizes[2].parse().unwrap())
}

/// Bytes that the system holds of one connection of the relay.
#[derive(Debug, Default, Clone, Copy)]
struct Held {
    unread: usize,
    unsent: usize,
}

/// What is held of each.
fn held(ss: &Path, relay: &Relay) -> Vec<Held> {
    let port = format!(":{}", relay.addr().port());
    let listing = Command::new(ss)
        .args(["-Htnm", "state", "established", "sport", "=", &port])
        .output()
        .unwrap();
    let listing = String::from_utf8(listing.stdout).unwrap();
    // skmem:(r<unread>,rb<may be>,t<on the line>,tb<may be>,f<kept>,w<unsent>,…
    let sockets = listing.split("skmem:(").skip(1).map(|memory| {
        let figure = |name| {
            let fields = memory.split(')').next().unwrap().split(',');
            let figures = fields.filter_map(|field| field.strip_prefix(name));
            figures.filter_map(|figure| figure.parse().ok()).next()
        };
        Held {
            unread: figure("r").unwrap(),
            unsent: figure("w").unwrap(),
        }
    });
    sockets.collect()
}

fn most(all: &[Held]) -> Held {
    all.iter().fold(Held::default(), |most, held| Held {
        unread: most.unread.max(held.unread),
        unsent: most.unsent.max(held.unsent),
    })
}

#[tokio::test]
async fn who_is_in_no_room_and_reads_nothing_makes_the_system_hold_little() {
    let Some(ss) = find("ss") else {
        return skip("ss");
    };
    let relay = Relay::start(&[]);
    let pings = frame(PING, [7; 125]).encode().repeat(900);
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = relay.dial().await;
        client.upgrade(relay_testing::http::UPGRADE).await;
        let before = relay.metric("relay_received_bytes_total").await;
        client.write(&pings).await;
        let all = before + pings.len() as u64;
        relay
            .until("relay_received_bytes_total", |now| now >= all)
            .await;
        clients.push(client);
    }
    let most = most(&held(&ss, &relay));
    assert!(most.unread <= receive_buffer().0 + PACKET, "{most:?}");
    assert!(most.unsent <= UNSENT as usize + PACKET, "{most:?}");
}

#[tokio::test]
async fn who_is_in_a_room_and_reads_nothing_makes_the_system_hold_no_more_than_is_said() {
    let Some(ss) = find("ss") else {
        return skip("ss");
    };
    let relay = Relay::start(&[]);
    let mut pushing = JoinSet::new();
    let mut kept = Vec::new();
    for _ in 0..5 {
        let (sender, mut receiver) = relay.wide_pair().await;
        let (answers, mut writer) = sender.split();
        pushing.spawn(async move {
            let message = frame(BINARY, vec![7; MESSAGE]).encode();
            while writer.write_all(&message).await.is_ok() {}
        });
        // It answers Pings until so much may be on its way that the system's own bound is what holds.
        for _ in 0..READ_FIRST {
            receiver.data(MESSAGE, "a message").await;
            receiver.expect_end_of_message().await;
        }
        kept.push((answers, receiver));
    }
    relay.until_still().await;
    let most = most(&held(&ss, &relay));
    println!("{most:?}");
    assert!(most.unread <= receive_buffer().1 + PACKET, "{most:?}");
    assert!(most.unread > 0, "nothing waits");
    assert!(most.unsent <= UNSENT as usize + PACKET, "{most:?}");
    assert!(
        most.unsent >= UNSENT as usize / 2,
        "the bound is not met: {most:?}"
    );
}
