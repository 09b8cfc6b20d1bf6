//! What the relay and its clients say to each other before the pipe opens, and what a close means:
//! the tables of PROTOCOL.md, in one place. No I/O, and no decision about when to say what.

use actix_web_actors::ws::CloseCode;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::HashMap;
use uuid::Uuid;

use crate::transport::frame::{self, Opcode};

/// The longest request, in bytes.
pub const MAX_REQUEST: usize = 4096;

/// What a session may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `CREATE_ROOM`: to be the sender of a new room.
    Create,
    /// `JOIN_ROOM`: to be a receiver in the room of this code, as typed by a person. What is no
    /// string at all can be no code either, and comes as an empty one.
    Join(String),
}

impl Request {
    /// Reads a request; `None` for what is not JSON, not an object, or of no known `type`.
    pub fn parse(message: &[u8]) -> Option<Self> {
        // What other fields hold is not looked into.
        let fields: HashMap<String, &RawValue> = serde_json::from_slice(message).ok()?;
        let text = |name| serde_json::from_str::<String>(fields.get(name)?.get()).ok();
        match text("type")?.as_str() {
            "CREATE_ROOM" => Some(Self::Create),
            "JOIN_ROOM" => Some(Self::Join(text("room_id").unwrap_or_default())),
            _ => None,
        }
    }
}

/// Why something was refused or has ended: the `reason` of an `ERROR`, and its metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// No request the relay knows.
    InvalidRequest,
    /// No such room, for whatever reason.
    RoomNotFound,
    /// The room's queue is full.
    RoomFull,
    /// `RELAY_MAX_ROOMS` are open.
    TooManyRooms,
    /// The session's or its address's budget of requests is spent.
    RateLimited,
    /// No request in time.
    RequestTimeout,
    /// The sender left while the receiver was queued.
    SenderDisconnected,
    /// The room's time is up.
    RoomExpired,
    /// Data from a sender nobody is paired with.
    NoPeer,
    /// The relay stops.
    ServerShutdown,
}

impl Reason {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::RoomNotFound => "room_not_found",
            Self::RoomFull => "room_full",
            Self::TooManyRooms => "too_many_rooms",
            Self::RateLimited => "rate_limited",
            Self::RequestTimeout => "request_timeout",
            Self::SenderDisconnected => "sender_disconnected",
            Self::RoomExpired => "room_expired",
            Self::NoPeer => "no_peer",
            Self::ServerShutdown => "server_shutdown",
        }
    }

    /// One sentence for a person.
    fn message(self) -> &'static str {
        match self {
            Self::InvalidRequest => {
                "Send a JSON object with \"type\" CREATE_ROOM or JOIN_ROOM, of at most 4096 bytes."
            }
            Self::RoomNotFound => "There is no open room with this code.",
            Self::RoomFull => "Too many receivers are waiting in this room.",
            Self::TooManyRooms => "The relay has no room to spare right now.",
            Self::RateLimited => "Too many requests; wait before you try again.",
            Self::RequestTimeout => "No request came in time.",
            Self::SenderDisconnected => "The sender has left.",
            Self::RoomExpired => "The room's time is up.",
            Self::NoPeer => "No receiver is here; what you sent was dropped.",
            Self::ServerShutdown => "The relay is restarting; try again in a moment.",
        }
    }

    /// How the session ends with it; `None` where the client may go on.
    pub fn close(self) -> Option<Close> {
        let code = match self {
            Self::RateLimited | Self::RequestTimeout => CloseCode::Policy,
            Self::SenderDisconnected | Self::RoomExpired => CloseCode::Away,
            Self::ServerShutdown => CloseCode::Restart,
            Self::InvalidRequest
            | Self::RoomNotFound
            | Self::RoomFull
            | Self::TooManyRooms
            | Self::NoPeer => return None,
        };
        let reason = self.name();
        Some(Close { code, reason })
    }
}

/// A close the relay makes of its own accord. Whoever gets 1012 or 1013 does well to come back;
/// the rest would meet the same end again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Close {
    /// The code (RFC 6455 §7.4).
    pub code: CloseCode,
    /// The reason text, and its metric label.
    pub reason: &'static str,
}

impl Close {
    /// To a paired receiver: its sender has left, and everything it sent has been delivered.
    pub const SENDER_DISCONNECTED: Self = Self::new(CloseCode::Away, "sender_disconnected");
    /// To a paired receiver: the relay stops.
    pub const SERVER_SHUTDOWN: Self = Self::new(CloseCode::Restart, "server_shutdown");
    /// To a receiver whose message there is no memory for.
    pub const OUT_OF_BUFFERS: Self = Self::new(CloseCode::Again, "relay_buffers_full");
    /// No sign of life.
    pub const PING_TIMEOUT: Self = Self::new(CloseCode::Policy, "ping_timeout");

    const fn new(code: CloseCode, reason: &'static str) -> Self {
        Self { code, reason }
    }

    /// The Close frame.
    pub fn encode(&self) -> Vec<u8> {
        frame::encode_close(self.code, self.reason)
    }
}

