//! What a room is opened with, and keeps, and where one is that a token speaks of.

use std::time::Duration;

use relay_wire::{
    code::RoomCode,
    reply::{Reply, ResumeBy},
};

/// What a room is opened with.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Time until its end.
    pub life: Duration,
    /// What its sender takes it up again with, where it may.
    pub ticket: Option<Ticket>,
    /// Whether its sender had it before, on a relay that is gone.
    pub anew: bool,
}

/// What a sender takes its room up again with.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// When the room was opened, in milliseconds since 1970.
    pub opened: u64,
    /// The text of its token.
    pub token: String,
    /// How long the room waits for its sender.
    pub grace: Duration,
}

/// Where the room is that a good token speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    /// It is open.
    Here,
    /// It has ended, or its code is another room's.
    Over,
    /// It is not known here.
    Unknown,
}

impl Ticket {
    pub(super) fn told(&self) -> ResumeBy {
        ResumeBy {
            token: self.token.clone(),
            within: self.grace.as_secs(),
        }
    }
}

impl Terms {
    /// The terms of a room that lives so long, and no longer than its sender's connection.
    pub fn plain(life: Duration) -> Self {
        Self {
            life,
            ticket: None,
            anew: false,
        }
    }

    /// What its sender is told.
    pub(super) fn told(&self, code: &RoomCode) -> Reply {
        let (room_id, expires_in) = (code.reveal(), self.life.as_secs());
        match (&self.ticket, self.anew) {
            (Some(ticket), true) => Reply::RoomResumed {
                room_id,
                expires_in,
                resume: ticket.told(),
            },
            (ticket, _) => Reply::RoomCreated {
                room_id,
                expires_in,
                resume: ticket.as_ref().map(Ticket::told),
            },
        }
    }
}
