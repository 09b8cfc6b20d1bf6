//! A relay that is for those who have an access key: who gets in, and what is counted of them.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use claude_distill_relay::config::{AccessKeys, Config};
use relay_testing::{
    Raw, TestRelay, frame,
    http::{UPGRADE, get},
    python::{Share, with_websockets},
    wire::{TEXT, close},
};

const ALICE: &str = "alice-0123456789abcdef";
const BOB: &str = "bob.0123456789_ABCDEF";

fn team(config: &mut Config) {
    config.access_keys = AccessKeys::parse(&format!("alice:{ALICE},bob:{BOB}")).unwrap();
}

/// The head of a handshake that has this behind its path, and these lines more.
fn head(query: &str, lines: &str) -> String {
    let head = UPGRADE.replace("GET / ", &format!("GET /{query} "));
    format!("{head}{lines}")
}

fn basic(pair: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(pair))
}

#[tokio::test]
async fn a_key_opens_the_door_and_nothing_else_does() {
    let relay = TestRelay::start(team);
    for head in [
        head(&format!("?key={ALICE}"), ""),
        head(&format!("any/path?room=1&key={BOB}"), ""),
        head("", &format!("Authorization: Bearer {ALICE}\r\n")),
        head("", &basic(&format!("bob:{BOB}"))),
    ] {
        let mut client = Raw::connect_by(&relay, &head).await;
        client.create_room().await;
    }
    let wrong = [
        head("", ""),
        head(&format!("?key={ALICE}x"), ""),
        head(ALICE, ""),
        head("", &format!("Authorization: {ALICE}\r\n")),
        head("", &basic(&format!("bob:{ALICE}"))),
        head("", "X-Relay-Check: 1\r\n"),
    ];
    for head in &wrong {
        let answer = Raw::ask(&relay, &format!("{head}\r\n")).await;
        assert_eq!(answer.status, 401, "{head}");
        assert_eq!(answer.body.lines().count(), 1, "{answer:?}");
        assert!(answer.body.contains("an access key"), "{answer:?}");
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Bearer realm="), "{challenge}");
    }
    let refused = r#"relay_handshakes_refused_total{reason="access_key_required"}"#;
    assert_eq!(relay.metrics().get(refused), wrong.len() as u64);
    // Pages tell by other rules who may read them.
    assert_eq!(get(relay.addr(), "/healthz").unwrap().status, 200);
    relay.settled().await;
}

/// As `--relay "wss://relay.example.com/?key=…"` has them connect, and with user and password.
#[test]
fn todays_clients_bring_their_key_in_the_address() {
    let Some(python) = with_websockets() else {
        return;
    };
    let relay = TestRelay::start(team);
    let share = Share {
        python,
        bytes: 1000,
        patience: Duration::from_secs(20),
        compression: true,
    };
    let addr = relay.addr();
    let (sender, code) = share.send(&format!("ws://{addr}/?key={ALICE}")).unwrap();
    let receiver = share.receive(&format!("ws://bob:{BOB}@{addr}/"), &code);
    assert!(receiver.end().is_done());
    assert!(sender.end().is_done());
    assert!(share.send(&format!("ws://{addr}/")).is_none());
}

#[tokio::test]
async fn what_clients_do_is_counted_under_the_names_of_their_keys() {
    let relay = TestRelay::start(|config| {
        team(config);
        config.max_sessions = 2;
    });
    let count = |name: &str, key: &str| relay.metrics().get(&format!("{name}{{key=\"{key}\"}}"));
    let names = [
        "relay_key_sessions",
        "relay_key_sessions_begun_total",
        "relay_key_refused_total",
        "relay_key_received_bytes_total",
        "relay_key_sent_bytes_total",
    ];
    for name in names {
        assert_eq!((count(name, "alice"), count(name, "bob")), (0, 0), "{name}");
    }
    let [alice, bob] = [ALICE, BOB].map(|key| head(&format!("?key={key}"), ""));
    let mut sender = Raw::connect_by(&relay, &alice).await;
    let code = sender.create_room().await;
    let mut receiver = Raw::connect_by(&relay, &bob).await;
    receiver.send(frame(TEXT, "no request")).await;
    receiver.expect_error("invalid_request").await;
    receiver.join(&code).await;
    sender.expect_peer().await;
    assert_eq!(Raw::ask(&relay, &format!("{bob}\r\n")).await.status, 503);
    sender.send(frame(TEXT, vec![b'x'; 5000])).await;
    receiver.data(5000, "a message").await;

    for key in ["alice", "bob"] {
        assert_eq!(count("relay_key_sessions", key), 1);
        assert_eq!(count("relay_key_sessions_begun_total", key), 1);
    }
    assert_eq!(count("relay_key_refused_total", "alice"), 0);
    assert_eq!(count("relay_key_refused_total", "bob"), 2);
    let both = |name: &str| count(name, "alice") + count(name, "bob");
    for way in ["received", "sent"] {
        let all = relay.metrics().get(&format!("relay_{way}_bytes_total"));
        assert_eq!(both(&format!("relay_key_{way}_bytes_total")), all, "{way}");
    }
    assert!(count("relay_key_received_bytes_total", "alice") > 5000);
    assert!(count("relay_key_sent_bytes_total", "bob") > 5000);
    drop((sender, receiver));
    relay.settled().await;
    assert_eq!(both("relay_key_sessions"), 0);
    assert_eq!(both("relay_key_sessions_begun_total"), 2);
}

/// The end of a room is no refusal of whoever waits there.
#[tokio::test]
async fn what_a_client_hears_of_its_room_is_not_counted_as_refused() {
    let relay = TestRelay::start(team);
    let [alice, bob] = [ALICE, BOB].map(|key| head(&format!("?key={key}"), ""));
    let mut sender = Raw::connect_by(&relay, &alice).await;
    let code = sender.create_room().await;
    let (mut paired, mut queued) = (
        Raw::connect_by(&relay, &bob).await,
        Raw::connect_by(&relay, &bob).await,
    );
    paired.join(&code).await;
    queued.join(&code).await;
    sender.expect_peer().await;
    sender.send(close(1000, "")).await;
    queued.expect_error("sender_disconnected").await;
    let refused = relay.metrics().get(r#"relay_key_refused_total{key="bob"}"#);
    assert_eq!(refused, 0);
}
