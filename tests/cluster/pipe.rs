//! What goes between nodes: closes with their codes, Pings, and what a slow client holds back.

use std::time::{Duration, Instant};

use relay_testing::{
    Client, Raw,
    cluster::{Cluster, answer_in_the_end, pair_across},
    frame, noise,
    pairs::paired,
    process::{Relay, Start},
    seeded,
    skip::size,
    text,
    wire::{self, BINARY, CLOSE, PONG, TEXT},
    within,
};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

/// What the middle node may hold in each direction.
const MIDDLE: usize = 256 << 10;
const MESSAGE: usize = 1 << 20;

/// A sender on one node, and its receiver on another.
async fn raw_pair_across(from: &Relay, to: &Relay) -> (Raw, Raw) {
    paired(from.connect().await, to.connect().await).await
}

#[tokio::test]
async fn each_side_hears_how_the_other_has_ended() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let (a, b) = (&cluster[0], &cluster[1]);
    let (mut sender, mut receiver) = raw_pair_across(a, b).await;
    receiver.send(wire::close(4001, "enough")).await;
    let answer = receiver.next_alive("a close").await;
    assert_eq!(
        (answer.opcode, &answer.payload[..2]),
        (CLOSE, &4001_u16.to_be_bytes()[..])
    );
    assert_eq!(receiver.next_or_end("the end").await, None);
    sender.expect_peer_gone().await;

    let (sender, mut receiver) = pair_across(a.addr(), b.addr()).await;
    sender.close().await;
    assert_eq!(receiver.expect_close(1001).await, "sender_disconnected");
    let (sender, mut receiver) = pair_across(a.addr(), b.addr()).await;
    sender.reset();
    assert_eq!(receiver.expect_close(1001).await, "sender_disconnected");
    let (mut sender, receiver) = pair_across(a.addr(), b.addr()).await;
    receiver.reset();
    sender.expect_peer_gone().await;
    b.until("relay_sessions", |it| it == 0).await;
}

#[tokio::test]
async fn a_receiver_that_breaks_the_protocol_is_told_so_across() {
    let with = |_, it: Start| it.env("RELAY_MAX_RECEIVER_MSG_SIZE", 1000);
    let Some(cluster) = Cluster::with(with).await else {
        return;
    };
    for (bad, code) in [
        (frame(TEXT, "x").unmasked(), 1002),
        (frame(TEXT, "x").rsv(2), 1002),
        (frame(3, "x"), 1002),
        (frame(TEXT, vec![0xff, 0xfe]), 1007),
        (frame(BINARY, vec![0; 1001]), 1009),
    ] {
        let (mut sender, mut receiver) = raw_pair_across(&cluster[0], &cluster[1]).await;
        receiver.send(frame(TEXT, "good")).await;
        let came = sender.next_but_pings("a message").await;
        assert_eq!(came.payload[..], *b"good");
        receiver.send(bad).await;
        receiver.expect_close(code).await;
        sender.expect_peer_gone().await;
    }
}

#[tokio::test]
async fn who_answers_pings_lives_and_who_does_not_is_let_go() {
    let with = |_, it: Start| {
        it.env("RELAY_PING_INTERVAL", 1)
            .env("RELAY_PING_TIMEOUT", 5)
    };
    let Some(cluster) = Cluster::with(with).await else {
        return;
    };
    let (mut sender, mut receiver) = raw_pair_across(&cluster[0], &cluster[1]).await;
    let staying = async {
        for _ in 0..4 {
            let ping = receiver.expect_ping().await;
            receiver.pong(&ping).await;
        }
    };
    let alive = async {
        for _ in 0..4 {
            let ping = sender.expect_ping().await;
            sender.pong(&ping).await;
        }
    };
    tokio::join!(staying, alive);
    receiver.send(frame(wire::PING, "of its own")).await;
    let pong = receiver.next_but_pings("a pong").await;
    assert_eq!((pong.opcode, &pong.payload[..]), (PONG, &b"of its own"[..]));
    // From here on it is silent.
    let gone = async {
        loop {
            let frame = sender.next_alive("word of its end").await;
            if frame
                .payload
                .starts_with(b"{\"type\":\"PEER_DISCONNECTED\"")
            {
                return;
            }
        }
    };
    within("the end of a silent receiver", gone).await;
    cluster[1].until("relay_sessions", |it| it == 0).await;
}

