//! Every way a handshake, a request, a session or a room ends: one table.
//!
//! Each row has the name of an ending, which is at once its reason on the wire, its label in the
//! metrics and its word in the log; how the client learns of it; whether a client does well to come
//! back; and one sentence for a person, where the client is told one. A test looks for the names and
//! close codes that clients are told in PROTOCOL.md.

use serde::{Serialize, Serializer};

/// How a client learns of an ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// The handshake is answered with the sentence and this HTTP status, in place of 101; where HTTP
    /// has a status for just what is wrong, such as 405 for another method, with that.
    Http(u16),
    /// By an `ERROR`; the session goes on.
    Error,
    /// By a Close frame with this code (RFC 6455 §7.4) and the name as its text; where there is a
    /// sentence, an `ERROR` comes before it.
    Close(u16),
    /// Its own Close is answered with its own code (RFC 6455 §5.5.1).
    Echo,
    /// Not at all: the connection ends.
    Nothing,
}

/// Whether a client that meets an ending should try again by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same attempt may well succeed a little later.
    Later,
    /// The same attempt would end the same way.
    No,
}

macro_rules! endings {
    ($(
        #[doc = $doc:literal]
        $variant:ident = $name:literal, $told:expr, $retry:expr, $sentence:literal;
    )+) => {
        /// Why a handshake, a request, a session or a room has ended.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Ending {
            $(#[doc = $doc] $variant,)+
        }

        impl Ending {
            /// Every ending there is.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            const fn row(self) -> Row {
                match self {
                    $(Self::$variant => Row {
                        name: $name,
                        told: $told,
                        retry: $retry,
                        sentence: $sentence,
                    },)+
                }
            }
        }
    };
}

struct Row {
    name: &'static str,
    told: Told,
    retry: Retry,
    /// Empty where nobody is told one.
    sentence: &'static str,
}

use Retry::{Later, No};
use Told::{Close, Echo, Error, Http, Nothing};

