//! What the relay answers to HTTP: upgrades, requests that should be one, and questions of health.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{
    Raw, TestRelay,
    http::{UPGRADE, http},
};

#[tokio::test]
async fn a_plain_request_is_told_to_upgrade() {
    let relay = TestRelay::start(|_| {});
    for path in ["/", "/rooms", "/?room=a7f3b2"] {
        let answer = http(
            &relay,
            &format!("GET {path} HTTP/1.1\r\nHost: relay\r\n\r\n"),
        )
        .await;
        assert_eq!(answer.status, 426, "{answer:?}");
        assert!(
            answer
                .header("upgrade")
                .is_some_and(|value| value == "websocket"),
            "{answer:?}"
        );
        assert!(
            answer.body.contains(' '),
            "nothing for a person to read: {answer:?}"
        );
    }
}

#[tokio::test]
async fn the_relay_says_that_it_is_well() {
    let relay = TestRelay::start(|_| {});
    let answer = http(&relay, "GET /healthz HTTP/1.1\r\nHost: relay\r\n\r\n").await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn another_version_is_told_the_right_one() {
    let relay = TestRelay::start(|_| {});
    for version in ["8", "12", "14", "x", ""] {
        let request = UPGRADE.replace("Version: 13", &format!("Version: {version}")) + "\r\n";
        let answer = http(&relay, &request).await;
        assert_eq!(answer.status, 426, "{version:?}: {answer:?}");
        assert_eq!(
            answer.header("sec-websocket-version"),
            Some("13"),
            "{version:?}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn an_upgrade_without_a_key_is_a_bad_request() {
    let relay = TestRelay::start(|_| {});
    let (before_the_key, _) = UPGRADE.split_once("Sec-WebSocket-Key").unwrap();
    let answer = http(&relay, &format!("{before_the_key}\r\n")).await;
    assert_eq!(answer.status, 400, "{answer:?}");
}

#[tokio::test]
async fn an_upgrade_is_accepted_on_any_path() {
    let relay = TestRelay::start(|_| {});
    for path in ["/ws", "/a/b/c", "/?x=y", "/%F0%9F%A6%80"] {
        Raw::connect_by(&relay, &UPGRADE.replace("GET /", &format!("GET {path}"))).await;
    }
}

#[tokio::test]
async fn an_upgrade_is_recognised_as_browsers_and_proxies_write_it() {
    let relay = TestRelay::start(|_| {});
    let shouting = UPGRADE.replace("Upgrade: websocket", "UPGRADE: WebSocket");
    let listing = UPGRADE.replace("Connection: Upgrade", "connection: keep-alive, upgrade");
    for request in [shouting, listing] {
        Raw::connect_by(&relay, &request).await.create_room().await;
    }
}

#[tokio::test]
async fn extensions_and_subprotocols_that_are_offered_are_not_taken() {
    let relay = TestRelay::start(|_| {});
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
        Sec-WebSocket-Protocol: chat, superchat\r\n";
    let (mut client, answer) = Raw::upgrade_by(&relay, &format!("{UPGRADE}{offer}")).await;
    assert_eq!(
        answer.header("sec-websocket-extensions"),
        None,
        "{answer:?}"
    );
    assert_eq!(answer.header("sec-websocket-protocol"), None, "{answer:?}");
    client.create_room().await;
}

#[tokio::test]
async fn a_request_that_is_given_up_leaves_nothing_behind() {
    let relay = TestRelay::start(|_| {});
    for cut in [1, 20, UPGRADE.len()] {
        let mut client = Raw::dial(&relay).await;
        client.write(&UPGRADE.as_bytes()[..cut]).await;
        client.vanish();
    }
    let mut client = Raw::dial(&relay).await;
    client.write(format!("{UPGRADE}\r\n").as_bytes()).await;
    client.vanish(); // Before it has seen the answer.
    Raw::connect(&relay).await.create_room().await;
    relay.settled().await;
}
