//! What follows from what the members of a room do, as data: the registry carries it out.

use std::{
    collections::HashMap,
    fmt,
    ops::AddAssign,
    time::{Duration, Instant},
};

use foldhash::fast::RandomState;
use relay_wire::{
    code::RoomCode,
    ending::Ending,
    reply::{PeerId, Reply},
};

use super::outcome::Outcome;
use crate::flow::{data::Delivery, reader::Oversize};

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
    /// Tell it whether others wait for its place.
    Awaited(SessionId, bool),
    /// Close it for this, after what it is still to get; it is in no room any more.
    Close(SessionId, Departure),
    /// This session has opened this room, whose time is up then: to be logged and counted.
    Opened(SessionId, RoomCode, Instant),
    /// This room is without its sender, and waits for it: to be logged and counted.
    Away(Away),
    /// The sender of this room has it again: to be logged and counted.
    Resumed(Resumed),
    /// A receiver has come into a room: to be logged.
    Joined(Joined),
    /// A receiver is paired with its sender: to be noted.
    Paired(Paired),
    /// The first byte of its sender's goes to this receiver.
    Begun(SessionId),
    /// A receiver has left its room: to be logged.
    Left(Visit),
    /// This room is closed: to be logged and counted.
    Closed(Summary),
}

/// How a session leaves its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Departure {
    /// Why.
    pub ending: Ending,
    /// Its message over the limit, where that is why.
    pub oversize: Option<Oversize>,
    /// Whether it has closed by itself and named no fault (RFC 6455 §7.4.1: 1000, or no code).
    pub well: bool,
    /// Bytes of payload that it was given in its room so far, where it has left by itself.
    pub given: Option<u64>,
    /// Bytes of payload that are known to have arrived at it since its session began.
    pub arrived: u64,
}

impl From<Ending> for Departure {
    fn from(ending: Ending) -> Self {
        Self {
            ending,
            oversize: None,
            well: false,
            given: None,
            arrived: 0,
        }
    }
}

impl Departure {
    /// Whether the session did not mean to end, as far as that can be seen, and so may come back: its line was
    /// cut, or it has closed with a code that says so. Who is ended for what it did may not.
    pub fn may_come_back(&self) -> bool {
        match self.ending {
            Ending::PeerClosed => !self.well,
            Ending::PeerVanished | Ending::Stalled | Ending::PingTimeout | Ending::Panicked => true,
            _ => false,
        }
    }
}

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.ending.name())?;
        match self.oversize {
            Some(Oversize { size, limit }) => {
                write!(f, " ({} of {limit} allowed)", counted(size, "byte"))
            }
            None => Ok(()),
        }
    }
}

/// A room that waits for its sender.
#[derive(Debug)]
pub struct Away {
    /// Which room.
    pub code: RoomCode,
    /// Its sender.
    pub sender: SessionId,
    /// How that left.
    pub departure: Departure,
    /// How long the room waits.
    pub grace: Duration,
}

impl fmt::Display for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, sender, departure) = (self.code, self.sender.0, self.departure);
        let grace = self.grace.as_secs();
        write!(
            f,
            "room {code} waits {grace} s for its sender: session {sender} ended with {departure}"
        )
    }
}

/// A room that its sender has again.
#[derive(Debug)]
pub struct Resumed {
    /// Which room.
    pub code: RoomCode,
    /// The session of its sender now.
    pub sender: SessionId,
    /// Whether it was opened anew for that, as this relay did not have it.
    pub anew: bool,
}

impl fmt::Display for Resumed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.anew { "opened anew" } else { "taken up" };
        write!(f, "room {} {how} by session {}", self.code, self.sender.0)
    }
}

/// A receiver that has come into a room, for the log.
#[derive(Debug)]
pub struct Joined {
    /// Which room.
    pub code: RoomCode,
    /// Which receiver.
    pub receiver: SessionId,
    /// Its name towards the sender.
    pub peer: PeerId,
    /// Its place in the queue; 0 where it was paired at once.
    pub place: usize,
}

impl fmt::Display for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {} joined room {}", self.receiver.0, self.code)?;
        match self.place {
            0 => Ok(()),
            place => write!(f, ", number {place} in its queue"),
        }
    }
}

/// A receiver whose turn has come.
#[derive(Debug)]
pub struct Paired {
    /// In which room.
    pub code: RoomCode,
    /// Which receiver.
    pub receiver: SessionId,
    /// Its name towards the sender.
    pub peer: PeerId,
}

/// A receiver's stay in a room, for the log.
#[derive(Debug)]
pub struct Visit {
    /// Which room.
    pub code: RoomCode,
    /// Which receiver.
    pub receiver: SessionId,
    /// Its name towards the sender.
    pub peer: PeerId,
    /// When it joined.
    pub since: Instant,
    /// How its transfer comes out if it is given all of [`Passed::down`], where it was paired with the sender.
    pub outcome: Option<Outcome>,
    /// What passed between it and the sender. Where the sender or the relay has ended the pair, it may still
    /// be given some of it, or go before that.
    pub passed: Passed,
    /// How it left.
    pub departure: Departure,
}

impl Visit {
    /// The log line, for a receiver that leaves at `now`.
    pub fn at(&self, now: Instant) -> impl fmt::Display {
        let (receiver, code, passed) = (self.receiver.0, self.code, self.passed);
        let time = now.duration_since(self.since).as_secs();
        let departure = self.departure;
        fmt::from_fn(move |f| {
            if self.outcome.is_some() {
                write!(
                    f,
                    "session {receiver} left room {code} after {time} s with {departure}; {passed}"
                )?;
                match departure.arrived {
                    0 => Ok(()),
                    bytes => write!(f, "; it has shown that {bytes} arrived"),
                }
            } else {
                write!(
                    f,
                    "session {receiver} left the queue of room {code} after {time} s with {departure}"
                )
            }
        })
    }
}

/// What a pair has said to each other, or all pairs of a room have, in bytes of payload.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// Bytes that went to the receiver.
    pub down: u64,
    /// Bytes that went to the sender.
    pub up: u64,
}

impl AddAssign for Passed {
    fn add_assign(&mut self, other: Self) {
        self.down += other.down;
        self.up += other.up;
    }
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (down, up) = (counted(self.down, "byte"), counted(self.up, "byte"));
        write!(f, "{down} down, {up} up")
    }
}

/// A room's life, for the log.
#[derive(Debug)]
pub struct Summary {
    /// Which room.
    pub code: RoomCode,
    /// Its sender.
    pub sender: SessionId,
    /// When it was opened.
    pub opened: Instant,
    /// Why it closed.
    pub ending: Ending,
    /// How its sender left, where that is why.
    pub departure: Option<Departure>,
    /// Receivers that were paired.
    pub receivers: u64,
    /// What passed between them and the sender.
    pub passed: Passed,
    /// Until when its token lives, where it has one and may not be opened again by it.
    pub void_until: Option<Instant>,
}

impl Summary {
    /// The log line, for a room that closes at `now`.
    pub fn at(&self, now: Instant) -> impl fmt::Display {
        let age = now.duration_since(self.opened).as_secs();
        fmt::from_fn(move |f| {
            let (code, sender) = (self.code, self.sender.0);
            write!(f, "room {code} of session {sender} closed after {age} s: ")?;
            match self.departure {
                Some(departure) => write!(f, "its sender ended with {departure}")?,
                None => f.write_str(self.ending.name())?,
            }
            let receivers = counted(self.receivers, "receiver");
            write!(f, "; {receivers}, {}", self.passed)
        })
    }
}

/// A number of things, in English.
fn counted(number: u64, thing: &str) -> impl fmt::Display {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}