endings! {
    // Handshakes.
    /// The request asks for no WebSocket.
    NotAWebSocket = "not_a_websocket", Http(426), No,
        "This is claude-distill-relay. Connect to it with a WebSocket client.";
    /// The request breaks a rule of RFC 6455 §4.2.1 for handshakes.
    BadHandshake = "bad_handshake", Http(400), No,
        "This is claude-distill-relay. Connect to it with a WebSocket client.";
    /// The request is of a web page that `RELAY_ALLOWED_ORIGINS` does not allow.
    OriginNotAllowed = "origin_not_allowed", Http(403), No,
        "Web pages of this origin may not use this relay (RELAY_ALLOWED_ORIGINS).";
    /// The request shows none of the keys of `RELAY_ACCESS_KEYS`.
    AccessKeyRequired = "access_key_required", Http(401), No,
        "This relay is for those who have an access key: give yours as ?key=KEY in the URL, as a Bearer \
         token, or as the URL's user and password.";
    /// The operator has blocked the client's address.
    AddressBlocked = "address_blocked", Http(403), No,
        "The relay's operator has blocked this address.";
    /// The request is for a page that only the relay's operator sees (`RELAY_METRICS_ALLOW`).
    PageNotAllowed = "page_not_allowed", Http(403), No,
        "Only the relay's operator sees this page: directly, and from an address of RELAY_METRICS_ALLOW.";
    /// The head of a request is longer than any that is answered, or has more headers.
    HeadTooLarge = "head_too_large", Http(431), No,
        "The head of a request may have 16 KiB and 96 headers.";
    /// No whole head of a request came in time.
    HandshakeTimeout = "handshake_timeout", Http(408), No,
        "No whole request came in time.";
    /// A newcomer has taken the place of a connection that had not become a session yet.
    TooManyHandshakes = "too_many_handshakes", Http(503), Later,
        "Too many others are connecting; try again in a moment.";
    /// `RELAY_MAX_SESSIONS` are open.
    RelayFull = "relay_full", Http(503), Later,
        "The relay is full; try again in a moment.";
    /// The client's address has `RELAY_ADDRESS_SESSIONS` open.
    AddressSessions = "address_sessions", Http(429), Later,
        "Your address has too many connections here; try again in a moment.";
    /// The request comes as a node of the relay's cluster does, and is of none.
    NotANode = "not_a_node", Http(403), No,
        "This is no node of this relay's cluster.";
    /// The relay is about to stop, and nobody else accepts its connections.
    RelayRestarting = "relay_restarting", Http(503), Later,
        "The relay is restarting; try again in a moment.";
    // Requests.
    /// No request the relay knows.
    InvalidRequest = "invalid_request", Error, No,
        "Send a JSON object of at most 4096 bytes with \"type\" CREATE_ROOM, or with \"type\" JOIN_ROOM \
         and the code as the string \"room_id\".";
    /// No open room has this code.
    RoomNotFound = "room_not_found", Error, No,
        "There is no open room with this code.";
    /// `RELAY_MAX_QUEUE` receivers wait in the room already.
    RoomFull = "room_full", Error, Later,
        "Too many receivers are waiting in this room.";
    /// `RELAY_MAX_ROOMS` are open.
    TooManyRooms = "too_many_rooms", Error, Later,
        "The relay has no room to spare right now.";
    /// The client's address has `RELAY_ADDRESS_ROOMS` open.
    AddressRooms = "address_rooms", Error, Later,
        "Your address has too many rooms here right now.";
    /// No node of the cluster that answers has a room of this code, and one that may have it is not reached.
    ClusterUnavailable = "cluster_unavailable", Error, Later,
        "Not all of the relay's machines can be reached; try again in a moment.";
    /// A sender that is paired with nobody has sent data, which was dropped.
    NoPeer = "no_peer", Error, No,
        "No receiver is here; what you sent was dropped.";
    // Requests and sessions.
    /// A budget of requests, or of wrong codes, is spent.
    RateLimited = "rate_limited", Close(1008), Later,
        "Too many requests; wait before you try again.";
    /// No request came within `RELAY_REQUEST_TIMEOUT`.
    RequestTimeout = "request_timeout", Close(1008), No,
        "No request came in time.";
    // Rooms, and their sessions.
    /// The room's sender has left.
    SenderDisconnected = "sender_disconnected", Close(1001), No,
        "The sender has left.";
    /// The room's time is up.
    RoomExpired = "room_expired", Close(1001), No,
        "The room's time is up.";
    /// The operator has ended the room.
    EndedByOperator = "ended_by_operator", Close(1008), No,
        "The relay's operator has ended this room.";
    /// The relay stops.
    ServerShutdown = "server_shutdown", Close(1012), Later,
        "The relay is restarting; try again in a moment.";
    /// The room's sender has taken it up again on another connection.
    Replaced = "replaced", Close(1008), No,
        "The sender has taken its room up again on another connection.";
    // Sessions.
    /// A paired receiver's sender is away, and may come back to its room.
    SenderAway = "sender_away", Close(1013), Later, "";
    /// The node that has the receiver's room is not reached any more.
    NodeLost = "node_lost", Close(1012), Later, "";
    /// The operator has blocked the address of an open session.
    Blocked = "blocked", Close(1008), No, "";
    /// The relay has no memory for a receiver's long message.
    BuffersFull = "relay_buffers_full", Close(1013), Later, "";
    /// The share of the receiver's address in that memory is spent.
    AddressBuffers = "address_buffers", Close(1013), Later, "";
    /// A receiver and its sender have moved no data for `RELAY_PAIR_IDLE`.
    PairIdle = "pair_idle", Close(1008), Later, "";
    /// A receiver gave no sign of taking anything for half of `RELAY_STALL_TIMEOUT`; others waited.
    GaveWay = "gave_way", Close(1008), Later, "";
    /// The access key that the session has come with is no longer one, or it has come without and one is asked for now.
    AccessKeyWithdrawn = "access_key_withdrawn", Close(1008), No, "";
    /// No Pong came within `RELAY_PING_TIMEOUT`.
    PingTimeout = "ping_timeout", Close(1008), No, "";
    /// A client's frame has no mask (RFC 6455 §5.1).
    UnmaskedFrame = "unmasked_frame", Close(1002), No, "";
    /// A reserved bit is set where no extension has given it a meaning (RFC 6455 §5.2, RFC 7692 §6).
    ReservedBits = "reserved_bits", Close(1002), No, "";
    /// An opcode has no meaning (RFC 6455 §5.2).
    UnknownOpcode = "unknown_opcode", Close(1002), No, "";
    /// A length has its top bit set (RFC 6455 §5.2).
    BadLength = "bad_length", Close(1002), No, "";
    /// A control frame comes in fragments, or has more than 125 bytes (RFC 6455 §5.5).
    BadControlFrame = "bad_control_frame", Close(1002), No, "";
    /// A continuation continues nothing, or a message begins inside another (RFC 6455 §5.4).
    FragmentOutOfOrder = "fragment_out_of_order", Close(1002), No, "";
    /// A Close frame's payload is no code and text (RFC 6455 §5.5.1, §7.4).
    BadCloseFrame = "bad_close_frame", Close(1002), No, "";
    /// Text is not UTF-8 (RFC 6455 §8.1).
    InvalidUtf8 = "invalid_utf8", Close(1007), No, "";
    /// A compressed message is none (RFC 7692 §7.2.2), or has more behind its end.
    BadCompression = "bad_compression", Close(1007), No, "";
    /// A message is over `RELAY_MAX_MSG_SIZE` or, of a receiver, `RELAY_MAX_RECEIVER_MSG_SIZE`.
    MessageTooBig = "message_too_big", Close(1009), No, "";
    /// More control frames and empty fragments came than any library sends.
    ControlFlood = "control_flood", Close(1008), No, "";
    /// The client has closed the session.
    PeerClosed = "peer_closed", Echo, No, "";
    /// The connection has ended without a Close.
    PeerVanished = "peer_vanished", Nothing, No, "";
    /// The client has accepted no bytes for `RELAY_STALL_TIMEOUT`.
    Stalled = "stalled", Nothing, No, "";
    /// A fault of the relay's own has ended the session.
    Panicked = "panicked", Nothing, Later, "";
}

