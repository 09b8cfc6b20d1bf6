//! A well-behaved client, on a WebSocket library that the relay does not use.

use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        protocol::{
            CloseFrame, WebSocketConfig,
            frame::{
                Frame,
                coding::{CloseCode, Data, OpCode},
            },
        },
    },
};

use crate::{
    local::TestRelay,
    reply::{self, Ticket},
    wait::within,
};

/// A text message.
pub fn text(content: impl Into<String>) -> Message {
    Message::text(content.into())
}

/// One connection to a relay.
pub struct Client {
    ws: WebSocketStream<TcpStream>,
    pings: u32,
}

impl Client {
    /// Connects to the relay itself.
    pub async fn connect(relay: &TestRelay) -> Self {
        Self::at(relay.addr()).await
    }

    /// Connects to whoever listens there.
    pub async fn at(addr: SocketAddr) -> Self {
        Self::open(addr, &[]).await.expect("an upgrade")
    }

    /// Connects as a proxy would for a client of that address.
    pub async fn connect_for(relay: &TestRelay, forwarded_for: &str) -> Self {
        Self::open(relay.addr(), &[("x-forwarded-for", forwarded_for)])
            .await
            .expect("an upgrade")
    }

    /// Connects, and hands back a refusal as the library reports it.
    ///
    /// # Errors
    ///
    /// A refusal, as the library reports it.
    pub async fn open(
        addr: SocketAddr,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, tungstenite::Error> {
        let stream = within("a connection", TcpStream::connect(addr))
            .await
            .expect("a connection");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        let mut request = format!("ws://{addr}/")
            .into_client_request()
            .expect("a request");
        for (name, value) in headers {
            request
                .headers_mut()
                .append(*name, value.parse().expect("a header value"));
        }
        let unlimited = WebSocketConfig::default()
            .max_message_size(None)
            .max_frame_size(None);
        let upgrade = client_async_with_config(request, stream, Some(unlimited));
        let (ws, _) = within("the answer to an upgrade", upgrade).await?;
        Ok(Self { ws, pings: 0 })
    }

    /// The connection itself, for those who say and hear at once.
    pub fn into_inner(self) -> WebSocketStream<TcpStream> {
        self.ws
    }

    /// Opens a room and returns its code.
    pub async fn create_room(&mut self) -> String {
        self.send(reply::CREATE).await;
        reply::created(&self.next_json("ROOM_CREATED").await)
    }

    /// Opens a room that outlives this line.
    pub async fn create_lasting_room(&mut self) -> Ticket {
        self.send(reply::CREATE_LASTING).await;
        let created = self.next_json("ROOM_CREATED").await;
        reply::created(&created);
        Ticket::of(&created)
    }

    /// Takes a room up again; returns what is good for the next time.
    pub async fn take_up(&mut self, ticket: &Ticket) -> Ticket {
        self.send(ticket.request()).await;
        reply::resumed(&self.next_json("ROOM_RESUMED").await, &ticket.code)
    }

    /// Joins a room, whether it is paired at once or queued.
    pub async fn join(&mut self, code: &str) {
        self.send(reply::join(code)).await;
        reply::assert_joined(&self.next_json("ROOM_JOINED").await, code);
    }

    /// Tries a code; returns the type of the answer, or why not.
    pub async fn try_code(&mut self, code: &str) -> String {
        self.try_request(reply::join(code)).await
    }

    /// Says what it wants; returns the type of the answer, or why not.
    pub async fn try_request(&mut self, request: String) -> String {
        self.send(request).await;
        let answer = self.next_json("an answer").await;
        let told = answer["reason"].as_str().or(answer["type"].as_str());
        told.expect("a type").to_owned()
    }

    /// Sends one message in one frame.
    pub async fn send(&mut self, message: impl Into<Message>) {
        within("room to send", self.ws.send(message.into()))
            .await
            .expect("a send");
    }

    /// Sends one message in frames of these payload lengths, and one more for what is left.
    pub async fn send_in_pieces(&mut self, message: &Message, lengths: &[usize]) {
        let mut rest = message.clone().into_data();
        let mut kind = OpCode::Data(if message.is_text() {
            Data::Text
        } else {
            Data::Binary
        });
        for length in lengths {
            let piece = rest.split_to((*length).min(rest.len()));
            self.send(Message::Frame(Frame::message(piece, kind, false)))
                .await;
            kind = OpCode::Data(Data::Continue);
        }
        self.send(Message::Frame(Frame::message(rest, kind, true)))
            .await;
    }

    /// The next message that is not a ping or a pong. A close is one.
    pub async fn next(&mut self, awaited: &str) -> Message {
        let next = async {
            loop {
                match self.ws.next().await {
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(message)) => return message,
                    Some(Err(error)) => panic!("{error} instead of {awaited}"),
                    None => panic!("the end of the connection instead of {awaited}"),
                }
            }
        };
        within(awaited, next).await
    }

    /// The next message, which is one of the relay's own.
    pub async fn next_json(&mut self, awaited: &str) -> Value {
        match self.next(awaited).await {
            Message::Text(text) => reply::parse(text.as_str()),
            other => panic!("{} instead of {awaited}", outline(&other)),
        }
    }

