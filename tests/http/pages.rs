//! Who sees the pages that are for the relay's operator.

use std::net::IpAddr;

use claude_distill_relay::{config::Config, version};
use relay_testing::{Raw, TestRelay, http::Response, raw_pair};
use tokio::net::TcpSocket;

const PAGES: [&str; 4] = ["/healthz", "/readyz", "/metrics", "/status"];

/// What is answered to a request for a page, with these further lines, that comes from this address.
async fn ask_from(from: &str, relay: &TestRelay, path: &str, lines: &str) -> Response {
    let socket = TcpSocket::new_v4().unwrap();
    let from: IpAddr = from.parse().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let mut client = Raw::over(socket.connect(relay.addr()).await.unwrap());
    let request = format!("GET {path} HTTP/1.1\r\n{lines}\r\n");
    client.write(request.as_bytes()).await;
    let mut answer = client.response().await;
    let length = answer.header("content-length").unwrap().parse().unwrap();
    let body = client.take(length, "the body").await;
    answer.body = String::from_utf8(body.into()).unwrap();
    answer
}

/// A relay that shows its pages to 127.0.0.1 alone.
fn relay(adjust: impl FnOnce(&mut Config)) -> TestRelay {
    TestRelay::start(|config| {
        config.metrics_allow = vec!["127.0.0.1/32".parse().unwrap()];
        adjust(config);
    })
}

const DIRECT: &str = "Host: 127.0.0.1:9784\r\n";
/// What a request has that has come through a proxy.
const THROUGH_PROXIES: [&str; 8] = [
    "Host: localhost\r\nX-Forwarded-For: 127.0.0.1\r\n",
    "Host: localhost\r\nCF-Ray: 1\r\n",
    "Host: localhost\r\nVia: 1.1 proxy\r\n",
    "Host: localhost\r\nConnection: upgrade\r\n",
    "Host: relay.example.com\r\n",
    // nginx's own example for WebSockets.
    "Host: 127.0.0.1:9784\r\nConnection: close\r\n",
    "Host: localhost\r\nConnection: keep-alive, Close\r\n",
    "Host:\r\n",
];

#[tokio::test]
async fn the_pages_are_for_who_asks_directly_from_an_allowed_address() {
    let relay = relay(|_| {});
    let mut refused = 0;
    for page in PAGES {
        let answer = ask_from("127.0.0.1", &relay, page, DIRECT).await;
        assert_eq!(answer.status, 200, "{page}: {answer:?}");
        let others = THROUGH_PROXIES.map(|lines| ("127.0.0.1", lines));
        for (from, lines) in [&others[..], &[("127.0.0.2", DIRECT)]].concat() {
            let answer = ask_from(from, &relay, page, lines).await;
            assert_eq!(answer.status, 403, "{page} {lines}: {answer:?}");
            assert!(answer.body.contains("RELAY_METRICS_ALLOW"), "{answer:?}");
            let why = if from == "127.0.0.1" {
                "This request "
            } else {
                "another address"
            };
            assert!(answer.body.contains(why), "{lines}: {answer:?}");
            assert!(!answer.body.contains(version::VERSION), "{answer:?}");
            refused += 1;
        }
    }
    let counted = r#"relay_handshakes_refused_total{reason="page_not_allowed"}"#;
    assert_eq!(relay.metrics().get(counted), refused);
}

#[tokio::test]
async fn what_many_proxies_send_is_refused_with_the_reason() {
    let relay = relay(|_| {});
    for page in PAGES {
        let request = format!("GET {page} HTTP/1.0\r\n{DIRECT}\r\n");
        let answer = Raw::ask(&relay, &request).await;
        assert_eq!(answer.status, 403, "{page}: {answer:?}");
        assert!(answer.body.contains("not of HTTP/1.1"), "{answer:?}");
    }
    let closing = format!("{DIRECT}Connection: close\r\n");
    let answer = ask_from("127.0.0.1", &relay, "/metrics", &closing).await;
    assert!(answer.body.contains("Connection: close"), "{answer:?}");
}

#[tokio::test]
async fn health_can_be_opened_to_everybody_and_nothing_else() {
    let relay = relay(|config| config.health_open = true);
    let others = THROUGH_PROXIES.map(|lines| ("127.0.0.1", lines));
    for (from, lines) in [&others[..], &[("127.0.0.2", DIRECT)]].concat() {
        for (page, status, text) in [
            ("/healthz", 200, "ok\n"),
            ("/readyz", 200, "ready\n"),
            ("/metrics", 403, ""),
            ("/status", 403, ""),
        ] {
            let answer = ask_from(from, &relay, page, lines).await;
            assert_eq!(answer.status, status, "{page} {lines}: {answer:?}");
            assert!(text.is_empty() || answer.body == text, "{page}: {answer:?}");
        }
    }
    let answer = ask_from("127.0.0.1", &relay, "/readyz", DIRECT).await;
    assert_eq!(answer.body, format!("ready {}\n", version::SHOWN));
}

#[tokio::test]
async fn a_relay_is_ready_unless_it_is_full_or_stops() {
    let mut relay = relay(|config| {
        config.max_rooms = 1;
        config.max_sessions = 3;
        config.drain_timeout = std::time::Duration::from_secs(3600);
    });
    let ask = async |relay: &TestRelay| {
        let answer = ask_from("127.0.0.1", relay, "/readyz", DIRECT).await;
        let word = answer.body.trim_end().trim_end_matches(version::SHOWN);
        (answer.status, word.trim_end().to_owned())
    };
    assert_eq!(ask(&relay).await, (200, "ready".to_owned()));
    let (sender, receiver) = raw_pair(&relay).await;
    assert_eq!(ask(&relay).await, (503, "full of rooms".to_owned()));
    let third = Raw::connect(&relay).await;
    relay.until("three sessions", |now| now.sessions == 3).await;
    assert_eq!(ask(&relay).await, (503, "full of sessions".to_owned()));
    // It runs all the same.
    let health = ask_from("127.0.0.1", &relay, "/healthz", DIRECT).await;
    assert_eq!(health.status, 200, "{health:?}");
    third.vanish();
    relay.until("a free place", |now| now.sessions == 2).await;
    relay.stop();
    assert_eq!(ask(&relay).await, (503, "stopping".to_owned()));
    drop((sender, receiver));
    relay.join().await.unwrap();
}

#[tokio::test]
async fn who_asks_for_json_has_the_figures_and_a_browser_the_page() {
    let relay = relay(|_| {});
    let figures = format!("{DIRECT}Accept: application/json\r\n");
    let answer = ask_from("127.0.0.1", &relay, "/status", &figures).await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let shown: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(shown["version"], version::SHOWN);
    assert_eq!(shown["rooms"], serde_json::json!({"now": 0, "most": 1000}));
    let page = format!("{DIRECT}Accept: text/html,*/*;q=0.8\r\n");
    let answer = ask_from("127.0.0.1", &relay, "/status", &page).await;
    assert!(answer.body.starts_with("<!doctype html>"), "{answer:?}");
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}
