//! Peers that the network itself cuts off: no packet of theirs says so, and none ever comes again.
//! Their rooms are usable again within the documented time, and no socket of theirs is left.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use relay_testing::{
    Raw, frame,
    netns::{FAR, Network},
    process::{Relay, Start},
    reply,
    skip::is_too_long,
    wire::{BINARY, CLOSE, CONTINUATION, TEXT},
    within,
};
use serde_json::Value;
use tokio::task::JoinSet;

const PING_INTERVAL: Duration = Duration::from_secs(1);
const PING_TIMEOUT: Duration = Duration::from_secs(1);
const STALL_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a silent peer may pass for a living one.
const SILENCE: Duration = PING_INTERVAL.saturating_add(PING_TIMEOUT);
/// What a timer of the relay or of the system may be late, on a busy machine.
const LATE: Duration = Duration::from_secs(3);

/// A relay on a network that can be cut.
struct Site {
    network: Network,
    relay: Relay,
    cut_at: Option<Instant>,
}

impl Site {
    fn new(settings: &[(&str, u64)]) -> Option<Self> {
        let network = Network::new()?;
        let start = Start::new()
            .env("RELAY_PING_INTERVAL", PING_INTERVAL.as_secs())
            .env("RELAY_PING_TIMEOUT", PING_TIMEOUT.as_secs())
            .env("RELAY_STALL_TIMEOUT", STALL_TIMEOUT.as_secs());
        let set = |start: Start, &(name, value): &(&str, u64)| start.env(name, value);
        let relay = network.run(settings.iter().fold(start, set));
        Some(Self {
            network,
            relay,
            cut_at: None,
        })
    }

    fn port(&self) -> u16 {
        self.relay.addr().port()
    }

    async fn doomed(&self) -> Raw {
        self.network.doomed(self.port()).await
    }

    async fn safe(&self) -> Raw {
        self.network.safe(self.port()).await
    }

    /// A safe sender in a room, and the room's code.
    async fn sender(&self) -> (Raw, String) {
        let mut sender = self.safe().await;
        let code = sender.create_room().await;
        (sender, code)
    }

    /// A session over the cable, as a receiver in that room.
    async fn doomed_receiver(&self, code: &str) -> Raw {
        let mut receiver = self.doomed().await;
        receiver.join(code).await;
        receiver
    }

