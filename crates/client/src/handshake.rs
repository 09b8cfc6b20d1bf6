//! The WebSocket handshake with a relay, over a connection that is there (RFC 6455 §4).

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Error,
        client::IntoClientRequest,
        error::ProtocolError,
        http::{HeaderMap, HeaderName, HeaderValue, Response, header},
        protocol::WebSocketConfig,
    },
};

use crate::{stream::Stream, url::Url};

/// A WebSocket to a relay.
pub type Socket = WebSocketStream<Stream>;

/// What the answer to a handshake tells beside that it has succeeded.
#[derive(Debug)]
pub struct Greeting {
    /// Its `X-Relay-Client`: whose address the relay sees. Only a relay sends it.
    pub sees: Option<String>,
    /// The proxy that speaks for the relay, if one names itself.
    pub proxy: Option<String>,
}

/// An HTTP answer in place of a WebSocket.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// What that status is called, if it is a known one.
    pub reason: Option<&'static str>,
    /// The `Server` header; empty where there is none.
    pub server: String,
    /// The `Location` header; empty where there is none.
    pub location: String,
    /// How long to wait, by a `Retry-After` header in seconds (RFC 9110 §10.2.3).
    pub retry_after: Option<Duration>,
    /// As much of the body as came with the head.
    pub body: String,
}

/// Why a handshake has failed.
#[derive(Debug)]
pub enum OpenError {
    /// The URL cannot be asked for.
    Request(Error),
    /// The server answers in plain HTTP.
    Answered(Answer),
    /// The server has ended the connection without an answer.
    Closed,
    /// The server speaks another version of HTTP than 1.1.
    HttpVersion,
    /// What the server says is no HTTP.
    NotHttp,
    /// The answer breaks a rule for handshakes (RFC 6455 §4.1).
    Protocol(ProtocolError),
    /// The connection has failed.
    Connection(Error),
}

/// Opens a WebSocket to the relay of `url`, with these headers beside those that it takes; a user and a
/// password in the URL become one more (RFC 7617 §2), unless there is an `authorization` among them. No message or frame longer than `longest` bytes is taken from it.
///
/// # Errors
///
/// [`OpenError`], with what was answered in place of a WebSocket.
pub async fn open(
    url: &Url,
    headers: &[(&'static str, &str)],
    longest: usize,
    stream: Stream,
) -> Result<(Socket, Greeting), OpenError> {
    let mut request = url
        .to_ask_for()
        .into_client_request()
        .map_err(OpenError::Request)?;
    let user = url.user.as_ref();
    let user = user.map(|user| format!("Basic {}", STANDARD.encode(user)));
    let user = user.iter().map(|it| ("authorization", it.as_str()));
    for (name, value) in user.chain(headers.iter().copied()) {
        let value = HeaderValue::from_str(value);
        let value = value.map_err(|error| OpenError::Request(Error::HttpFormat(error.into())))?;
        request.headers_mut().insert(name, value);
    }
    let config = WebSocketConfig::default()
        .max_message_size(Some(longest))
        .max_frame_size(Some(longest));
    let (socket, response) = client_async_with_config(request, stream, Some(config)).await?;
    Ok((socket, Greeting::read(response.headers())))
}

impl Greeting {
    fn read(headers: &HeaderMap) -> Self {
        let text = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
        // The relay itself sends none of these.
        let via = || text("via").or_else(|| text("cf-ray").map(|_| "cloudflare".to_owned()));
        Self {
            sees: text("x-relay-client"),
            proxy: text(header::SERVER.as_str()).or_else(via),
        }
    }
}

impl From<&Response<Option<Vec<u8>>>> for Answer {
    fn from(response: &Response<Option<Vec<u8>>>) -> Self {
        let header = |name: HeaderName| {
            let value = response.headers().get(name);
            let text = value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            text.unwrap_or_default()
        };
        let body = response.body().as_deref().unwrap_or_default();
        Self {
            status: response.status().as_u16(),
            reason: response.status().canonical_reason(),
            server: header(header::SERVER),
            location: header(header::LOCATION),
            retry_after: header(header::RETRY_AFTER)
                .parse()
                .ok()
                .map(Duration::from_secs),
            body: String::from_utf8_lossy(body).into_owned(),
        }
    }
}

impl From<Error> for OpenError {
    fn from(error: Error) -> Self {
        match error {
            Error::Http(response) => Self::Answered(Answer::from(&*response)),
            Error::Protocol(ProtocolError::HandshakeIncomplete) => Self::Closed,
            Error::Protocol(ProtocolError::WrongHttpVersion) => Self::HttpVersion,
            Error::Protocol(ProtocolError::HttparseError(_)) => Self::NotHttp,
            Error::Protocol(why) => Self::Protocol(why),
            other => Self::Connection(other),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    /// What is asked for a URL with these headers.
    async fn asked(url: &str, headers: &[(&'static str, &str)]) -> String {
        let (here, mut there) = tokio::io::duplex(16 << 10);
        let url = Url::parse(url).unwrap();
        let (opened, asked) = tokio::join!(open(&url, headers, 1000, Box::new(here)), async move {
            let mut head = [0; 4096];
            let read = there.read(&mut head).await.unwrap();
            String::from_utf8_lossy(&head[..read]).to_lowercase()
        });
        assert!(opened.is_err(), "nobody has answered");
        asked
    }

    #[tokio::test]
    async fn a_key_that_is_given_goes_over_the_user_in_the_url() {
        let by_user = asked("ws://me:secret@a.example", &[]).await;
        assert!(
            by_user.contains("authorization: basic bwu6c2vjcmv0"),
            "{by_user}"
        );
        let key = ("authorization", "Bearer key");
        let by_key = asked("ws://me:secret@a.example", &[key]).await;
        assert!(by_key.contains("authorization: bearer key"), "{by_key}");
        assert_eq!(by_key.matches("authorization").count(), 1);
    }
}
