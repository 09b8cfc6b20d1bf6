//! No address has all of what the relay has: not the sessions, not the rooms, not the memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use relay_testing::{Client, Raw, TestRelay, frame, http::UPGRADE, reply, wire};
use tokio_tungstenite::tungstenite::Error;

/// Those of clients of these addresses who get a session; the others are told to come back.
async fn enter(relay: &TestRelay, addresses: impl IntoIterator<Item = String>) -> Vec<Client> {
    let mut entered = Vec::new();
    for address in addresses {
        let header = [("x-forwarded-for", &address[..])];
        match Client::open(relay.addr(), &header).await {
            Ok(client) => entered.push(client),
            Err(Error::Http(response)) => {
                assert_eq!(response.status(), 429);
                assert!(response.headers().contains_key("retry-after"));
            }
            Err(other) => panic!("{other:?} instead of a refusal"),
        }
    }
    entered
}

fn ipv4(last: u8, times: usize) -> Vec<String> {
    vec![format!("192.0.2.{last}"); times]
}

/// The addresses of eight /64s of one /56.
fn ipv6(net48: u8, net56: u8) -> Vec<String> {
    let address = |net64| format!("2001:db8:{net48}:{net56:x}0{net64}::1");
    (0..8).map(address).collect()
}

#[tokio::test]
async fn an_address_has_a_share_of_the_sessions_and_others_have_the_rest() {
    let relay = TestRelay::start(|config| config.address_sessions = 2);
    let mut first = enter(&relay, ipv4(1, 3)).await;
    assert_eq!(first.len(), 2);
    let mut others = enter(&relay, ipv4(2, 1)).await;
    // A /56 has twice as many, and a /48 three times, however many networks it is cut into.
    for (home, expected) in [((1, 0), 4), ((1, 1), 2), ((1, 2), 0), ((2, 0), 4)] {
        let entered = enter(&relay, ipv6(home.0, home.1)).await;
        assert_eq!(entered.len(), expected, "{home:?}");
        others.extend(entered);
    }
    let metrics = relay.metrics();
    let refused = |reason| {
        metrics.get(&format!(
            "relay_handshakes_refused_total{{reason={reason:?}}}"
        ))
    };
    assert_eq!(refused("address_sessions"), 1 + 4 * 8 - 10);
    assert_eq!(refused("relay_full"), 0);

    first.pop().unwrap().close().await;
    relay
        .until("a place", |now| now.sessions == 1 + 1 + 10)
        .await;
    assert_eq!(enter(&relay, ipv4(1, 1)).await.len(), 1);
}

#[tokio::test]
async fn an_address_has_a_share_of_the_rooms_and_others_have_the_rest() {
    let relay = TestRelay::start(|config| {
        config.max_rooms = 2;
        config.address_rooms = 1;
    });
    let mut first = Client::connect_for(&relay, "192.0.2.1").await;
    let code = first.create_room().await;
    let mut second = Client::connect_for(&relay, "192.0.2.1").await;
    for _ in 0..2 {
        second.send(reply::CREATE).await;
        second.expect_error("address_rooms").await;
    }
    // Joining is another matter.
    second.join(&code).await;
    Client::connect_for(&relay, "192.0.2.2")
        .await
        .create_room()
        .await;
    relay.until("its end", |now| now.rooms == 1).await;
    let mut third = Client::connect_for(&relay, "192.0.2.1").await;
    first.close().await;
    relay.until("the end of a room", |now| now.rooms == 0).await;
    third.create_room().await;
}

#[tokio::test]
async fn an_address_has_a_share_of_the_memory_for_messages_and_others_have_the_rest() {
    let relay = TestRelay::start(|config| config.address_buffered = 1 << 20);
    let mut sender = Client::connect_for(&relay, "192.0.2.9").await;
    let code = sender.create_room().await;
    // Two of one address hold as much as it has together, and never finish.
    let mut others = Vec::new();
    for address in ["192.0.2.1", "192.0.2.2"] {
        let mut other = Client::connect_for(&relay, "192.0.2.9").await;
        let code = other.create_room().await;
        let head = format!("{UPGRADE}X-Forwarded-For: {address}\r\n");
        let mut raw = Raw::connect_by(&relay, &head).await;
        raw.join(&code).await;
        raw.send(frame(wire::BINARY, vec![0; 600_000]).more()).await;
        others.push((other, raw));
    }
    relay
        .until("what they hold", |now| now.buffered >= 1_200_000)
        .await;
    let mut receiver = Client::connect_for(&relay, "192.0.2.1").await;
    receiver.join(&code).await;
    sender.expect_peer().await;
    receiver.send(vec![0; 600_000]).await;
    assert_eq!(receiver.expect_close(1013).await, "address_buffers");
    sender.expect_peer_gone().await;
    let mut next = Client::connect_for(&relay, "192.0.2.3").await;
    next.join(&code).await;
    sender.expect_peer().await;
    next.send(vec![1; 600_000]).await;
    sender.expect(vec![1; 600_000]).await;
}
