//! Requests and answers of HTTP, before and instead of an upgrade.

use super::{Raw, TestRelay};

/// A request for an upgrade, up to the line where further headers go.
pub(crate) const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: relay.example\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
/// What answers that key.
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What an HTTP request got.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Response {
    /// Parses the head of an answer; its body comes after.
    pub(crate) fn parse(head: &str) -> Self {
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

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self
            .headers
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }
}

/// Sends a request and reads its whole answer.
pub(crate) async fn http(relay: &TestRelay, request: &str) -> Response {
    let mut raw = Raw::dial(relay).await;
    raw.write(request.as_bytes()).await;
    let mut response = raw.response().await;
    let length = response
        .header("content-length")
        .map_or(0, |length| length.parse().expect("a length"));
    let body = raw.take(length, "the body of an answer").await;
    response.body = String::from_utf8(body.to_vec()).expect("a body in UTF-8");
    response
}