impl Ending {
    /// Its reason on the wire, its label in the metrics and its word in the log.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// How the client learns of it.
    pub const fn told(self) -> Told {
        self.row().told
    }

    /// Whether a client that meets it should try again by itself.
    pub const fn retry(self) -> Retry {
        self.row().retry
    }

    /// One sentence for a person; none where a client is told the name alone, or nothing.
    pub fn sentence(self) -> Option<&'static str> {
        Some(self.row().sentence).filter(|sentence| !sentence.is_empty())
    }

    /// The code of the Close frame that ends the session; `None` where none is sent.
    pub const fn close_code(self) -> Option<u16> {
        match self.told() {
            Close(code) => Some(code),
            Http(_) | Error | Echo | Nothing => None,
        }
    }

    /// Whether it answers a handshake.
    pub const fn is_of_handshake(self) -> bool {
        matches!(self.told(), Http(_))
    }

    /// Whether a client hears of it in an `ERROR`.
    pub fn is_error(self) -> bool {
        self.sentence().is_some() && !self.is_of_handshake()
    }

    /// Whether a session can end with it.
    pub const fn ends_session(self) -> bool {
        matches!(self.told(), Close(_) | Echo | Nothing)
    }

    /// Whether a room can end with it.
    pub const fn ends_room(self) -> bool {
        matches!(
            self,
            Self::SenderDisconnected
                | Self::RoomExpired
                | Self::EndedByOperator
                | Self::ServerShutdown
        )
    }

    /// The ending of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|ending| ending.name() == name)
    }
}

