//! Which handshakes are taken: what clients and proxies send, or might, beside what other servers
//! answered to the same bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "handshakes/table.rs"]
mod table;

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

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
