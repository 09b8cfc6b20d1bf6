//! A WebSocket client of the relay: its handshake, what it asks and hears, and how it takes leave.
//! It keeps the room's code to itself: nothing here prints it, whatever goes wrong.

use std::cell::Cell;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use relay_client::{
    handshake::{self, Greeting, OpenError, Socket},
    stream::{Stream, TooMuch},
};
use relay_wire::ending::Ending;
use serde::Deserialize;
use tokio_tungstenite::tungstenite::{
    Error, Message,
    protocol::frame::{CloseFrame, coding::CloseCode},
};

use super::{
    answer::{self, cut},
    net::flood,
    note::{Note, Outcome},
    plan::LONGEST,
    target::{Place, Target},
};
use crate::http::own_check::MARK;

/// A connected client.
pub(super) struct Client(Socket);

/// A room's code. Without `Debug` and `Display`, so that it cannot get into any text by mistake.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Code(String);

/// What the relay says to its clients, as far as a check has to know.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Reply {
    RoomCreated {
        room_id: Code,
    },
    RoomJoined,
    PeerJoined,
    PeerDisconnected,
    Error {
        reason: String,
        #[serde(default)]
        retry_after: Option<u64>,
    },
    #[serde(other)]
    Other,
}

impl Client {
    /// Opens a WebSocket over a connection that is there.
    pub(super) async fn open(target: &Target, stream: Stream) -> Outcome<(Self, Greeting)> {
        // So that the relay of this machine tells our rooms from its users'.
        let marks: &[_] = match target.place {
            Place::Relay => &[(MARK, "1")],
            Place::Nginx | Place::Outside => &[],
        };
        let opened = handshake::open(&target.url, marks, LONGEST, stream).await;
        let (socket, greeting) = opened.map_err(|error| unopened(target, &error))?;
        Ok(((Self(socket), greeting), Note::ok("the handshake succeeds")))
    }