/// Sends messages until nothing more is taken for a while; returns how many bytes were.
async fn push_until_stuck(raw: &mut Raw, most: usize) -> usize {
    use tokio::io::AsyncWriteExt;
    let bytes = frame(BINARY, noise(&mut seeded(7), MESSAGE)).encode();
    let mut taken = 0;
    loop {
        for chunk in bytes.chunks(16 << 10) {
            let mut rest = chunk;
            while !rest.is_empty() {
                match timeout(Duration::from_millis(1500), raw.writer().write(rest)).await {
                    Ok(count) => {
                        let count = count.expect("a write");
                        taken += count;
                        rest = &rest[count..];
                    }
                    Err(_) => return taken,
                }
            }
        }
        assert!(taken < most, "{taken} bytes are taken, and nobody reads");
    }
}

/// What a client does not take waits where its peer's bytes come in, on the room's node and with the peer. The systems
/// hold something as well, which differs from one run to the next: what counts is what has left the room's node.
#[tokio::test]
async fn a_slow_client_holds_back_its_peer_and_the_middle_node_holds_little() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let (home, middle) = (&cluster[0], &cluster[1]);
    let expected = noise(&mut seeded(7), MESSAGE);

    let (mut sender, mut receiver) = raw_pair_across(home, middle).await;
    let before = home.metric("relay_sent_bytes_total").await as usize;
    let down = push_until_stuck(&mut sender, 64 << 20).await;
    let sent = home.metric("relay_sent_bytes_total").await as usize - before;
    println!("{down} bytes are taken, and {sent} have left the room's node");
    assert!(sent <= MIDDLE, "{sent} bytes are on their way");
    // Nothing is lost of it.
    for _ in 0..down / (MESSAGE + 14) {
        let came = receiver.data(MESSAGE, "a message").await;
        assert!(came == expected, "other bytes than were sent");
        receiver.expect_end_of_message().await;
    }
    drop((sender, receiver));

    let (mut sender, mut receiver) = raw_pair_across(home, middle).await;
    let up = push_until_stuck(&mut receiver, 64 << 20).await;
    println!("{up} bytes of a receiver are taken");
    for _ in 0..up / (MESSAGE + 14) {
        let came = sender.data(MESSAGE, "a message").await;
        assert!(came == expected, "other bytes than were sent");
        sender.expect_end_of_message().await;
    }
}

