//! The relay behind a real nginx, with the site that our script writes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[cfg(target_os = "linux")]
#[path = "nginx/crowds.rs"]
mod crowds;
#[cfg(target_os = "linux")]
#[path = "nginx/hosts.rs"]
mod hosts;
#[path = "nginx/nodes.rs"]
mod nodes;
#[path = "nginx/others.rs"]
mod others;
#[path = "nginx/page.rs"]
mod page;
#[path = "nginx/server.rs"]
mod server;

use std::{fs, time::Duration};

use claude_distill_relay::{config::AccessKeys, version};
use relay_testing::{TestRelay, noise, reply, seeded, skip::is_too_long, text, within};
use server::{Nginx, UPGRADE};
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;

/// Starts nginx in front of a relay, or ends a test that cannot have one here.
macro_rules! nginx {
    ($relay:expr) => {
        match Nginx::start($relay).await {
            Some(nginx) => nginx,
            None => return,
        }
    };
}

#[tokio::test]
async fn eight_mebibytes_come_through() {
    let relay = TestRelay::start(|_| {});
    let nginx = nginx!(&relay);
    let (mut sender, mut receiver) = nginx.pair().await;
    let content = Message::binary(noise(&mut seeded(1), 8 << 20));
    tokio::join!(
        sender.send(content.clone()),
        receiver.expect(content.clone())
    );
    tokio::join!(receiver.send(content.clone()), sender.expect(content));
}

#[tokio::test]
async fn a_message_is_not_held_back_until_it_is_whole() {
    let relay = TestRelay::start(|_| {});
    let nginx = nginx!(&relay);
    let (mut sender, mut receiver) = nginx.pair().await;
    for turn in 0..100 {
        sender.send(format!("{turn}")).await;
        receiver.expect(text(format!("{turn}"))).await;
    }
}

/// nginx would cut after 60 s, was it not told otherwise; the relay says nothing all that time.
#[tokio::test]
async fn a_quiet_session_is_not_cut() {
    if is_too_long() {
        return;
    }
    let relay = TestRelay::start(|config| config.ping_interval = Duration::from_secs(3600));
    let nginx = nginx!(&relay);
    let (mut sender, mut receiver) = nginx.pair().await;
    sleep(Duration::from_secs(65)).await;
    sender.send("still there?").await;
    receiver.expect(text("still there?")).await;
    receiver.send("yes").await;
    sender.expect(text("yes")).await;
}

#[tokio::test]
async fn a_client_is_limited_by_its_own_address() {
    let relay = TestRelay::start(|config| config.address_rate_limit_max = 2);
    let nginx = nginx!(&relay);
    let one = [("x-forwarded-for", "198.51.100.1")];
    // What it claims itself is left of what the tunnel has seen.
    let same = [("x-forwarded-for", "203.0.113.9, 198.51.100.1")];
    let neighbour = [("x-forwarded-for", "198.51.100.2")];
    nginx.client(&one).await.create_room().await;
    nginx.client(&same).await.create_room().await;
    for headers in [one, same] {
        let mut client = nginx.client(&headers).await;
        client.send(reply::CREATE).await;
        client.expect_error("rate_limited").await;
        client.expect_close(1008).await;
    }
    nginx.client(&neighbour).await.create_room().await;
}

