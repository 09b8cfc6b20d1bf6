//! What the relay answers to HTTP: upgrades, requests that should be one, and questions of health.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "http/looks.rs"]
mod looks;
#[path = "http/pages.rs"]
mod pages;
#[path = "http/status.rs"]
mod status;

use claude_distill_relay::{flow::ledger::Dropped, version};
use relay_testing::{
    Raw, TestRelay, frame, http::UPGRADE, metrics::Metrics, reply, wire::TEXT, within,
};
use relay_wire::ending::Ending;
use tokio::io::AsyncReadExt;

#[tokio::test]
async fn a_plain_request_is_told_to_upgrade() {
    let relay = TestRelay::start(|_| {});
    for path in ["/", "/rooms", "/?room=a7f3k2"] {
        let answer = Raw::ask(
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
    let answer = Raw::ask(&relay, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body, format!("ok {}\n", version::SHOWN));
    let (version, commit) = (version::VERSION, version::COMMIT);
    let info = format!(r#"relay_build_info{{version="{version}",commit="{commit}"}}"#);
    assert_eq!(relay.metrics().get(&info), 1);
}

#[tokio::test]
async fn another_version_is_told_the_right_one() {
    let relay = TestRelay::start(|_| {});
    for version in ["8", "12", "14", "x", ""] {
        let request = UPGRADE.replace("Version: 13", &format!("Version: {version}")) + "\r\n";
        let answer = Raw::ask(&relay, &request).await;
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
    let answer = Raw::ask(&relay, &format!("{before_the_key}\r\n")).await;
    assert_eq!(answer.status, 400, "{answer:?}");
}

#[tokio::test]
async fn an_upgrade_that_is_not_one_handshake_is_a_bad_request() {
    let relay = TestRelay::start(|_| {});
    let with = |line: &str| format!("{UPGRADE}{line}\r\n");
    let key = |key: &str| UPGRADE.replace("dGhlIHNhbXBsZSBub25jZQ==", key);
    for request in [
        with("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="),
        with("sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=="),
        with("Sec-WebSocket-Version: 13"),
        with("Sec-WebSocket-Version: 8"),
        with("Content-Length: 1"),
        with("Transfer-Encoding: chunked"),
        key(""),
        key("x"),
        key("dGhlIHNhbXBsZSBub25jZQ"),
        key("dGhlIHNhbXBsZSBub25jZSE="),
        key("dGhlIHNhbXBsZSBub25j"),
        key("dGhlIHNhbXBsZSBub25jZ!=="),
    ] {
        let answer = Raw::ask(&relay, &format!("{request}\r\n")).await;
        assert_eq!(answer.status, 400, "{request}: {answer:?}");
    }
    let refused = r#"relay_handshakes_refused_total{reason="bad_handshake"}"#;
    assert_eq!(Metrics::of(relay.addr()).get(refused), 12);
    relay.settled().await;
}

#[tokio::test]
async fn any_key_of_16_bytes_and_an_announced_body_of_none_are_taken() {
    let relay = TestRelay::start(|_| {});
    // The last is RFC 6455's own (§1.3), whose last character has bits that mean nothing.
    for key in ["AAAAAAAAAAAAAAAAAAAAAA==", "AQIDBAUGBwgJCgsMDQ4PEC=="] {
        let request = UPGRADE.replace("dGhlIHNhbXBsZSBub25jZQ==", key);
        for length in ["0", "00"] {
            let request = format!("{request}Content-Length: {length}\r\n\r\n");
            let answer = Raw::ask(&relay, &request).await;
            assert_eq!(answer.status, 101, "{request}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn every_label_stands_in_the_metrics_from_the_start() {
    let relay = TestRelay::start(|_| {});
    let metrics = Metrics::of(relay.addr());
    let has = |family: &str, reason: &str| {
        let name = format!("relay_{family}_total{{reason=\"{reason}\"}}");
        assert_eq!(metrics.get(&name), 0, "{name}");
    };
    for ending in Ending::ALL {
        for (family, belongs) in [
            ("sessions_ended", ending.ends_session()),
            ("refused", ending.is_error()),
            ("handshakes_refused", ending.is_of_handshake()),
            ("rooms_closed", ending.ends_room()),
        ] {
            if belongs {
                has(family, ending.name());
            }
        }
    }
    for reason in Dropped::ALL {
        has("dropped_bytes", reason.name());
    }
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
async fn other_extensions_and_subprotocols_that_are_offered_are_not_taken() {
    let relay = TestRelay::start(|_| {});
    let offer = "Sec-WebSocket-Extensions: permessage-bzip2, x-webkit-deflate-frame\r\n\
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

/// All that the relay says to these bytes, until it ends the connection.
async fn everything_said_to(relay: &TestRelay, bytes: &[u8]) -> String {
    let mut client = Raw::dial(relay).await;
    client.write(bytes).await;
    let (mut reader, _writer) = client.split();
    let mut said = String::new();
    let reading = reader.read_to_string(&mut said);
    within("the end of the connection", reading).await.unwrap();
    said
}

#[tokio::test]
async fn a_connection_is_for_one_request() {
    let relay = TestRelay::start(|_| {});
    let get = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let by_line_feeds = get.replace('\r', "");
    let with_body = "POST / HTTP/1.1\r\nHost: relay\r\nContent-Length: 1000\r\n\r\n";
    for request in [get, &by_line_feeds, with_body] {
        let said = everything_said_to(&relay, request.repeat(10).as_bytes()).await;
        assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{said}");
        assert!(said.to_lowercase().contains("connection: close"), "{said}");
    }
}

#[tokio::test]
async fn health_may_be_asked_for_by_its_head_alone() {
    let relay = TestRelay::start(|_| {});
    let said =
        everything_said_to(&relay, b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
    assert!(said.ends_with("\r\n\r\n"), "a body: {said}");
}

#[tokio::test]
async fn an_upgrade_by_an_older_http_is_a_bad_request() {
    let relay = TestRelay::start(|_| {});
    let request = UPGRADE.replace("HTTP/1.1", "HTTP/1.0") + "\r\n";
    let said = everything_said_to(&relay, request.as_bytes()).await;
    assert!(said.contains(" 400 "), "{said}");
}

#[tokio::test]
async fn frames_may_follow_an_upgrade_at_once_however_it_is_split() {
    let relay = TestRelay::start(|_| {});
    let upgrade = format!("{UPGRADE}\r\n");
    let all = [upgrade.as_bytes(), &frame(TEXT, reply::CREATE).encode()].concat();
    for cut in [
        1,
        upgrade.len() - 3,
        upgrade.len(),
        upgrade.len() + 3,
        all.len(),
    ] {
        let mut client = Raw::dial(&relay).await;
        client.write(&all[..cut]).await;
        tokio::task::yield_now().await;
        client.write(&all[cut..]).await;
        assert_eq!(client.response().await.status, 101);
        reply::created(&client.next_json("ROOM_CREATED").await);
    }
}

#[tokio::test]
async fn the_metrics_name_what_was_refused_and_what_went_nowhere() {
    let relay = TestRelay::start(|_| {});
    let mut sender = Raw::connect(&relay).await;
    let code = sender.create_room().await;
    sender.send(frame(TEXT, "to nobody")).await;
    sender.expect_error("no_peer").await;
    let mut receiver = Raw::connect(&relay).await;
    receiver.join(&code).await;
    sender.expect_peer().await;
    receiver.vanish();
    sender.expect_peer_gone().await;
    sender.send(frame(TEXT, "for who is gone")).await;
    sender.round_trip().await;
    let metrics = relay.metrics();
    for (name, value) in [
        (r#"relay_refused_total{reason="no_peer"}"#, 1),
        (r#"relay_dropped_bytes_total{reason="no_peer"}"#, 9),
        (r#"relay_dropped_bytes_total{reason="receiver_gone"}"#, 15),
    ] {
        assert_eq!(metrics.get(name), value, "{name}");
    }
}