#[tokio::test]
async fn many_slow_clients_cost_the_middle_node_little() {
    let pipes = size(40, 200);
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let bytes = frame(BINARY, noise(&mut seeded(7), 4 << 20)).encode();
    // What the first one costs is none of theirs.
    drop(raw_pair_across(&cluster[0], &cluster[1]).await);
    let growth = cluster[1].watch_memory();
    let mut held = Vec::new();
    for _ in 0..pipes {
        let (sender, receiver) = raw_pair_across(&cluster[0], &cluster[1]).await;
        let (reader, mut writer) = sender.split();
        let bytes = bytes.clone();
        held.push((reader, receiver));
        tokio::spawn(async move {
            use tokio::io::AsyncWriteExt;
            // Until the end of the test.
            let _ = writer.write_all(&bytes).await;
        });
    }
    cluster[1].until_still().await;
    growth.assert_within((8 << 20) + pipes * (64 << 10), "the middle node");
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_let_go_across_as_at_home() {
    for receiver_stalls in [true, false] {
        let with = |_, it: Start| it.env("RELAY_STALL_TIMEOUT", 2);
        let Some(cluster) = Cluster::with(with).await else {
            return;
        };
        let (sender, receiver) = raw_pair_across(&cluster[0], &cluster[1]).await;
        let began = Instant::now();
        let (mut pushes, stalls) = match receiver_stalls {
            true => (sender, receiver),
            false => (receiver, sender),
        };
        // Until it hears that its peer is gone, or the end of the test.
        let pushing = async {
            use tokio::io::AsyncWriteExt;
            let bytes = frame(BINARY, noise(&mut seeded(7), MESSAGE)).encode();
            while pushes.writer().write_all(&bytes).await.is_ok() {}
            std::future::pending().await
        };
        let left = usize::from(receiver_stalls);
        let letting_go = async {
            // It is gone from the node that it is on, and nobody goes on for it.
            cluster[1].until("relay_sessions", |it| it == 0).await;
            cluster[0]
                .until("relay_sessions", |it| it <= left as u64)
                .await;
        };
        tokio::select! {
            () = pushing => {}
            () = letting_go => {}
        }
        println!("let go after {:?}", began.elapsed());
        drop(stalls);
    }
}

#[tokio::test]
async fn many_pipes_live_at_once() {
    let pipes = size(100, 1000);
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let mut pairs = Vec::new();
    for n in 0..pipes {
        let (from, to) = (n % 3, (n + 1) % 3);
        pairs.push(pair_across(cluster[from].addr(), cluster[to].addr()).await);
    }
    for (n, (sender, _)) in pairs.iter_mut().enumerate() {
        sender.send(text(format!("message {n}"))).await;
    }
    for (n, (_, receiver)) in pairs.iter_mut().enumerate() {
        receiver.expect(text(format!("message {n}"))).await;
        receiver.send(text(format!("answer {n}"))).await;
    }
    for (n, (sender, _)) in pairs.iter_mut().enumerate() {
        sender.expect(text(format!("answer {n}"))).await;
    }
    drop(pairs);
    for node in &cluster.nodes {
        node.until("relay_sessions", |it| it == 0).await;
        node.until("relay_rooms", |it| it == 0).await;
    }
}

#[tokio::test]
async fn what_was_said_before_the_end_arrives() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let large = Message::binary(noise(&mut seeded(9), 4 << 20));
    let (mut sender, mut receiver) = pair_across(cluster[0].addr(), cluster[1].addr()).await;
    let sending = async {
        for _ in 0..3 {
            sender.send(large.clone()).await;
        }
        sender.close().await;
    };
    let receiving = async {
        for _ in 0..3 {
            receiver.expect(large.clone()).await;
        }
        receiver.expect_close(1001).await;
    };
    tokio::join!(sending, receiving);

    // The same from a receiver that closes.
    let (mut sender, mut receiver) = pair_across(cluster[0].addr(), cluster[1].addr()).await;
    let sending = async {
        receiver.send(large.clone()).await;
        receiver.close().await;
    };
    let receiving = async {
        sender.expect(large.clone()).await;
        sender.expect_peer_gone().await;
    };
    tokio::join!(sending, receiving);
}

#[tokio::test]
async fn a_node_that_stops_lets_pairs_across_it_finish() {
    // The middle node, and the room's.
    for stops in [1, 0] {
        let with = |_, it: Start| it.env("RELAY_DRAIN_TIMEOUT", 20);
        let Some(mut cluster) = Cluster::with(with).await else {
            return;
        };
        let (mut sender, mut receiver) = pair_across(cluster[0].addr(), cluster[1].addr()).await;
        let mut waiting = Client::at(cluster[stops].addr()).await;
        let code = waiting.create_room().await;
        cluster[stops].signal(nix::sys::signal::Signal::SIGTERM);
        waiting
            .expect_close_after_error("server_shutdown", 1012)
            .await;
        let mut late = Client::at(cluster[2].addr()).await;
        let told = answer_in_the_end(&mut late, &code).await;
        assert_eq!(told, "room_not_found");
        sender.send(text("goes on")).await;
        receiver.expect(text("goes on")).await;
        receiver.send(text("to the end")).await;
        sender.expect(text("to the end")).await;
        receiver.close().await;
        if stops == 1 {
            sender.expect_peer_gone().await;
        }
        drop(sender);
        let status = cluster.nodes[stops].ended().await;
        assert!(status.success(), "{status}");
    }
}

#[tokio::test]
async fn a_node_that_may_wait_no_longer_closes_what_is_across_it() {
    let with = |_, it: Start| it.env("RELAY_DRAIN_TIMEOUT", 1);
    let Some(mut cluster) = Cluster::with(with).await else {
        return;
    };
    let (mut sender, mut receiver) = pair_across(cluster[0].addr(), cluster[1].addr()).await;
    cluster[1].signal(nix::sys::signal::Signal::SIGTERM);
    receiver.expect_close(1012).await;
    sender.expect_peer_gone().await;
    let status = cluster.nodes[1].ended().await;
    assert!(status.success(), "{status}");
}
