//! A sender and its receiver in one room, the sender told of it.

use crate::{client::Client, local::TestRelay, raw::Raw};

/// Both well-behaved.
pub async fn pair(relay: &TestRelay) -> (Client, Client) {
    let mut sender = Client::connect(relay).await;
    let code = sender.create_room().await;
    let mut receiver = Client::connect(relay).await;
    receiver.join(&code).await;
    sender.expect_peer().await;
    (sender, receiver)
}

/// The sender on a raw socket.
pub async fn raw_sender_pair(relay: &TestRelay) -> (Raw, Client) {
    let mut sender = Raw::connect(relay).await;
    let code = sender.create_room().await;
    let mut receiver = Client::connect(relay).await;
    receiver.join(&code).await;
    sender.expect_peer().await;
    (sender, receiver)
}

/// The receiver on a raw socket.
pub async fn raw_receiver_pair(relay: &TestRelay) -> (Client, Raw) {
    let mut sender = Client::connect(relay).await;
    let code = sender.create_room().await;
    let mut receiver = Raw::connect(relay).await;
    receiver.join(&code).await;
    sender.expect_peer().await;
    (sender, receiver)
}

/// Both on raw sockets.
pub async fn raw_pair(relay: &TestRelay) -> (Raw, Raw) {
    paired(Raw::connect(relay).await, Raw::connect(relay).await).await
}

/// Has the first of two sessions open a room and the other join it.
pub async fn paired(mut sender: Raw, mut receiver: Raw) -> (Raw, Raw) {
    let code = sender.create_room().await;
    receiver.join(&code).await;
    sender.expect_peer().await;
    (sender, receiver)
}
