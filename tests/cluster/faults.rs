//! What fails: a node, NATS, the network between them.

use std::{
    collections::HashSet,
    net::SocketAddr,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use relay_testing::{
    Client,
    cluster::{Cluster, NO_CODE, Nats, join_in_the_end, nats_url, pair_across, until_settled},
    noise,
    port::Port,
    process::Start,
    reply, seeded,
    skip::size,
    tap::Tap,
    text, within,
};
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;

/// By how much a machine that does much else is late.
const BUSY: Duration = Duration::from_secs(4);

/// No more than this has passed since then.
fn assert_within(since: Instant, time: Duration) {
    let passed = since.elapsed();
    assert!(passed < time + BUSY, "{passed:?}");
}

/// A sender on a node, and the code of its room.
async fn room(node: SocketAddr) -> (Client, String) {
    let mut sender = Client::at(node).await;
    let code = sender.create_room().await;
    (sender, code)
}

/// All works from each node to each.
async fn all_is_found(cluster: &Cluster) {
    for from in &cluster.nodes {
        for to in &cluster.nodes {
            let (mut sender, code) = room(from.addr()).await;
            let mut receiver = join_in_the_end(to.addr(), &code).await;
            sender.expect_peer().await;
            sender.send(text("found")).await;
            receiver.expect(text("found")).await;
        }
    }
}

#[tokio::test]
async fn a_node_that_is_killed_takes_its_own_rooms_along_and_nothing_else() {
    let Some(mut cluster) = Cluster::start().await else {
        return;
    };
    let large = Message::binary(noise(&mut seeded(1), 16 << 20));
    let (mut sender, mut receiver) = pair_across(cluster[0].addr(), cluster[1].addr()).await;
    let (_idle_sender, mut idle) = pair_across(cluster[0].addr(), cluster[1].addr()).await;
    let (_waiting, code) = room(cluster[0].addr()).await;
    let (mut others, mut other) = pair_across(cluster[1].addr(), cluster[2].addr()).await;
    // A receiver that is on it leaves its room alone.
    let (mut left, _dies) = pair_across(cluster[2].addr(), cluster[0].addr()).await;

    let sending = tokio::spawn(async move {
        loop {
            sender.send(large.clone()).await;
        }
    });
    receiver.next("the first message").await;
    let killed = Instant::now();
    drop(cluster.nodes.remove(0));
    sending.abort();
    // The one in the middle of a frame hears no Close, which would be taken for the rest of that.
    let ended = async {
        use futures_util::StreamExt;
        let mut ws = receiver.into_inner();
        loop {
            match ws.next().await {
                Some(Ok(Message::Close(Some(close)))) => {
                    assert_eq!((close.code.into(), &*close.reason), (1012_u16, "node_lost"));
                    return;
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            }
        }
    };
    within("the end of the receiver", ended).await;
    assert_eq!(idle.expect_close(1012).await, "node_lost");
    left.expect_peer_gone().await;
    assert_within(killed, Duration::from_secs(1));
    for node in &cluster.nodes {
        let mut client = Client::at(node.addr()).await;
        while client.try_code(&code).await != "room_not_found" {
            sleep(Duration::from_millis(100)).await;
        }
    }
    assert_within(killed, Duration::from_secs(2));
    others.send(text("goes on")).await;
    other.expect(text("goes on")).await;
    all_is_found(&cluster).await;
}

#[tokio::test]
async fn its_codes_are_unknown_within_a_second() {
    let Some(mut cluster) = Cluster::start().await else {
        return;
    };
    let (_waiting, code) = room(cluster[0].addr()).await;
    drop(cluster.nodes.remove(0));
    let killed = Instant::now();
    let mut client = Client::at(cluster[0].addr()).await;
    let mut told = Vec::new();
    loop {
        let answer = client.try_code(&code).await;
        if answer == "room_not_found" {
            break;
        }
        told.push(answer);
        sleep(Duration::from_millis(100)).await;
    }
    println!("unknown after {:?}: {told:?}", killed.elapsed());
    assert!(
        told.iter().all(|it| it == "cluster_unavailable"),
        "{told:?}"
    );
    assert_within(killed, Duration::from_secs(1));
}

#[tokio::test]
async fn without_nats_each_node_has_its_own_rooms_and_all_are_found_when_it_is_back() {
    let Some(mut cluster) = Cluster::start().await else {
        return;
    };
    let (mut sender, mut receiver) = pair_across(cluster[0].addr(), cluster[1].addr()).await;
    let (mut before, code) = room(cluster[0].addr()).await;
    cluster.nats.kill();
    let until = Instant::now() + Duration::from_secs(size(6, 60));
    let goes_on = [text("goes on")];
    let mut meanwhile = None;
    let mut waits = HashSet::new();
    while Instant::now() < until {
        // Local rooms are opened, joined and served.
        let (mut own, own_code) = room(cluster[2].addr()).await;
        let mut guest = Client::at(cluster[2].addr()).await;
        guest.join(&own_code).await;
        own.expect_peer().await;
        own.send(text("at home")).await;
        guest.expect(text("at home")).await;
        guest.close().await;
        own.expect_peer_gone().await;
        meanwhile = Some((own, own_code));
        // Those elsewhere are said to be out of reach.
        for node in [1, 2] {
            let mut client = Client::at(cluster[node].addr()).await;
            for code in [code.as_str(), NO_CODE] {
                client.send(text(reply::join(code))).await;
                let error = client.expect_error("cluster_unavailable").await;
                waits.insert(error["retry_after"].as_u64().unwrap());
            }
        }
        // What is across already goes on.
        tokio::join!(
            sender.exchange(&goes_on, &goes_on),
            receiver.exchange(&goes_on, &goes_on)
        );
        // Who reads nothing answers no Ping, and would be let go.
        before.round_trip().await;
        sleep(Duration::from_millis(200)).await;
    }
    assert!(
        waits.len() > 1,
        "all are told to come back after {waits:?} s"
    );
    let (mut own, own_code) = meanwhile.unwrap();
    cluster.nats.start_again();
    let back = Instant::now();
    let _joined = join_in_the_end(cluster[1].addr(), &code).await;
    before.expect_peer().await;
    let _other = join_in_the_end(cluster[0].addr(), &own_code).await;
    own.expect_peer().await;
    println!("found {:?} after the return of NATS", back.elapsed());
    assert_within(back, Duration::from_secs(2));
    all_is_found(&cluster).await;
    until_settled(cluster[0].addr()).await;
    println!("settled {:?} after it", back.elapsed());
}

#[tokio::test]
async fn a_nats_server_that_hangs_stops_no_transfer_and_makes_no_room_unknown() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let (mut sender, mut receiver) = pair_across(cluster[0].addr(), cluster[1].addr()).await;
    let (_before, code) = room(cluster[0].addr()).await;
    cluster.nats.freeze().await;
    let large = [Message::binary(noise(&mut seeded(3), 2 << 20))];
    let until = Instant::now() + Duration::from_secs(6);
    let mut fastest = Duration::MAX;
    while Instant::now() < until {
        tokio::join!(
            sender.exchange(&large, &large),
            receiver.exchange(&large, &large)
        );
        let began = Instant::now();
        let (mut own, own_code) = room(cluster[2].addr()).await;
        let took = began.elapsed();
        // Once the node has given NATS up it waits for nobody.
        if cluster[2].metric("relay_cluster_joined").await == 1 {
            fastest = fastest.min(took);
        }
        let mut guest = Client::at(cluster[2].addr()).await;
        guest.join(&own_code).await;
        own.expect_peer().await;
        let mut client = Client::at(cluster[1].addr()).await;
        assert_eq!(client.try_code(&code).await, "cluster_unavailable");
    }
    println!("the fastest room was opened in {fastest:?}");
    assert!(fastest < Duration::from_millis(500), "{fastest:?}");
    cluster.nats.thaw();
    let back = Instant::now();
    let _joined = join_in_the_end(cluster[1].addr(), &code).await;
    println!("found {:?} after it went on", back.elapsed());
    assert_within(back, Duration::from_secs(2));
    all_is_found(&cluster).await;
}

/// Three nodes, of which the first reaches NATS through a tap, and is reached by the others through another.
async fn tapped() -> Option<(Cluster, Tap, Tap)> {
    let nats = Nats::start()?;
    let to_nats = Tap::to(nats.addr());
    let first = Start::new().in_cluster(&nats_url(to_nats.addr()));
    let to_first = Tap::to(first.addr());
    let first = first.env("RELAY_CLUSTER_ADDRESS", format!("ws://{}", to_first.addr()));
    let url = nats.url();
    let nodes = vec![
        first.run(),
        Start::new().in_cluster(&url).run(),
        Start::new().in_cluster(&url).run(),
    ];
    let mut cluster = Cluster { nodes, nats };
    cluster.meet().await;
    Some((cluster, to_nats, to_first))
}

/// For so long, no room that is there is said not to be, whoever asks.
async fn never_unknown(cluster: &Cluster, rooms: &[String], time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        for node in &cluster.nodes {
            for code in rooms {
                let mut client = Client::at(node.addr()).await;
                let told = client.try_code(code).await;
                assert!(
                    ["ROOM_JOINED", "cluster_unavailable", "room_full"].contains(&told.as_str()),
                    "{told}"
                );
            }
        }
        sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test]
async fn a_node_that_is_cut_off_makes_no_room_unknown() {
    // Its connection to NATS ends, or hangs; and the others reach it, or do not.
    for (ends, alone) in [(true, false), (true, true), (false, false), (false, true)] {
        let Some((cluster, to_nats, to_first)) = tapped().await else {
            return;
        };
        let (_one, one_code) = room(cluster[0].addr()).await;
        let (_two, two_code) = room(cluster[1].addr()).await;
        let codes = [one_code, two_code];
        let cut = |tap: &Tap| match ends {
            true => tap.cut(),
            false => tap.hold(),
        };
        cut(&to_nats);
        if alone {
            cut(&to_first);
        }
        let began = Instant::now();
        never_unknown(&cluster, &codes, Duration::from_secs(6)).await;
        to_first.mend();
        to_nats.mend();
        let back = Instant::now();
        let _found = join_in_the_end(cluster[1].addr(), &codes[0]).await;
        let _found = join_in_the_end(cluster[0].addr(), &codes[1]).await;
        println!(
            "cut for {:?} ({ends}, {alone}), found {:?} after",
            back - began,
            back.elapsed()
        );
        assert_within(back, Duration::from_secs(3));
        all_is_found(&cluster).await;
        for node in &cluster.nodes {
            until_settled(node.addr()).await;
        }
    }
}

#[tokio::test]
async fn a_node_that_hangs_holds_up_nobody_else() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let (_one, code) = room(cluster[0].addr()).await;
    cluster[0].freeze().await;
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        let began = Instant::now();
        let mut client = Client::at(cluster[1].addr()).await;
        assert_eq!(client.try_code(&code).await, "cluster_unavailable");
        assert_within(began, Duration::from_secs(5));
        let (mut sender, mut receiver) = pair_across(cluster[1].addr(), cluster[2].addr()).await;
        sender.send(text("goes on")).await;
        receiver.expect(text("goes on")).await;
    }
    cluster[0].signal(Signal::SIGCONT);
    let back = Instant::now();
    let _found = join_in_the_end(cluster[1].addr(), &code).await;
    println!("found {:?} after it went on", back.elapsed());
    assert_within(back, Duration::from_secs(2));
    all_is_found(&cluster).await;
    until_settled(cluster[1].addr()).await;
}

