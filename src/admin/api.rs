//! What the socket is asked and what it answers. Rates are those of the second before the answer, sizes are
//! bytes, and addresses are as clients are counted: an IPv4 address, or an IPv6 /64.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    cluster::view::View,
    limits::{network::Network, rules::Decided},
};

/// Rows of a list that an answer has at most: the busiest.
pub(super) const MOST_ROWS: usize = 1000;

/// How much there is, of how much there may be.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Of {
    pub(super) now: u64,
    pub(super) most: u64,
}

/// How the relay is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Status {
    pub(super) version: String,
    pub(super) uptime_seconds: u64,
    pub(super) stopping: bool,
    /// A sentence for each thing that is not well.
    pub(super) troubles: Vec<String>,
    pub(super) sessions: Of,
    pub(super) rooms: Of,
    pub(super) buffered_bytes: Of,
    pub(super) pairs: u64,
    /// Receivers that wait for their turn.
    pub(super) waiting: u64,
    pub(super) received_bytes: u64,
    pub(super) sent_bytes: u64,
    pub(super) received_bytes_per_sec: u64,
    pub(super) sent_bytes_per_sec: u64,
    pub(super) handshakes_per_sec: u64,
    /// How many transfers are slow for which reason.
    pub(super) slow: SlowCounts,
    pub(super) refusals: Vec<Refused>,
    pub(super) decided: Decided,
    /// Whether what is decided outlives a restart, by how it was read or written last.
    pub(super) kept: bool,
    /// The other relays, where this one is one of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cluster: Option<View>,
    /// The busiest addresses and rooms.
    pub(super) clients: Vec<Client>,
    pub(super) busiest_rooms: Vec<Room>,
}

/// What was refused for one reason.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Refused {
    pub(super) reason: String,
    /// Since the relay began.
    pub(super) count: u64,
    pub(super) per_sec: u64,
}

/// Why a transfer goes no faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Slow {
    /// The sender takes its time.
    Sender,
    /// The receiver does.
    Receiver,
    /// Each of them, with what the other says.
    Both,
    /// One of them is read only so fast.
    Limit,
}

/// Transfers, by what makes them slow.
#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
pub(super) struct SlowCounts {
    pub(super) sender: u64,
    pub(super) receiver: u64,
    pub(super) both: u64,
    pub(super) limit: u64,
}

/// The rooms.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RoomList {
    /// How many there are; the list has those that matter most.
    pub(super) count: u64,
    pub(super) rooms: Vec<Room>,
}

/// One room.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Room {
    /// The short hash that the log has as well, there with a `#` in front.
    pub(super) room: String,
    pub(super) age_seconds: u64,
    /// Whether it can be joined.
    pub(super) open: bool,
    /// Whether it is that of a check of this relay.
    pub(super) check: bool,
    /// Its sender's address, and that of the receiver that is paired with it.
    pub(super) sender: Option<String>,
    pub(super) receiver: Option<String>,
    /// Receivers that were paired, and receivers that wait for their turn.
    pub(super) receivers: u64,
    pub(super) waiting: u64,
    /// Payload that passed to receivers, and from them.
    pub(super) down_bytes: u64,
    pub(super) up_bytes: u64,
    /// Payload that the systems of the two have taken, where that is known.
    pub(super) down_bytes_per_sec: Option<u64>,
    pub(super) up_bytes_per_sec: Option<u64>,
    /// Payload for the present receiver that its system has not taken yet.
    pub(super) untaken_bytes: u64,
    /// Which side is slow, where anything moves or waits.
    pub(super) slow: Option<Slow>,
}

/// Who uses the relay.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Who {
    /// How many addresses are known; the list has those with the largest shares.
    pub(super) count: u64,
    pub(super) clients: Vec<Client>,
}

/// One client address, or an IPv6 /48 that several of them are in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Client {
    pub(super) address: String,
    pub(super) sessions: u64,
    pub(super) rooms: u64,
    /// Handshakes since the address is known, and what it was refused: those, or requests.
    pub(super) handshakes: u64,
    pub(super) refused: u64,
    /// Bytes read from its sessions and written to them, since it is known.
    pub(super) received_bytes: u64,
    pub(super) sent_bytes: u64,
    pub(super) received_bytes_per_sec: u64,
    pub(super) sent_bytes_per_sec: u64,
    pub(super) handshakes_per_sec: u64,
    /// The largest part that it has of anything, in percent, and of what.
    pub(super) share_percent: u64,
    pub(super) share_of: Share,
    /// What was decided of it, if anything.
    pub(super) decided: Option<Verdict>,
}

impl Client {
    /// Adds what another has.
    pub(super) fn add(&mut self, other: &Self) {
        self.sessions += other.sessions;
        self.rooms += other.rooms;
        self.handshakes += other.handshakes;
        self.refused += other.refused;
        self.received_bytes += other.received_bytes;
        self.sent_bytes += other.sent_bytes;
        self.received_bytes_per_sec += other.received_bytes_per_sec;
        self.sent_bytes_per_sec += other.sent_bytes_per_sec;
        self.handshakes_per_sec += other.handshakes_per_sec;
    }
}

/// What an address may have a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Share {
    Sessions,
    Rooms,
    /// Bytes of the second before the answer.
    Bytes,
    /// Handshakes of the second before the answer.
    Handshakes,
}

/// What was decided of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    Blocked,
    Limited,
}

/// How many of the busiest to list; or as many as is the path's habit.
#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Rows {
    pub(super) rows: Option<usize>,
}

/// Which room to end: by its short name, or by more digits of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    pub(super) room: String,
}

/// Whom to block, and for how long; for good where that is not said.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Blocking {
    pub(super) network: Network,
    pub(super) seconds: Option<u64>,
    /// Whether also one whose addresses stand for everybody.
    #[serde(default)]
    pub(super) force: bool,
}

/// Whom to unblock.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Unblocking {
    pub(super) network: Network,
}

/// Whom to limit, and to what; 0 is no limit.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limiting {
    pub(super) network: Network,
    pub(super) bytes_per_sec: u64,
}

/// What to log, in the syntax of `RUST_LOG`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Logging {
    pub(super) filter: String,
}

/// What was done.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(super) struct Done {
    /// The same in words.
    pub(super) said: String,
    /// Whom it is about, and until when it holds, where it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) network: Option<Network>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) until: Option<Timestamp>,
    /// Sessions that ended for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ended: Option<u64>,
    /// Whether it outlives a restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kept: Option<bool>,
    /// Other nodes of the cluster that are told, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) nodes: Option<u64>,
}

/// Why something was not done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct NotDone {
    pub(super) error: String,
}
