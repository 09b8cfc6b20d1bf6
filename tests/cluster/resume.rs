//! A sender takes its room up again on another node than it was on.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use relay_testing::{
    Client,
    cluster::{Cluster, NO_CODE, until_settled},
    noise,
    reply::Ticket,
    seeded, text, within,
};
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;

/// How often a client comes again: a node answers some refusals a second at once, and holds back more.
const AGAIN: Duration = Duration::from_millis(250);

async fn take_up(node: SocketAddr, ticket: &Ticket) -> Client {
    let mut sender = Client::at(node).await;
    sender.take_up(ticket).await;
    sender
}

/// Takes a room up, however often that takes while nobody can say where it is.
async fn take_up_in_the_end(node: SocketAddr, ticket: &Ticket) -> Client {
    let resuming = async {
        loop {
            let mut sender = Client::at(node).await;
            match sender.try_request(ticket.request()).await.as_str() {
                "ROOM_RESUMED" => return sender,
                "cluster_unavailable" => sleep(AGAIN).await,
                other => panic!("{other} for a room that is there"),
            }
        }
    };
    within("a room that is taken up", resuming).await
}

/// Opens a room on the first node, which is then killed; the others know that it is gone.
async fn orphan(cluster: &mut Cluster) -> Ticket {
    let mut sender = Client::at(cluster[0].addr()).await;
    let ticket = sender.create_lasting_room().await;
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
        let ticket = sender.create_lasting_room().await;
        sender.reset();
        let mut receiver = Client::at(cluster[2].addr()).await;
        receiver.join(&ticket.code).await;
        let mut again = take_up(cluster[node].addr(), &ticket).await;
        again.expect_peer().await;
        assert_paired(&mut again, &mut receiver).await;
        // From there as well.
        again.reset();
        assert_eq!(receiver.expect_close(1013).await, "sender_away");
        let mut receiver = Client::at(cluster[1].addr()).await;
        receiver.join(&ticket.code).await;
        let mut again = take_up(cluster[1].addr(), &ticket).await;
        again.expect_peer().await;
        assert_paired(&mut again, &mut receiver).await;
        again.close().await;
        receiver.expect_close(1001).await;
        let mut late = Client::at(cluster[node].addr()).await;
        late.send(ticket.request()).await;
        late.expect_error("room_not_found").await;
    }
}

#[tokio::test]
async fn a_room_whose_node_is_gone_is_opened_on_another() {
    let Some(mut cluster) = Cluster::start().await else {
        return;
    };
    let ticket = orphan(&mut cluster).await;
    let nodes = [cluster[0].addr(), cluster[1].addr()];
    let mut again = take_up(nodes[0], &ticket).await;
    let mut receiver = Client::at(nodes[1]).await;
    receiver.join(&ticket.code).await;
    again.expect_peer().await;
    assert_paired(&mut again, &mut receiver).await;
}

#[tokio::test]
async fn two_nodes_that_are_asked_at_once_do_not_both_have_the_room() {
    let Some(mut cluster) = Cluster::start().await else {
        return;
    };
    let ticket = orphan(&mut cluster).await;
    let nodes = [cluster[0].addr(), cluster[1].addr()];
    // Each takes it over from the other, or is told to come back.
    let senders = tokio::join!(
        take_up_in_the_end(nodes[0], &ticket),
        take_up_in_the_end(nodes[1], &ticket)
    );
    let one_room = async {
        loop {
            let rooms = tokio::join!(
                cluster[0].metric("relay_rooms"),
                cluster[1].metric("relay_rooms")
            );
            match rooms.0 + rooms.1 {
                1 => return,
                0 => sleep(AGAIN).await,
                _ => panic!("{rooms:?}"),
            }
        }
    };
    within("one room", one_room).await;
    for node in nodes {
        let mut receiver = Client::at(node).await;
        receiver.join(&ticket.code).await;
    }
    drop(senders);
}

#[tokio::test]
async fn a_room_of_a_node_that_is_silent_is_opened_on_another_once_it_must_have_ended() {
    // By then it has missed its sender, with three Pings and what waits for it, and its room has waited.
    const OVER: Duration = Duration::from_secs(3 + 3 + 1 + 2);
    let cluster = Cluster::with(|_, start| {
        start
            .env("RELAY_PING_INTERVAL", 1)
            .env("RELAY_PING_TIMEOUT", 3)
            .env("RELAY_STALL_TIMEOUT", 1)
            .env("RELAY_ROOM_GRACE", 2)
    });
    let Some(cluster) = cluster.await else {
        return;
    };
    let mut sender = Client::at(cluster[0].addr()).await;
    let ticket = sender.create_lasting_room().await;
    cluster[0].freeze().await;
    sender.reset();
    let began = Instant::now();
    let mut again = take_up_in_the_end(cluster[1].addr(), &ticket).await;
    // It was heard of a second before, at most.
    assert!(began.elapsed() >= OVER - Duration::from_secs(2), "too soon");
    let mut receiver = Client::at(cluster[2].addr()).await;
    receiver.join(&ticket.code).await;
    again.expect_peer().await;
    again.send("here").await;
    receiver.expect(text("here")).await;
    // What nobody else has may be the silent node's still.
    let mut guest = Client::at(cluster[2].addr()).await;
    assert_eq!(guest.try_code(NO_CODE).await, "cluster_unavailable");

    cluster[0].signal(Signal::SIGCONT);
    cluster[0].until("relay_rooms", |rooms| rooms == 0).await;
}