impl Serialize for Ending {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_name_belongs_to_one_ending() {
        let names: HashSet<_> = Ending::ALL.iter().map(|ending| ending.name()).collect();
        assert_eq!(names.len(), Ending::ALL.len());
        for &ending in Ending::ALL {
            assert_eq!(Ending::from_name(ending.name()), Some(ending));
            let json = serde_json::to_string(&ending).unwrap();
            assert_eq!(json, format!("\"{}\"", ending.name()));
        }
        assert_eq!(Ending::from_name("nothing_of_ours"), None);
    }

    #[test]
    fn every_ending_is_one_of_a_handshake_a_request_or_a_session() {
        for &ending in Ending::ALL {
            let kinds = [
                ending.is_of_handshake(),
                ending.told() == Error,
                ending.ends_session(),
            ];
            let count = kinds.into_iter().filter(|&kind| kind).count();
            assert_eq!(count, 1, "{}", ending.name());
            assert!(!ending.ends_room() || ending.ends_session());
        }
    }

    #[test]
    fn what_a_client_is_told_follows_from_the_row() {
        let told = |ending: Ending| {
            let sentence = ending.sentence();
            (sentence, ending.close_code(), ending.is_error())
        };
        let full = Some("The relay is full; try again in a moment.");
        assert_eq!(told(Ending::RelayFull), (full, None, false));
        let unknown = Some("There is no open room with this code.");
        assert_eq!(told(Ending::RoomNotFound), (unknown, None, true));
        let late = Some("No request came in time.");
        assert_eq!(told(Ending::RequestTimeout), (late, Some(1008), true));
        assert_eq!(told(Ending::BuffersFull), (None, Some(1013), false));
        assert_eq!(told(Ending::PeerClosed), (None, None, false));
        assert_eq!(told(Ending::Stalled), (None, None, false));
    }

    #[test]
    fn who_is_told_by_a_sentence_has_one() {
        for &ending in Ending::ALL {
            if ending.is_of_handshake() || ending.told() == Error || ending.ends_room() {
                assert!(ending.sentence().is_some(), "{}", ending.name());
            }
        }
    }

    #[test]
    fn a_room_ends_with_its_sender_its_time_its_operator_or_the_relay() {
        let all = Ending::ALL.iter().copied();
        let of_rooms: Vec<_> = all.filter(|ending| ending.ends_room()).collect();
        let expected = [
            Ending::SenderDisconnected,
            Ending::RoomExpired,
            Ending::EndedByOperator,
            Ending::ServerShutdown,
        ];
        assert_eq!(of_rooms, expected);
    }

    /// PROTOCOL.md names every ending that a client is told of, with its close code.
    #[test]
    fn the_protocol_page_has_every_row() {
        let page = include_str!("../../../PROTOCOL.md");
        let rows: Vec<_> = page.lines().filter(|line| line.starts_with('|')).collect();
        for &ending in Ending::ALL {
            let name = format!("`{}`", ending.name());
            let mut named = rows.iter().filter(|row| row.contains(&name));
            match ending.told() {
                Close(code) => {
                    let code = code.to_string();
                    assert!(named.any(|row| row.contains(&code)), "{name} with {code}");
                }
                Error => assert!(named.next().is_some(), "{name}"),
                Http(_) | Echo | Nothing => {}
            }
        }
    }

    /// OPERATING.md has those that no client is told by their name.
    #[test]
    fn the_operators_page_has_the_others() {
        let page = include_str!("../../../OPERATING.md");
        let rows: Vec<_> = page.lines().filter(|line| line.starts_with('|')).collect();
        for &ending in Ending::ALL {
            if let Http(_) | Echo | Nothing = ending.told() {
                let name = format!("`{}`", ending.name());
                assert!(rows.iter().any(|row| row.contains(&name)), "{name}");
            }
        }
    }
}