/// What the relay tells a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Reply {
    /// The room is open.
    RoomCreated {
        /// Its code.
        room_id: String,
        /// Seconds it lives.
        expires_in: u64,
    },
    /// The receiver is in, paired or queued.
    RoomJoined {
        /// The code, as the relay writes it.
        room_id: String,
    },
    /// A receiver is paired with the sender.
    PeerJoined {
        /// Its name.
        peer_id: PeerId,
    },
    /// That receiver is gone.
    PeerDisconnected {
        /// Its name.
        peer_id: PeerId,
    },
    /// A refusal, or an end.
    Error {
        /// Why, for a program.
        reason: Reason,
        /// Why, for a person.
        message: &'static str,
        /// Whole seconds to wait.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
    },
}

impl From<Reason> for Reply {
    fn from(reason: Reason) -> Self {
        Self::Error {
            reason,
            message: reason.message(),
            retry_after: None,
        }
    }
}

impl Reply {
    /// The refusal for rate, with the time to wait.
    pub fn rate_limited(wait: std::time::Duration) -> Self {
        Self::Error {
            reason: Reason::RateLimited,
            message: Reason::RateLimited.message(),
            // Rounded up: who waits as told is let in.
            retry_after: Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)),
        }
    }

    /// How the session ends with it; `None` where the client may go on.
    pub fn close(&self) -> Option<Close> {
        match self {
            Self::Error { reason, .. } => reason.close(),
            _ => None,
        }
    }

    /// The reply as a text frame.
    pub fn encode(&self) -> Vec<u8> {
        // Strings and numbers alone: there is nothing in a reply that could fail to serialise.
        let json = serde_json::to_vec(self).unwrap_or_default();
        frame::encode(Opcode::Text, &json)
    }
}

/// A receiver's name towards its sender: `conn_` and a UUID, new for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerId(Uuid);

impl PeerId {
    /// A name nobody has had.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

impl Serialize for PeerId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("conn_{}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn requests_are_read_and_everything_else_is_none() {
        let join = |code: &str| Some(Request::Join(code.to_owned()));
        for (message, request) in [
            (r#"{"type":"CREATE_ROOM"}"#, Some(Request::Create)),
            (r#" {"type":"CREATE_ROOM","x":[1]} "#, Some(Request::Create)),
            (r#"{"type":"JOIN_ROOM","room_id":"a7f3b2"}"#, join("a7f3b2")),
            (r#"{"room_id":" A7 ","type":"JOIN_ROOM"}"#, join(" A7 ")),
            (
                r#"{"type":"CREATE_ROOM","x":[1e400,"\ud83d"]}"#,
                Some(Request::Create),
            ),
            (
                r#"{"type":"JOIN_ROOM","room_id":"a","type":"CREATE_ROOM"}"#,
                Some(Request::Create),
            ),
            (r#"{"\u0074ype":"CREATE_\u0052OOM"}"#, Some(Request::Create)),
            (r#"{"type":"CREATE_ROOM","x":[}"#, None),
            (r#"{"type":"CREATE_ROOM"} {}"#, None),
            (r#"{"type":"JOIN_ROOM","room_id":7}"#, join("")),
            (r#"{"type":"JOIN_ROOM"}"#, join("")),
            (r#"{"type":"HELLO"}"#, None),
            (r#"{"type":7}"#, None),
            (r#"{}"#, None),
            (r#"["CREATE_ROOM"]"#, None),
            (r#""CREATE_ROOM""#, None),
            ("", None),
            ("{\"type\":\"CREATE_ROOM\"", None),
        ] {
            assert_eq!(Request::parse(message.as_bytes()), request, "{message}");
        }
        assert_eq!(Request::parse(b"{\"type\":\"\xff\"}"), None);
        assert_eq!(Request::parse("[".repeat(4096).as_bytes()), None);
    }

    #[test]
    fn replies_read_as_the_protocol_says() {
        let json = |reply: Reply| String::from_utf8_lossy(&reply.encode()[2..]).into_owned();
        let room_id = "a7f3b2".to_owned();
        let created = Reply::RoomCreated {
            room_id: room_id.clone(),
            expires_in: 1800,
        };
        assert_eq!(
            json(created),
            r#"{"type":"ROOM_CREATED","room_id":"a7f3b2","expires_in":1800}"#
        );
        assert_eq!(
            json(Reply::RoomJoined { room_id }),
            r#"{"type":"ROOM_JOINED","room_id":"a7f3b2"}"#
        );
        let peer_id = PeerId(Uuid::nil());
        assert_eq!(
            json(Reply::PeerJoined { peer_id }),
            r#"{"type":"PEER_JOINED","peer_id":"conn_00000000-0000-0000-0000-000000000000"}"#
        );
        assert!(
            json(Reply::from(Reason::RoomFull))
                .starts_with(r#"{"type":"ERROR","reason":"room_full","message":""#)
        );
        let wait = Reply::rate_limited(Duration::from_millis(1001));
        assert!(json(wait).ends_with(r#","retry_after":2}"#));
    }

    #[test]
    fn a_reason_has_one_name() {
        for reason in [
            Reason::InvalidRequest,
            Reason::RoomNotFound,
            Reason::RoomFull,
            Reason::TooManyRooms,
            Reason::RateLimited,
            Reason::RequestTimeout,
            Reason::SenderDisconnected,
            Reason::RoomExpired,
            Reason::NoPeer,
            Reason::ServerShutdown,
        ] {
            let json = serde_json::to_string(&reason).unwrap_or_default();
            assert_eq!(json, format!("\"{}\"", reason.name()));
        }
    }
}
