//! What nodes say to each other over NATS, and when one visits another's room.

use std::net::IpAddr;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::secret::{Keys, Purpose};
use crate::limits::rules::{Decided, Fingerprint};

/// The name of one process: another one at the same address is another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeId(Uuid);

impl NodeId {
    /// A name nobody has had.
    pub(super) fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The name as a part of a subject.
    pub(super) fn token(self) -> String {
        self.0.simple().to_string()
    }
}

/// One of the relays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub id: NodeId,
    /// Where the others reach it.
    pub address: String,
}

/// What a node tells all others.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Word {
    /// It is here, and the operator's decisions that it knows have this fingerprint. Whoever hears `asks` says
    /// so too.
    Here {
        node: Node,
        asks: bool,
        /// For how long it has run, in milliseconds.
        up: u64,
        decided: Fingerprint,
        /// For how many seconds the last of its rooms may still be joined.
        rooms: u64,
    },
    /// It leaves, and has no room that may be joined any more.
    Gone(NodeId),
    /// A client of this network has tried a code that nobody has.
    WrongCode { from: NodeId, client: IpAddr },
    /// The operator has decided this there.
    Decided { from: NodeId, decided: Decided },
}

/// What a node tells one other.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Letter {
    /// The answer to a question.
    Answer(Answer),
    /// What it knows of the operator's decisions, or a part of that: the other knows something else.
    Decided(Decided),
}

/// Why a node asks for a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Why {
    /// A client wants to join it.
    Join,
    /// Its sender wants to take it up again.
    Resume,
    /// A room is to be opened under its code, unless somebody has it.
    Open,
}

/// A question to all nodes, the asking one included: who has the room that the subject names?
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Question {
    pub(super) from: NodeId,
    pub(super) number: u64,
    pub(super) why: Why,
}

/// The answer of one node.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) from: NodeId,
    pub(super) number: u64,
    /// Where to join the room, if this node has it.
    pub(super) has: Option<Invitation>,
}

/// What lets one visit in, once, within seconds.
pub(super) type Ticket = [u8; 16];

/// Where to join a room, and with which ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Invitation {
    pub(super) address: String,
    pub(super) ticket: Ticket,
}

/// What a node that comes for its client says in its handshake.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Visit {
    /// It only wants to know who is there.
    Probe,
    /// It brings a client.
    Client { ticket: Ticket, guest: Guest },
}

/// A client whose room is on another node than the client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// The code that it has.
    pub code: String,
    /// Its address.
    pub client: IpAddr,
    /// Whether it has compression.
    pub compression: bool,
    /// Whether it wants to hear of its place in the queue.
    pub queue_updates: bool,
    /// The token by which it takes up its room again, where that is what it wants.
    pub resume: Option<String>,
    /// Pings that it was sent, whose Pongs may still come.
    pub pings: u64,
}

/// What a node that is visited proves itself with.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Welcome {
    /// Which it is.
    pub(super) id: NodeId,
    /// Whether it is about to leave, and has no room that may be joined.
    pub(super) leaves: bool,
    /// The key of the handshake that it answers (RFC 6455 §4.1).
    pub(super) key: String,
}

impl Keys {
    /// Seals a word that goes to this place.
    pub(super) fn say(&self, purpose: Purpose, place: &str, word: &impl Serialize) -> Vec<u8> {
        // Strings, numbers and lists of them: there is nothing that could fail to serialise.
        let text = serde_json::to_vec(word).unwrap_or_default();
        self.seal(purpose, place, &text)
    }

    /// Opens a word that has come to this place; `None` where it is none, or of a stranger. With its number among those
    /// of its node.
    pub(super) fn hear<T: DeserializeOwned>(
        &self,
        purpose: Purpose,
        place: &str,
        sealed: &[u8],
    ) -> Option<(u64, T)> {
        let (number, text) = self.open(purpose, place, sealed)?;
        Some((number, serde_json::from_slice(&text).ok()?))
    }
}
