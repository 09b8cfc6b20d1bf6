//! What follows from what the members of a room do, as data: the registry carries it out.

use std::{collections::HashMap, fmt, time::Instant};

use foldhash::fast::RandomState;
use relay_wire::{code::RoomCode, ending::Ending, reply::Reply};

use crate::flow::data::Delivery;

/// A session, for as long as the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// Something for each session. Nobody but the relay chooses the numbers, so that a quick hash will
/// do: each frame is looked up twice.
pub type BySession<T> = HashMap<SessionId, T, RandomState>;

/// Something to be done about a session.
#[derive(Debug)]
pub enum Effect {
    /// Send it this word of the relay's.
    Reply(SessionId, Reply),
    /// Write it this, which its peer sent.
    Deliver(SessionId, Delivery),
    /// Ping it, and report when the answer has come.
    Ping(SessionId),
    /// Close it, after what it is still to get; it is in no room any more.
    Close(SessionId, Ending),
    /// Count so many bytes of a sender's that go nowhere.
    Dropped(Dropped, usize),
    /// This room is open: to be logged and counted.
    Opened(RoomCode),
    /// This room is closed: to be logged and counted.
    Closed(Summary),
}

/// Why what a sender sent goes to nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// Nobody is paired with it.
    NoPeer,
    /// It was for a receiver that is gone, or may have been.
    ReceiverGone,
    /// It ends a message that began before this receiver came.
    TailOfMessage,
}

impl Dropped {
    /// Every reason there is.
    pub const ALL: [Self; 3] = [Self::NoPeer, Self::ReceiverGone, Self::TailOfMessage];

    /// Its metric label.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoPeer => "no_peer",
            Self::ReceiverGone => "receiver_gone",
            Self::TailOfMessage => "tail_of_message",
        }
    }
}

/// A room's life, for the log.
#[derive(Debug)]
pub struct Summary {
    /// Which room.
    pub code: RoomCode,
    /// When it was opened.
    pub opened: Instant,
    /// Why it closed.
    pub ending: Ending,
    /// Receivers that were paired.
    pub receivers: u64,
    /// Bytes forwarded to receivers, frame headers included.
    pub to_receivers: u64,
    /// Bytes forwarded to the sender, frame headers included.
    pub to_sender: u64,
}

impl Summary {
    /// The log line, for a room that closes at `now`.
    pub fn at(&self, now: Instant) -> impl fmt::Display {
        let age = now.duration_since(self.opened).as_secs();
        format!(
            "room {} closed: {} after {age} s, {} receivers, {} bytes to them, {} bytes back",
            self.code,
            self.ending.name(),
            self.receivers,
            self.to_receivers,
            self.to_sender,
        )
    }
}