    pub(super) async fn create(&mut self) -> Result<Code, Note> {
        self.ask(r#"{"type":"CREATE_ROOM"}"#.to_owned()).await?;
        match self.reply().await? {
            Reply::RoomCreated { room_id } => Ok(room_id),
            other => Err(unexpected(&other, "a room")),
        }
    }

    pub(super) async fn join(&mut self, code: &Code) -> Result<(), Note> {
        let request = serde_json::json!({ "type": "JOIN_ROOM", "room_id": code.0 });
        self.ask(request.to_string()).await?;
        self.expect(|reply| matches!(reply, Reply::RoomJoined), "ROOM_JOINED")
            .await
    }

    async fn ask(&mut self, request: String) -> Result<(), Note> {
        self.send(Message::text(request)).await
    }

    /// Waits for a reply that `fits`; any other is a failure to get `what`.
    pub(super) async fn expect(
        &mut self,
        fits: impl FnOnce(&Reply) -> bool,
        what: &str,
    ) -> Result<(), Note> {
        match self.reply().await? {
            reply if fits(&reply) => Ok(()),
            other => Err(unexpected(&other, what)),
        }
    }

    /// The relay's next JSON.
    async fn reply(&mut self) -> Result<Reply, Note> {
        let message = self.receive().await?;
        // Not shown: it may hold the code, or be a page of something else.
        serde_json::from_slice(&message.into_data())
            .map_err(|_| Note::fail("the answer is none of a relay's").means(ANOTHER_SERVER))
    }

    pub(super) async fn send(&mut self, message: Message) -> Result<(), Note> {
        self.0.send(message).await.map_err(|error| broken(&error))
    }

    /// The next message with data.
    pub(super) async fn receive(&mut self) -> Result<Message, Note> {
        loop {
            let message = self.next().await?;
            if message.is_text() || message.is_binary() {
                return Ok(message);
            }
        }
    }

    /// The next message of any kind but the last. Pings are answered as they are read.
    pub(super) async fn next(&mut self) -> Result<Message, Note> {
        match self.0.next().await {
            Some(Ok(Message::Close(frame))) => Err(closed(frame.as_ref())),
            Some(Ok(message)) => Ok(message),
            Some(Err(error)) => Err(broken(&error)),
            None => Err(closed(None)),
        }
    }

    /// Reads on until the connection ends. Returns how.
    pub(super) async fn ended(&mut self) -> Note {
        loop {
            if let Err(note) = self.next().await {
                return note;
            }
        }
    }

    /// Stays, counting the Pings that come, until the connection ends.
    pub(super) async fn sit(&mut self, pings: &Cell<usize>) -> Result<(), Note> {
        loop {
            if self.next().await?.is_ping() {
                pings.set(pings.get() + 1);
            }
        }
    }

    /// Sends a Ping and waits for its Pong.
    pub(super) async fn ping(&mut self) -> Result<(), Note> {
        let payload = Bytes::from_static(b"check");
        self.send(Message::Ping(payload.clone())).await?;
        loop {
            if matches!(self.next().await?, Message::Pong(data) if data == payload) {
                return Ok(());
            }
        }
    }

    /// Takes leave, and waits until the relay has, too. What still comes is thrown away.
    pub(super) async fn close(&mut self) {
        let farewell = CloseFrame {
            code: CloseCode::Normal,
            reason: "check done".into(),
        };
        // It may be gone already, which is as good.
        drop(self.0.close(Some(farewell)).await);
        while let Some(Ok(_)) = self.0.next().await {}
    }
}

const ANOTHER_SERVER: &str = "a WebSocket server answers, but it is not this relay";

/// A failed handshake in words.
fn unopened(target: &Target, error: &OpenError) -> Note {
    match error {
        OpenError::Request(error) => Note::fail(format!("{target} cannot be asked for: {error}")),
        OpenError::Answered(answer) => answer::explain(target, answer),
        OpenError::Closed => or_wants_tls(
            target,
            Note::fail("the connection is closed without an answer"),
            "something else listens there, or a firewall ends the connection",
        ),
        OpenError::HttpVersion => or_wants_tls(
            target,
            Note::fail("what answers there speaks another HTTP than version 1.1"),
            "another program than the relay listens there, or a proxy on the way asks in HTTP/1.0",
        ),
        OpenError::NotHttp => or_wants_tls(
            target,
            Note::fail("what answers there does not speak HTTP"),
            "another program than the relay listens on this port",
        ),
        OpenError::Protocol(why) => Note::fail(format!("the handshake is broken: {why}"))
            .means("a proxy on the way mangles the handshake, or the server is no WebSocket one"),
        OpenError::Connection(error) => broken(error),
    }
}

/// What a failure means that a port for TLS may also answer plain HTTP with.
fn or_wants_tls(target: &Target, note: Note, means: &str) -> Note {
    if target.place == Place::Outside && !target.url.tls {
        note.means(format!("{means}; or the port wants TLS"))
            .next("the same check with wss:// in place of ws://")
    } else {
        note.means(means)
    }
}

/// A connection that ended without a Close.
fn broken(error: &Error) -> Note {
    match error {
        Error::Io(error) if TooMuch::is_in(error) => return flood(),
        Error::Capacity(_) | Error::AttackAttempt => return flood(),
        _ => {}
    }
    Note::fail(format!("the connection broke: {error}"))
        .means("the relay or a proxy on the way was stopped, or a firewall ended the connection")
}

/// A connection that was closed by the other side.
fn closed(frame: Option<&CloseFrame>) -> Note {
    let Some(CloseFrame { code, reason }) = frame else {
        return Note::fail("the other side closed the connection without a reason")
            .means("the relay or a proxy on the way was stopped");
    };
    let code = u16::from(*code);
    let shown = format!("closed with {code} \"{}\"", cut(reason));
    // Proxies have reasons of their own, but mean the same by these codes.
    let by = |ending: Ending| ending.close_code() == Some(code);
    if by(Ending::ServerShutdown) {
        restarting()
    } else if by(Ending::MessageTooBig) {
        Note::warn(shown)
            .means(
                "RELAY_MAX_MSG_SIZE or RELAY_MAX_RECEIVER_MSG_SIZE there is less than the message this \
                 check sends (1 MiB)",
            )
            .next("a higher limit, if clients are to share more")
    } else if by(Ending::BuffersFull) {
        Note::warn(shown).means(
            "no memory is left for messages: RELAY_MAX_BUFFERED is in use, or this address's part",
        )
    } else {
        Note::fail(shown).means("the relay, or a proxy on the way, ended the session")
    }
}

fn restarting() -> Note {
    Note::warn("the relay is stopping or restarting")
        .means("sessions end with it; clients are told to come back")
        .next("the same check in half a minute")
}

/// A reply that is not `what` was waited for.
fn unexpected(reply: &Reply, what: &str) -> Note {
    let Reply::Error {
        reason,
        retry_after,
    } = reply
    else {
        return Note::fail(format!("{what} was due, and something else came"));
    };
    match Ending::from_name(reason) {
        Some(Ending::RateLimited) => {
            let wait = retry_after.map_or("a minute".to_owned(), |it| format!("{it} s"));
            Note::warn(format!("the relay wants us to wait for {wait} ({reason})"))
                .means(
                    "this address has spent its budget of requests: often a proxy that names no \
                 client, so that all share one",
                )
                .next(format!(
                    "the same check in {wait}; RELAY_TRUSTED_PROXIES, X-Forwarded-For"
                ))
        }
        Some(Ending::TooManyRooms) => Note::warn("the relay is full: RELAY_MAX_ROOMS are open")
            .means("it works, but nobody can open a room until another closes")
            .next("a higher RELAY_MAX_ROOMS, or a shorter RELAY_ROOM_TTL"),
        Some(Ending::AddressRooms) => Note::warn("this address has RELAY_ADDRESS_ROOMS open")
            .means("others can open rooms; where all seem to have this address, a proxy names none")
            .next("RELAY_TRUSTED_PROXIES, X-Forwarded-For; or a higher RELAY_ADDRESS_ROOMS"),
        Some(Ending::RoomNotFound) => Note::fail(format!(
            "the room just created is not found there ({reason})"
        ))
        .means("another relay answers there than the one that opened the room")
        .next("ss -ltnp | grep claude-distill   (one relay for one name, with RELAY_WORKERS)"),
        Some(Ending::ServerShutdown) => restarting(),
        _ => Note::fail(format!(
            "{what} was due, and an error came: {:?}",
            cut(reason)
        )),
    }
}