#[tokio::test]
async fn a_stopping_relay_is_seen_as_1012() {
    let mut relay = TestRelay::start(|_| {});
    let nginx = nginx!(&relay);
    let mut waiting = nginx.client(&[]).await;
    waiting.create_room().await;
    let (_sender, mut receiver) = nginx.pair().await;
    relay.begin_shutdown();
    waiting.expect_error("server_shutdown").await;
    waiting.expect_close(1012).await;
    receiver.expect_close(1012).await;
    relay.join().await.unwrap();

    // And after that, nginx says in words what is the matter.
    let answer = nginx.get("/").await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert!(
        answer.contains("the relay behind it does not answer"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_plain_request_gets_an_answer_to_read() {
    let relay = TestRelay::start(|_| {});
    let nginx = nginx!(&relay);
    let answer = nginx.get("/").await;
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    assert!(
        answer.ends_with("Connect to it with a WebSocket client.\n"),
        "{answer}"
    );
    assert!(
        answer.contains("\r\nServer: nginx\r\n"),
        "which version is nobody's business: {answer}"
    );
}

#[tokio::test]
async fn what_stands_behind_a_path_is_not_logged() {
    let relay = TestRelay::start(|_| {});
    let nginx = nginx!(&relay);
    nginx.get("/a%20path?secret=x").await;
    let answer = nginx.ask("/session?key=a-secret-of-theirs", UPGRADE).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    nginx.get("/metrics?secret=x").await;
    // And where nginx has something to complain of.
    drop(relay);
    nginx.get("/late?secret=x").await;

    let log = |name: &str| fs::read_to_string(nginx.folder.path().join(name)).unwrap();
    within("the last line", async {
        while !log("access.log").contains("/late") {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let (access, errors) = (log("access.log"), log("error.log"));
    for line in [
        r#"127.0.0.1 ["#,
        r#"] "GET /a path HTTP/1.1" 426 "#,
        r#"] "GET /session HTTP/1.1" 101 "#,
        r#"] "GET /metrics HTTP/1.1" 404 "#,
        r#"] "GET /late HTTP/1.1" 502 "#,
    ] {
        assert!(access.contains(line), "no {line} in {access}");
    }
    assert!(!(access + &errors).contains("secret"), "{errors}");
}

#[tokio::test]
async fn numbers_are_not_for_everybody() {
    let relay = TestRelay::start(|_| {});
    let nginx = nginx!(&relay);
    let spellings = [
        "/metrics",
        "/metrics?x",
        "//metrics",
        "/./metrics",
        "/x/../metrics",
        "/%6detrics",
        "/metrics#x",
        "/%2e/metrics",
        "/%2Fmetrics",
        "http://relay.example.com/metrics",
        "/status",
        "/%73tatus",
    ];
    for path in spellings {
        let answer = nginx.get(path).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
    }
    // No other spelling leads there.
    for path in [
        "/%256detrics",
        "/metrics/",
        "/metrics;x",
        "/METRICS",
        "/metrics%00",
        "/metrics%20",
    ] {
        let answer = nginx.get(path).await;
        assert!(!answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
    }
}

/// By the relay's own settings, as it sees through whom they ask.
#[tokio::test]
async fn health_is_for_everybody_where_it_is_open() {
    for open in [false, true] {
        let relay = TestRelay::start(|config| config.health_open = open);
        let nginx = nginx!(&relay);
        for (paths, word) in [
            (["/healthz", "//healthz", "/health%7a"], "ok\n"),
            (["/readyz", "//readyz", "/x/../readyz"], "ready\n"),
        ] {
            for path in paths {
                let answer = nginx.get(path).await;
                let begins = if open {
                    "HTTP/1.1 200 "
                } else {
                    "HTTP/1.1 403 "
                };
                assert!(answer.starts_with(begins), "{open} {path}: {answer}");
                assert_eq!(answer.ends_with(word), open, "{path}: {answer}");
                assert!(!answer.contains(version::VERSION), "{path}: {answer}");
            }
        }
    }
}

#[tokio::test]
async fn the_relay_is_told_of_the_client_behind_nginx() {
    let relay = TestRelay::start(|_| {});
    let nginx = nginx!(&relay);
    let answer = nginx.ask("/any/path", UPGRADE).await.to_lowercase();
    assert!(answer.starts_with("http/1.1 101 "), "{answer}");
    assert!(
        answer.contains("\r\nx-relay-client: forwarded\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn keys_come_through_to_the_relay() {
    let relay = TestRelay::start(|config| {
        config.access_keys = AccessKeys::parse("alice:0123456789abcdef").unwrap();
    });
    let nginx = nginx!(&relay);
    let token = "Authorization: Bearer 0123456789abcdef\r\n";
    for (path, lines, status) in [
        ("/any/path?key=0123456789abcdef", "", "101"),
        ("/", token, "101"),
        ("/?key=0123456789abcdeF", "", "401"),
        ("/", "", "401"),
    ] {
        let headers = format!("{UPGRADE}Connection: close\r\n{lines}");
        let answer = nginx.ask(path, &headers).await;
        assert_eq!(answer.split(' ').nth(1), Some(status), "{path}: {answer}");
    }
}

/// nginx gives its first site what no site has the name of.
#[tokio::test]
async fn a_name_that_is_not_the_sites_leads_nowhere() {
    let relay = TestRelay::start(|_| {});
    let nginx = nginx!(&relay);
    for (host, status) in [
        ("relay.example.com", "101"),
        ("Relay.Example.Com:81", "101"),
        ("localhost:81", "101"),
        ("127.0.0.1:81", "101"),
        ("[::1]:81", "101"),
        ("other.example.com", "421"),
        ("relay.example.com.other.example", "421"),
        ("1.2.3.4.example", "421"),
    ] {
        let headers = format!("{UPGRADE}Connection: close\r\nOrigin: http://{host}\r\n");
        let answer = nginx.ask_as(host, "/", &headers).await;
        assert_eq!(answer.split(' ').nth(1), Some(status), "{host}: {answer}");
    }
}

#[tokio::test]
async fn a_page_of_the_site_may_connect_and_one_of_another_not() {
    let relay = TestRelay::start(|_| {});
    let nginx = nginx!(&relay);
    for (lines, status) in [
        ("Origin: https://relay.example.com\r\n", "101"),
        ("Origin: https://other.example.com\r\n", "403"),
        (
            "Origin: https://other.example.com\r\nX-Forwarded-Host: other.example.com\r\n",
            "403",
        ),
    ] {
        let headers = format!("{UPGRADE}Connection: close\r\n{lines}");
        let answer = nginx.ask("/", &headers).await;
        assert_eq!(answer.split(' ').nth(1), Some(status), "{lines}: {answer}");
    }
    // By a port that is not the scheme's own.
    let origin = format!("http://{}", nginx.addr);
    let mut client = nginx.client(&[("origin", &origin)]).await;
    client.create_room().await;
}
