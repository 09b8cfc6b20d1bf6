//! A sender takes its room up again on another node than it was on.

use std::net::SocketAddr;

use nix::sys::signal::Signal;
use relay_testing::{
    Client,
    cluster::{Cluster, until_settled},
    noise, seeded, text,
};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// Opens a room that outlives its sender's line; returns what was answered.
async fn open(sender: &mut Client) -> Value {
    sender.send(r#"{"type":"CREATE_ROOM","resume":true}"#).await;
    let created = sender.next_json("ROOM_CREATED").await;
    assert_eq!(created["type"], "ROOM_CREATED", "{created}");
    created
}

fn request(ticket: &Value) -> String {
    let (code, token) = (&ticket["room_id"], &ticket["resume_token"]);
    json!({"type": "RESUME_ROOM", "room_id": code, "resume_token": token}).to_string()
}

async fn take_up(node: SocketAddr, ticket: &Value) -> Client {
    let mut sender = Client::at(node).await;
    sender.send(request(ticket)).await;
    let resumed = sender.next_json("ROOM_RESUMED").await;
    assert_eq!(resumed["type"], "ROOM_RESUMED", "{resumed}");
    assert_eq!(resumed["room_id"], ticket["room_id"], "{resumed}");
    sender
}

/// Opens a room on the first node, which is then killed; the others know that it is gone.
async fn orphan(cluster: &mut Cluster) -> Value {
    let mut sender = Client::at(cluster[0].addr()).await;
    let ticket = open(&mut sender).await;
    let dead = cluster.nodes.remove(0);
    dead.signal(Signal::SIGKILL);
    drop(dead);
    until_settled(cluster[0].addr()).await;
    ticket
}

/// What both say arrives, whole and at once.
async fn assert_paired(sender: &mut Client, receiver: &mut Client) {
    let large = Message::binary(noise(&mut seeded(5), 3 << 20));
    sender.exchange(&[text("a"), large.clone()], &[]).await;
    receiver.exchange(&[], &[text("a"), large.clone()]).await;
    receiver.exchange(std::slice::from_ref(&large), &[]).await;
    sender.exchange(&[], &[large]).await;
}

#[tokio::test]
async fn a_room_is_taken_up_from_another_node() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    for node in [1, 0, 2] {
        let mut sender = Client::at(cluster[0].addr()).await;
        let ticket = open(&mut sender).await;
        let code = ticket["room_id"].as_str().unwrap();
        sender.reset();
        let mut receiver = Client::at(cluster[2].addr()).await;
        receiver.join(code).await;
        let mut again = take_up(cluster[node].addr(), &ticket).await;
        again.expect_peer().await;
        assert_paired(&mut again, &mut receiver).await;
        // From there as well.
        again.reset();
        assert_eq!(receiver.expect_close(1013).await, "sender_away");
        let mut receiver = Client::at(cluster[1].addr()).await;
        receiver.join(code).await;
        let mut again = take_up(cluster[1].addr(), &ticket).await;
        again.expect_peer().await;
        assert_paired(&mut again, &mut receiver).await;
        again.close().await;
        receiver.expect_close(1001).await;
        let mut late = Client::at(cluster[node].addr()).await;
        late.send(request(&ticket)).await;
        late.expect_error("room_not_found").await;
    }
}

#[tokio::test]
async fn a_room_whose_node_is_gone_is_opened_on_another() {
    let Some(mut cluster) = Cluster::start().await else {
        return;
    };
    let ticket = orphan(&mut cluster).await;
    let code = ticket["room_id"].as_str().unwrap();
    let nodes = [cluster[0].addr(), cluster[1].addr()];
    let mut again = take_up(nodes[0], &ticket).await;
    let mut receiver = Client::at(nodes[1]).await;
    receiver.join(code).await;
    again.expect_peer().await;
    assert_paired(&mut again, &mut receiver).await;
}

#[tokio::test]
async fn two_nodes_that_are_asked_at_once_do_not_both_open_it() {
    let Some(mut cluster) = Cluster::start().await else {
        return;
    };
    let ticket = orphan(&mut cluster).await;
    let code = ticket["room_id"].as_str().unwrap();
    let nodes = [cluster[0].addr(), cluster[1].addr()];
    let mut senders = [Client::at(nodes[0]).await, Client::at(nodes[1]).await];
    for sender in &mut senders {
        sender.send(request(&ticket)).await;
    }
    let mut owners = 0;
    for sender in &mut senders {
        let answer = sender.next_json("an answer").await;
        match answer["type"].as_str().unwrap() {
            "ROOM_RESUMED" => owners += 1,
            _ => assert_eq!(answer["reason"], "cluster_unavailable", "{answer}"),
        }
    }
    assert!(owners >= 1, "nobody has it");
    // Whoever has it now, a receiver finds one room on each node.
    for node in nodes {
        let mut receiver = Client::at(node).await;
        receiver.join(code).await;
    }
}
