//! What wrong codes cost: the same on three nodes as on one.

use std::{net::SocketAddr, time::Duration};

use relay_testing::{
    Client,
    cluster::{Cluster, NO_CODE, answer_in_the_end},
    process::Start,
    text, within,
};

/// A client of this address, behind a trusted proxy.
async fn of(node: SocketAddr, client: &str) -> Client {
    let headers = [("x-forwarded-for", client)];
    Client::open(node, &headers).await.unwrap()
}

async fn cluster(most: usize) -> Option<Cluster> {
    Cluster::with(|_, it: Start| {
        it.env("RELAY_FAILED_JOIN_MAX", most)
            // Longer than anybody is kept waiting.
            .env("RELAY_FAILED_JOIN_WINDOW", most * 100)
    })
    .await
}

/// Tries a wrong code on this node until it is said to be enough.
async fn until_limited(node: SocketAddr, client: &str) {
    let trying =
        async { while of(node, client).await.try_code(NO_CODE).await != "rate_limited" {} };
    within("a limit", trying).await;
}

#[tokio::test]
async fn three_nodes_give_one_budget() {
    const MOST: usize = 6;
    let Some(cluster) = cluster(MOST).await else {
        return;
    };
    for n in 0..MOST {
        let node = cluster[[0, 2, 1][n % 3]].addr();
        let told = answer_in_the_end(&mut of(node, "198.51.100.7").await, NO_CODE).await;
        assert_eq!(told, "room_not_found", "{n}");
        // What is tried in the same moment on three nodes may count later; a second or two is what they have.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    tokio::time::sleep(Duration::from_millis(1800)).await;
    for node in &cluster.nodes {
        let mut guesser = of(node.addr(), "198.51.100.7").await;
        assert_eq!(guesser.try_code(NO_CODE).await, "rate_limited");
        // Nobody else pays for it.
        let mut other = of(node.addr(), "198.51.100.8").await;
        assert_eq!(
            answer_in_the_end(&mut other, NO_CODE).await,
            "room_not_found"
        );
    }
}

#[tokio::test]
async fn right_codes_cost_nothing_wherever_they_are() {
    const MOST: usize = 2;
    let Some(cluster) = cluster(MOST).await else {
        return;
    };
    for _ in 0..10 {
        let mut sender = of(cluster[0].addr(), "198.51.100.1").await;
        let code = sender.create_room().await;
        let mut receiver = of(cluster[1].addr(), "198.51.100.2").await;
        receiver.join(&code).await;
        sender.expect_peer().await;
    }
    for node in [1, 2] {
        let mut guesser = of(cluster[node].addr(), "198.51.100.2").await;
        assert_eq!(
            answer_in_the_end(&mut guesser, NO_CODE).await,
            "room_not_found"
        );
    }
    for node in &cluster.nodes {
        until_limited(node.addr(), "198.51.100.2").await;
    }
}

/// As many as the default allows wrong codes, and some: they come from one address, as from an office, and all
/// codes are right.
#[tokio::test]
async fn many_of_one_address_join_across_at_once() {
    let Some(cluster) = cluster(10).await else {
        return;
    };
    let mut senders = Vec::new();
    let mut receivers = Vec::new();
    for n in 0..40 {
        let mut sender = of(cluster[0].addr(), &format!("198.51.100.{}", n + 1)).await;
        let code = sender.create_room().await;
        receivers.push((of(cluster[1].addr(), "203.0.113.9").await, code));
        senders.push(sender);
    }
    let joins = receivers
        .iter_mut()
        .map(|(receiver, code)| async move { receiver.try_code(code).await });
    let told = futures_util::future::join_all(joins);
    let told = tokio::time::timeout(Duration::from_secs(10), told).await;
    let told = told.expect("answers at once");
    assert!(told.iter().all(|it| it == "ROOM_JOINED"), "{told:?}");
}

#[tokio::test]
async fn what_nobody_can_answer_costs_nothing() {
    const MOST: usize = 2;
    let Some(mut cluster) = cluster(MOST).await else {
        return;
    };
    cluster.nats.kill();
    for _ in 0..10 {
        let mut client = of(cluster[0].addr(), "198.51.100.3").await;
        client.send(text(relay_testing::reply::join(NO_CODE))).await;
        let error = client.expect_error("cluster_unavailable").await;
        let wait = error["retry_after"].as_u64().unwrap();
        assert!((1..=5).contains(&wait), "{error}");
    }
    cluster.nats.start_again();
    relay_testing::cluster::until_settled(cluster[0].addr()).await;
    for _ in 0..MOST {
        let mut client = of(cluster[0].addr(), "198.51.100.3").await;
        assert_eq!(
            answer_in_the_end(&mut client, NO_CODE).await,
            "room_not_found"
        );
    }
    let mut client = of(cluster[0].addr(), "198.51.100.3").await;
    assert_eq!(client.try_code(NO_CODE).await, "rate_limited");
}

#[tokio::test]
async fn who_does_not_wait_for_the_answer_pays_all_the_same() {
    const MOST: usize = 3;
    let Some(cluster) = cluster(MOST).await else {
        return;
    };
    // More than enough, as those whose ends are seen late go free.
    for _ in 0..3 * MOST {
        let mut guesser = of(cluster[0].addr(), "198.51.100.4").await;
        guesser
            .send(text(relay_testing::reply::join(NO_CODE)))
            .await;
        guesser.vanish();
    }
    cluster[0].until("relay_sessions", |it| it == 0).await;
    let mut guesser = of(cluster[0].addr(), "198.51.100.4").await;
    assert_eq!(guesser.try_code(NO_CODE).await, "rate_limited");
}