    /// The next message is this one, byte for byte and of the same kind.
    pub async fn expect(&mut self, expected: impl Into<Message>) {
        let expected = expected.into();
        let message = self.next(&outline(&expected)).await;
        assert!(
            message == expected,
            "{} instead of {}",
            outline(&message),
            outline(&expected)
        );
    }

    /// A receiver is paired; returns its id.
    pub async fn expect_peer(&mut self) -> String {
        reply::peer(&self.next_json("PEER_JOINED").await, "PEER_JOINED")
    }

    /// The receiver is gone; returns its id.
    pub async fn expect_peer_gone(&mut self) -> String {
        reply::peer(
            &self.next_json("PEER_DISCONNECTED").await,
            "PEER_DISCONNECTED",
        )
    }

    /// The relay refuses something, for this reason. Returns what it says.
    pub async fn expect_error(&mut self, reason: &str) -> Value {
        let value = self.next_json(reason).await;
        reply::assert_error(&value, reason);
        value
    }

    /// The relay closes with this code, then ends the connection. Returns the close reason.
    pub async fn expect_close(&mut self, code: u16) -> String {
        let awaited = format!("close {code}");
        let reason = match self.next(&awaited).await {
            Message::Close(Some(close)) => {
                assert_eq!(u16::from(close.code), code, "closed for {:?}", close.reason);
                close.reason.as_str().to_owned()
            }
            other => panic!("{} instead of {awaited}", outline(&other)),
        };
        self.expect_end().await;
        reason
    }

    /// The relay says why, and closes with this code.
    pub async fn expect_close_after_error(&mut self, reason: &str, code: u16) {
        self.expect_error(reason).await;
        self.expect_close(code).await;
    }

    /// Closes with 1000, as who is done.
    pub async fn close(self) {
        self.close_with(1000).await;
    }

    /// Closes the handshake's way: the relay answers with the same code, then ends the connection.
    /// What it had still to say before is let pass.
    pub async fn close_with(mut self, code: u16) {
        let close = CloseFrame {
            code: CloseCode::from(code),
            reason: "".into(),
        };
        within("room to close", self.ws.close(Some(close)))
            .await
            .expect("a close");
        loop {
            match self.next("the answer to a close").await {
                Message::Close(Some(close)) => {
                    assert_eq!(u16::from(close.code), code);
                    break;
                }
                Message::Close(None) => panic!("an answer without a code to close {code}"),
                _ => {}
            }
        }
        self.expect_end().await;
    }

    /// Goes away without a word, as a lost network does.
    pub fn vanish(self) {
        drop(self);
    }

    /// Goes away with a reset instead of an end of the stream.
    pub fn reset(self) {
        let socket = SockRef::from(self.ws.get_ref());
        socket.set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
    }

    /// One round trip: when it returns, the relay has read all that was sent before. Nothing but
    /// the answer may arrive.
    pub async fn round_trip(&mut self) {
        self.pings += 1;
        let payload = self.pings.to_be_bytes().to_vec();
        self.send(Message::Ping(payload.clone().into())).await;
        let answer = async {
            loop {
                match self.ws.next().await {
                    Some(Ok(Message::Pong(answer))) if answer == payload => return,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(other)) => panic!("{} instead of a pong", outline(&other)),
                    other => panic!("{other:?} instead of a pong"),
                }
            }
        };
        within("a pong", answer).await;
    }

    /// The relay has nothing to say to this client: one round trip is behind all that was sent, a
    /// second one behind all that came of it.
    pub async fn expect_silence(&mut self) {
        self.round_trip().await;
        self.round_trip().await;
    }

    /// Sends and receives at the same time.
    pub async fn exchange(&mut self, outgoing: &[Message], incoming: &[Message]) {
        let (mut sink, mut stream) = (&mut self.ws).split();
        let sending = async {
            for message in outgoing {
                sink.send(message.clone()).await.expect("a send");
            }
        };
        let receiving = async {
            for (index, expected) in incoming.iter().enumerate() {
                let message = loop {
                    match stream.next().await {
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                        Some(Ok(message)) => break message,
                        other => panic!("{other:?} instead of message {index}"),
                    }
                };
                assert!(
                    message == *expected,
                    "message {index}: {} instead of {}",
                    outline(&message),
                    outline(expected)
                );
            }
        };
        within("the end of an exchange", async {
            tokio::join!(sending, receiving)
        })
        .await;
    }

    async fn expect_end(&mut self) {
        match within("the end of the connection", self.ws.next()).await {
            None => {}
            other => panic!("{other:?} after the close"),
        }
    }
}

/// A message in a few words, since some have megabytes.
fn outline(message: &Message) -> String {
    match message {
        Message::Text(text) if text.len() > 200 => format!("a text of {} bytes", text.len()),
        Message::Binary(bytes) if bytes.len() > 20 => format!("{} binary bytes", bytes.len()),
        other => format!("{other:?}"),
    }
}
