//! Today's clients, each on another node, and nodes that speak TLS with each other.

use std::time::Duration;

use relay_testing::{
    Client,
    certificate::Certificate,
    cluster::{Cluster, Nats, pair_across},
    process::Start,
    proxy::Proxy,
    python::{Share, with_websockets},
    skip::size,
    text,
};

#[tokio::test]
async fn clients_of_today_share_across_nodes() {
    let Some(python) = with_websockets() else {
        return;
    };
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let url = |node: usize| format!("ws://{}/", cluster[node].addr());
    for (compression, from, to) in [(true, 0, 1), (false, 2, 0)] {
        let share = Share {
            python: python.clone(),
            bytes: size(200_000, 4_000_000),
            patience: Duration::from_secs(60),
            compression,
        };
        let (from, to) = (url(from), url(to));
        let sharing = move || {
            let (sender, code) = share.send(&from).expect("a room");
            let receiver = share.receive(&to, &code);
            (receiver.end(), sender.end())
        };
        let (received, sent) = tokio::task::spawn_blocking(sharing).await.unwrap();
        assert!(
            received.is_done() && sent.is_done(),
            "{received:?}, {sent:?}"
        );
        assert_eq!(received.bytes, sent.bytes);
        assert_eq!(received.compressed, compression);
    }
}

#[tokio::test]
async fn nodes_speak_tls_where_their_addresses_say_so() {
    let Some(nats) = Nats::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut proxies = Vec::new();
    let mut nodes = Vec::new();
    // The third has a certificate that the others do not trust.
    let (good, bad) = (Certificate::for_name("127.0.0.1"), Certificate::of_nobody());
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, &good.roots).unwrap();
    for certificate in [&good, &good, &bad] {
        let start = Start::new().in_cluster(&nats.url());
        let proxy = Proxy::to(start.addr().port());
        let proxy = proxy.with(certificate.clone()).start();
        let node = start
            .env(
                "RELAY_CLUSTER_ADDRESS",
                format!("wss://127.0.0.1:{}", proxy.port),
            )
            .env("SSL_CERT_FILE", roots.display());
        nodes.push(node.run());
        proxies.push(proxy);
    }
    let mut cluster = Cluster { nodes, nats };
    cluster.meet().await;
    let (mut sender, mut receiver) = pair_across(cluster[0].addr(), cluster[1].addr()).await;
    sender.send(text("over TLS")).await;
    receiver.expect(text("over TLS")).await;
    receiver.close().await;
    sender.expect_peer_gone().await;
    // To it nobody goes, and nothing is said to it.
    let mut distrusted = Client::at(cluster[2].addr()).await;
    let code = distrusted.create_room().await;
    let mut client = Client::at(cluster[0].addr()).await;
    assert_eq!(client.try_code(&code).await, "cluster_unavailable");
}