    /// Cuts off so many sockets of the relay's.
    async fn cut(&mut self, sockets: usize) {
        let accepting = async {
            // A handshake may not have been accepted yet.
            while self.sockets().len() < sockets {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        within("connections to cut off", accepting).await;
        self.network.cut();
        self.cut_at = Some(Instant::now());
    }

    /// It is no longer than `limit` ago that the cable was cut.
    fn assert_within(&self, limit: Duration) {
        let took = self.cut_at.expect("a cut").elapsed();
        assert!(
            took <= limit + LATE,
            "{took:?} after the cut, over {limit:?}"
        );
    }

    /// The relay's sockets whose other end is beyond the cut, as the system lists them. One that
    /// the relay has closed may go on for a while, but it is the system's own and has no inode.
    fn sockets(&self) -> Vec<String> {
        let far = u32::from_ne_bytes(FAR.parse::<Ipv4Addr>().unwrap().octets());
        let far = format!("{far:08X}:");
        let table = self.relay.proc("net/tcp");
        let beyond = |line: &&str| {
            let mut fields = line.split_whitespace().skip(2);
            let remote = fields.next().unwrap_or_default();
            remote.starts_with(&far) && fields.nth(6) != Some("0")
        };
        table.lines().filter(beyond).map(str::to_owned).collect()
    }

    /// Within `limit` of the cut the relay has closed them all.
    async fn no_socket_is_left(&self, limit: Duration) {
        loop {
            let left = self.sockets();
            if left.is_empty() {
                break;
            }
            let after = self.cut_at.expect("a cut").elapsed();
            assert!(after <= limit + LATE, "{after:?} after the cut: {left:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The next message of the relay's own to a living client.
async fn told(client: &mut Raw, awaited: &str) -> Value {
    let frame = client.next_alive(awaited).await;
    assert_eq!(frame.opcode, TEXT, "{frame:?} instead of {awaited}");
    reply::parse(std::str::from_utf8(&frame.payload).unwrap())
}

/// The sender hears in time that its receiver is gone, and serves the next one.
async fn next_is_served(site: &Site, sender: &mut Raw, code: &str, limit: Duration) {
    let gone = told(sender, "PEER_DISCONNECTED").await;
    reply::peer(&gone, "PEER_DISCONNECTED");
    let mut next = site.safe().await;
    next.join(code).await;
    reply::peer(&told(sender, "PEER_JOINED").await, "PEER_JOINED");
    site.assert_within(limit);
    sender.send(frame(TEXT, "for the next")).await;
    let message = next.next_alive("what is for the next").await;
    assert_eq!(&message.payload[..], b"for the next");
}

/// A client in the background that only shows that it lives.
fn keep_alive(living: &mut JoinSet<()>, mut client: Raw) {
    living.spawn(async move {
        loop {
            client.next_alive("another ping").await;
        }
    });
}

#[tokio::test]
async fn a_receiver_that_is_idle() {
    let Some(mut site) = Site::new(&[]) else {
        return;
    };
    let (mut sender, code) = site.sender().await;
    let _receiver = site.doomed_receiver(&code).await;
    sender.expect_peer().await;
    site.cut(1).await;
    next_is_served(&site, &mut sender, &code, SILENCE).await;
    site.no_socket_is_left(SILENCE).await;
}

#[tokio::test]
async fn a_receiver_in_the_middle_of_what_it_is_sent() {
    let Some(mut site) = Site::new(&[]) else {
        return;
    };
    let (mut sender, code) = site.sender().await;
    let mut receiver = site.doomed_receiver(&code).await;
    sender.expect_peer().await;
    sender.send(frame(BINARY, "begun").more()).await;
    receiver.data(5, "the beginning").await;
    site.cut(1).await;
    // More than fits into any buffer on the way: the sender has to wait for the end of it.
    sender.send(frame(CONTINUATION, vec![7; 10_000_000])).await;
    next_is_served(&site, &mut sender, &code, STALL_TIMEOUT).await;
    site.no_socket_is_left(STALL_TIMEOUT).await;
}

#[tokio::test]
async fn a_receiver_that_is_sent_a_little_now_and_then() {
    let Some(mut site) = Site::new(&[]) else {
        return;
    };
    let (mut sender, code) = site.sender().await;
    let _receiver = site.doomed_receiver(&code).await;
    sender.expect_peer().await;
    site.cut(1).await;
    // The system takes all of it, as if somebody were there: no reason to wait any longer.
    let mut trickle = tokio::time::interval(PING_TIMEOUT / 5);
    loop {
        tokio::select! {
            gone = told(&mut sender, "PEER_DISCONNECTED") => {
                reply::peer(&gone, "PEER_DISCONNECTED");
                break;
            }
            _ = trickle.tick() => {}
        }
        sender.send(frame(TEXT, "are you there?")).await;
    }
    site.assert_within(SILENCE);
    site.no_socket_is_left(SILENCE).await;
}

#[tokio::test]
async fn a_receiver_in_the_middle_of_what_it_sends() {
    let Some(mut site) = Site::new(&[]) else {
        return;
    };
    let (mut sender, code) = site.sender().await;
    let mut receiver = site.doomed_receiver(&code).await;
    sender.expect_peer().await;
    let half = vec![7; 100_000];
    receiver
        .send(frame(BINARY, half.clone()).claiming(2 * half.len() as u64))
        .await;
    site.cut(1).await;
    // Nothing of its half a message comes before the news of its end.
    next_is_served(&site, &mut sender, &code, SILENCE).await;
    site.no_socket_is_left(SILENCE).await;
}

/// A receiver in the queue of one is cut off. Its place is free again within `limit`.
async fn place_in_the_queue_is_free(sent: &[u8], limit: Duration) {
    let Some(mut site) = Site::new(&[("RELAY_MAX_QUEUE", 1)]) else {
        return;
    };
    let (mut sender, code) = site.sender().await;
    let mut paired = site.safe().await;
    paired.join(&code).await;
    sender.expect_peer().await;
    let mut queued = site.doomed_receiver(&code).await;
    queued.write(sent).await;
    let mut living = JoinSet::new();
    keep_alive(&mut living, sender);
    keep_alive(&mut living, paired);
    site.cut(1).await;

    let mut next = site.safe().await;
    let joining = async {
        loop {
            next.send(frame(TEXT, reply::join(&code))).await;
            let answer = told(&mut next, "an answer").await;
            if answer["type"] == "ROOM_JOINED" {
                break;
            }
            reply::assert_error(&answer, "room_full");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    within("a place in the queue", joining).await;
    site.assert_within(limit);
    site.no_socket_is_left(limit).await;
}

#[tokio::test]
async fn a_queued_receiver_that_is_idle() {
    place_in_the_queue_is_free(b"", SILENCE).await;
}

#[tokio::test]
async fn a_queued_receiver_that_is_not_read_any_more() {
    // The same is tried at a clock that is moved, in `deadlines`.
    if is_too_long() {
        return;
    }
    // More than its window, less than that and the buffers on the way: it has nothing to send.
    let pushed = frame(BINARY, vec![7; 300_000]).encode();
    // Pinged once more, and given up by the system, before the relay looks again.
    let limit = STALL_TIMEOUT + PING_TIMEOUT + 2 * PING_INTERVAL;
    place_in_the_queue_is_free(&pushed, limit).await;
}

/// A sender is cut off. Its receiver hears of it within `limit`.
async fn room_is_closed(sent: &[u8], limit: Duration) {
    let Some(mut site) = Site::new(&[]) else {
        return;
    };
    let mut sender = site.doomed().await;
    let code = sender.create_room().await;
    let mut receiver = site.safe().await;
    receiver.join(&code).await;
    sender.expect_peer().await;
    sender.write(sent).await;
    site.cut(1).await;
    loop {
        let frame = receiver.next_alive("the end").await;
        if frame.opcode == CLOSE {
            assert_eq!(&frame.payload[2..], b"sender_disconnected");
            break;
        }
    }
    site.assert_within(limit);
    let mut late = site.safe().await;
    late.send(frame(TEXT, reply::join(&code))).await;
    late.expect_error("room_not_found").await;
    site.no_socket_is_left(limit).await;
}

#[tokio::test]
async fn a_sender_that_is_idle() {
    room_is_closed(b"", SILENCE).await;
}

#[tokio::test]
async fn a_sender_in_the_middle_of_a_message() {
    let half = frame(BINARY, vec![7; 100_000]).claiming(200_000).encode();
    room_is_closed(&half, SILENCE).await;
}

#[tokio::test]
async fn a_handshake_half_done() {
    const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
    let Some(mut site) = Site::new(&[]) else {
        return;
    };
    let _silent = site.network.doomed_dial(site.port());
    let mut half = site.network.doomed_dial(site.port());
    half.write(b"GET / HTTP/1.1\r\nHost: relay").await;
    site.cut(2).await;
    // It is told so in vain, and not waited for.
    site.no_socket_is_left(HEAD_TIMEOUT).await;
}
