//! Who reaches a node's port and is no node is let in nowhere, and names no client's address.

use std::net::SocketAddr;

use relay_testing::{
    Client, Raw,
    cluster::{Cluster, Nats, SECRET, nats_url},
    http::{self, UPGRADE},
    process::{Relay, Start},
    tap::Tap,
    text, within,
};
use tokio::net::TcpStream;

/// A handshake with these lines; the answer's status.
async fn status(relay: SocketAddr, lines: &str) -> u16 {
    let stream = within("a connection", TcpStream::connect(relay)).await;
    let mut raw = Raw::over(stream.unwrap());
    raw.write(format!("{UPGRADE}{lines}\r\n").as_bytes()).await;
    raw.response().await.status
}

#[tokio::test]
async fn a_header_that_proves_nothing_is_refused_and_named_nowhere() {
    let with = |_, it: Start| it.env("RUST_LOG", "debug");
    let Some(mut cluster) = Cluster::with(with).await else {
        return;
    };
    let node = cluster.nodes.remove(0);
    let long = "A".repeat(4000);
    for value in [
        "",
        "x",
        "AAAA",
        SECRET,
        &long,
        "{\"Client\":{\"client\":\"203.0.113.77\"}}",
        "\u{7f}",
    ] {
        let header = format!("X-Relay-Cluster: {value}\r\nX-Relay-Cluster: 203.0.113.77\r\n");
        let status = status(node.addr(), &header).await;
        assert!(status == 403 || status == 400, "{value}: {status}");
    }
    let one = status(node.addr(), "X-Relay-Cluster: 203.0.113.77\r\n").await;
    assert_eq!(one, 403);
    // Nobody has a session of it.
    assert_eq!(node.metric("relay_sessions").await, 0);
    let mut node = node;
    node.stop().await;
    node.lines_with("");
    let told = node.said().join("\n");
    assert!(!told.contains("203.0.113.77"), "{told}");
}

#[tokio::test]
async fn a_handshake_that_was_overheard_lets_nobody_in_again() {
    let Some(nats) = Nats::start() else { return };
    let url = nats.url();
    let owner = Start::new().in_cluster(&url);
    let tap = Tap::to(owner.addr());
    let owner = owner.env("RELAY_CLUSTER_ADDRESS", format!("ws://{}", tap.addr()));
    let nodes = vec![owner.run(), Start::new().in_cluster(&url).run()];
    let mut cluster = Cluster { nodes, nats };
    cluster.meet().await;
    let mut sender = Client::at(cluster[0].addr()).await;
    let code = sender.create_room().await;
    let mut receiver = Client::at(cluster[1].addr()).await;
    // Other nodes may have come to look whether it lives.
    tap.heard().clear();
    receiver.join(&code).await;
    sender.expect_peer().await;
    let heard = String::from_utf8_lossy(&tap.heard()).into_owned();
    let handshake = heard.split_once("\r\n\r\n").unwrap().0.to_owned();
    assert!(handshake.contains("x-relay-cluster: "), "{handshake}");
    for to in &cluster.nodes {
        let stream = TcpStream::connect(to.addr()).await.unwrap();
        let mut raw = Raw::over(stream);
        raw.write(format!("{handshake}\r\n\r\n").as_bytes()).await;
        let response = raw.response().await;
        assert_eq!(response.status, 403, "{response:?}");
        assert_eq!(response.header("x-relay-cluster"), None);
    }
    // The room's answer, said to a node, lets nobody in either.
    let answer = heard
        .lines()
        .rfind(|it| it.starts_with("x-relay-cluster: "));
    let lines = format!("{}\r\n", answer.unwrap());
    assert_eq!(status(cluster[0].addr(), &lines).await, 403);
    sender.send(text("goes on")).await;
    receiver.expect(text("goes on")).await;
}

#[tokio::test]
async fn a_node_with_another_secret_is_another_cluster() {
    let Some(nats) = Nats::start() else { return };
    let tap = Tap::to(nats.addr());
    let url = nats_url(tap.addr());
    let nodes = vec![
        Start::new().in_cluster(&url).run(),
        Start::new().in_cluster(&url).run(),
    ];
    let other = Start::new().in_cluster(&url).env(
        "RELAY_CLUSTER_SECRET",
        "a-secret-that-nobody-else-has-got-at-all",
    );
    let other: Relay = other.run();
    let mut cluster = Cluster { nodes, nats };
    cluster.meet().await;
    relay_testing::cluster::until_settled(other.addr()).await;
    let mut sender = Client::at(cluster[0].addr()).await;
    let code = sender.create_room().await;
    let mut elsewhere = Client::at(other.addr()).await;
    assert_eq!(elsewhere.try_code(&code).await, "room_not_found");
    let mut receiver = Client::at(cluster[1].addr()).await;
    receiver.join(&code).await;
    sender.expect_peer().await;
}

#[tokio::test]
async fn a_relay_that_is_no_node_takes_no_notice_of_the_header() {
    let relay = Start::new().run();
    let mut client = Client::open(relay.addr(), &[("x-relay-cluster", "anything")])
        .await
        .unwrap();
    client.create_room().await;
    assert_eq!(http::get(relay.addr(), "/healthz").unwrap().status, 200);
}