#[tokio::test]
async fn of_two_nodes_with_one_address_the_second_is_refused_and_it_is_said() {
    let Some(mut cluster) = Cluster::start().await else {
        return;
    };
    let address = format!("ws://{}", cluster[0].addr());
    let port = Port::reserve();
    let start = || {
        relay_testing::program::Program::new(relay_testing::process::program())
            .env("RELAY_PORT", port.number())
            .env("RELAY_CLUSTER_NATS", cluster.nats.url())
            .env("RELAY_CLUSTER_ADDRESS", &address)
            .env("RELAY_CLUSTER_SECRET", relay_testing::cluster::SECRET)
    };
    let output = start().output();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("RELAY_CLUSTER_ADDRESS") && said.contains(&address),
        "{said}"
    );
    cluster.nodes[0].line_with("another node has the address");
    all_is_found(&cluster).await;

    // Where NATS is away when it starts, it is told later, and has its own rooms alone.
    cluster.nats.kill();
    let mut second = {
        let url = cluster.nats.url();
        let start = Start::new().in_cluster(&url);
        start.env("RELAY_CLUSTER_ADDRESS", &address).run()
    };
    // Else it would be refused at its start, too.
    second.line_with("not joined yet");
    cluster.nats.start_again();
    second.line_with("another node of the cluster");
    let (_room, code) = room(cluster[1].addr()).await;
    let mut client = Client::at(second.addr()).await;
    assert_eq!(client.try_code(&code).await, "cluster_unavailable");
    let (_own, own) = room(second.addr()).await;
    client.join(&own).await;
    all_is_found(&cluster).await;
    // When the first is gone, it has the address.
    drop(cluster.nodes.remove(0));
    second.line_with("joined");
}

#[tokio::test]
async fn a_node_that_starts_without_nats_joins_when_it_is_there() {
    let Some(mut nats) = Nats::start() else {
        return;
    };
    nats.kill();
    let url = nats.url();
    let nodes = vec![
        Start::new().in_cluster(&url).run(),
        Start::new().in_cluster(&url).run(),
    ];
    let (mut own, code) = room(nodes[0].addr()).await;
    let mut guest = Client::at(nodes[0].addr()).await;
    guest.join(&code).await;
    own.expect_peer().await;
    let (_other, code) = room(nodes[0].addr()).await;
    let mut client = Client::at(nodes[1].addr()).await;
    assert_eq!(client.try_code(&code).await, "cluster_unavailable");
    nats.start_again();
    let back = Instant::now();
    let cluster = Cluster { nodes, nats };
    let _found = join_in_the_end(cluster[1].addr(), &code).await;
    println!("found {:?} after NATS was there", back.elapsed());
    assert_within(back, Duration::from_secs(2));
    all_is_found(&cluster).await;
}
