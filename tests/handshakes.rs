//! Which handshakes are taken: what clients and proxies send, or might, beside what other servers
//! answered to the same bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "handshakes/access.rs"]
mod access;
#[path = "handshakes/table.rs"]
mod table;

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

use claude_distill_relay::config::Sites;
use relay_testing::{Raw, TestRelay, http::UPGRADE, skip};

use self::table::{PEERS, ROWS, Row};

/// What the relay answers to these bytes; where it makes a session of them, that one is used.
async fn answered(relay: &TestRelay, head: &str) -> u16 {
    let mut client = Raw::dial(relay).await;
    client.write(head.as_bytes()).await;
    let answer = client.response().await;
    if answer.status == 101 {
        assert!(answer.header("sec-websocket-accept").is_some(), "{head}");
        client.create_room().await;
    }
    answer.status
}

#[tokio::test]
async fn every_handshake_of_the_table_is_answered_as_it_says() {
    let relay = TestRelay::start(|config| config.address_rate_limit_max = 1000);
    for row in ROWS {
        let status = answered(&relay, &row.head()).await;
        assert_eq!(status, row.ours, "{:?}", row.variant);
    }
    relay.settled().await;
}

#[test]
fn what_others_answer_otherwise_has_a_reason() {
    for row in ROWS {
        let taken = row.taken();
        assert_eq!(taken.len(), PEERS.len(), "{:?}", row.variant);
        let agreed = taken.iter().all(|&taken| taken == (row.ours == 101));
        assert_eq!(agreed, row.why.is_empty(), "{:?}", row.variant);
    }
}

/// RFC 9112 §2.2 lets a server put up with both, as tornado does; aiohttp and ws do with the second.
#[tokio::test]
async fn lone_line_feeds_and_an_empty_line_in_front_are_put_up_with() {
    let relay = TestRelay::start(|_| {});
    let plain = format!("{UPGRADE}\r\n");
    for head in [plain.replace('\r', ""), format!("\r\n{plain}")] {
        assert_eq!(answered(&relay, &head).await, 101, "{head:?}");
    }
}

/// What the relay answers to a handshake with these lines beside `Host: relay.example`.
async fn answered_with(relay: &TestRelay, lines: &str) -> u16 {
    answered(relay, &format!("{UPGRADE}{lines}\r\n")).await
}

#[tokio::test]
async fn a_page_of_another_host_may_not_connect() {
    let relay = TestRelay::start(|_| {});
    for lines in [
        "",
        "Origin: https://relay.example\r\n",
        "origin: http://RELAY.example:80\r\n",
        // A proxy on this machine, which is trusted, asks by a name of its own.
        "Origin: https://public.example\r\nX-Forwarded-Host: public.example\r\n",
        "Origin: https://public.example:8443\r\nX-Forwarded-Host: a, public.example:8443\r\n",
    ] {
        assert_eq!(answered_with(&relay, lines).await, 101, "{lines}");
    }
    let others = [
        "Origin: https://other.example\r\n",
        "Origin: http://relay.example:3000\r\n",
        "Origin: null\r\n",
        "Origin:\r\n",
        "Origin: file://\r\n",
        "Origin: https://\u{e9}.example\r\n",
        "Origin: https://relay.example\r\nOrigin: https://relay.example\r\n",
        "Origin: https://public.example\r\nX-Forwarded-Host: other.example\r\n",
    ];
    for lines in others {
        assert_eq!(answered_with(&relay, lines).await, 403, "{lines}");
    }
    let refused = r#"relay_handshakes_refused_total{reason="origin_not_allowed"}"#;
    assert_eq!(relay.metrics().get(refused), others.len() as u64);
    let request = format!("{UPGRADE}{}\r\n", others[0]);
    let answer = Raw::ask(&relay, &request).await;
    assert!(answer.body.contains("RELAY_ALLOWED_ORIGINS"), "{answer:?}");
    // What is no handshake has nothing to do with it.
    let health = format!(
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
        others[0]
    );
    assert_eq!(Raw::ask(&relay, &health).await.status, 200);
    relay.settled().await;
}

#[tokio::test]
async fn the_host_that_a_target_names_goes_over_the_header() {
    let relay = TestRelay::start(|_| {});
    let request = UPGRADE.replace("GET /", "GET http://target.example/");
    for (origin, status) in [
        ("http://target.example", 101),
        ("http://relay.example", 403),
    ] {
        let request = format!("{request}Origin: {origin}\r\n\r\n");
        assert_eq!(answered(&relay, &request).await, status, "{origin}");
    }
}

#[tokio::test]
async fn what_a_stranger_says_of_the_host_is_not_believed() {
    let relay = TestRelay::start(|config| config.trusted_proxies.clear());
    let lines = "Origin: https://public.example\r\nX-Forwarded-Host: public.example\r\n";
    assert_eq!(answered_with(&relay, lines).await, 403);
}

#[tokio::test]
async fn the_operator_names_the_pages_that_may_connect() {
    let (own, app) = ("https://relay.example", "https://app.example");
    for (allowed, expected) in [
        ("own", [101, 403, 403]),
        ("https://app.example", [403, 101, 403]),
        (
            "https://other.example, own, https://app.example:443",
            [101, 101, 403],
        ),
        ("*", [101, 101, 101]),
        ("", [403, 403, 403]),
    ] {
        let sites = Sites::parse(allowed).unwrap();
        let relay = TestRelay::start(|config| config.allowed_origins = sites.clone());
        assert_eq!(answered_with(&relay, "").await, 101, "no page, {allowed}");
        for (origin, status) in [own, app, "null"].into_iter().zip(expected) {
            let answer = answered_with(&relay, &format!("Origin: {origin}\r\n")).await;
            assert_eq!(answer, status, "{origin}, {allowed}");
        }
    }
}

/// A server of somebody else's.
struct Peer {
    process: Child,
    version: String,
    port: u16,
}

impl Peer {
    fn start() -> Option<Self> {
        let python = env::var("RELAY_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/handshakes/server.py");
        let mut command = Command::new(&python);
        command.arg(script).stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut said = String::new();
        let started = command.spawn().ok().and_then(|mut process| {
            let stdout = process.stdout.take()?;
            BufReader::new(stdout).read_line(&mut said).ok()?;
            Some(process)
        });
        let Some((process, (version, port))) = started.zip(said.trim().split_once(' ')) else {
            skip(&format!("{python} with websockets"));
            return None;
        };
        Some(Self {
            process,
            version: version.to_owned(),
            port: port.parse().unwrap(),
        })
    }

    /// Whether it makes a session of these bytes.
    fn takes(&self, row: &Row) -> bool {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        stream.write_all(row.head().as_bytes()).unwrap();
        let mut status = [0; 12];
        // It may end the connection in place of an answer.
        stream.read_exact(&mut status).is_ok() && status.ends_with(b" 101")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It ends with its input. Should that fail, it is gone already.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

#[test]
fn the_table_says_what_websockets_answers() {
    let Some(peer) = Peer::start() else { return };
    for row in ROWS {
        let (takes, taken) = (peer.takes(row), row.taken());
        if takes != taken[0] {
            let (variant, version) = (row.variant, &peer.version);
            println!("websockets {version} has changed: {variant:?}, now {takes}");
        }
        // What none of them refuses, or all of them do, will not change.
        let all = taken.iter().all(|&it| it == taken[0]);
        assert!(takes == taken[0] || !all, "{:?}", row.variant);
    }
}
