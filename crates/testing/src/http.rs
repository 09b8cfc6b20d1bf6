//! Requests and answers of HTTP, before and instead of an upgrade.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use crate::wait::DEADLINE;

/// A request for an upgrade, up to the line where further headers go.
pub const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: relay.example\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
/// What answers that key.
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// How often to ask whether a relay stops.
const ASK_AGAIN: Duration = Duration::from_millis(5);

/// What an HTTP request got.
#[derive(Debug)]
pub struct Response {
    /// Its status code.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// What came after the head.
    pub body: String,
}

impl Response {
    /// Parses the head of an answer; its body comes after.
    pub fn parse(head: &str) -> Self {
        let mut lines = head.trim_end().split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .expect("a status line");
        let headers = lines
            .map(|line| line.split_once(':').expect("a header line"))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        Self {
            status: status.parse().expect("a status"),
            headers,
            body: String::new(),
        }
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self
            .headers
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }
}

/// Asks the relay for one of its pages, and waits for it on this thread.
///
/// # Errors
///
/// Where nobody listens there, or the answer does not come.
pub fn get(relay: SocketAddr, path: &str) -> io::Result<Response> {
    get_with(relay, path, "")
}

/// The same with further lines in the head, each with its end.
///
/// # Errors
///
/// As above.
pub fn get_with(relay: SocketAddr, path: &str, lines: &str) -> io::Result<Response> {
    let mut stream = TcpStream::connect(relay)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n"
    )?;
    // The relay ends the connection by itself.
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let mut response = Response::parse(head);
    body.clone_into(&mut response.body);
    Ok(response)
}

/// Waits until the relay says that it has begun to stop.
pub fn until_stopping(relay: SocketAddr) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let health = get(relay, "/healthz").expect("a word on its health");
        if health.status == 503 {
            return;
        }
        assert!(Instant::now() < deadline, "it does not stop: {health:?}");
        thread::sleep(ASK_AGAIN);
    }
}
