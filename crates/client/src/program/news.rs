//! What there is to show, and for whom.

use std::sync::mpsc::SyncSender;

use super::{failure::Failure, invitation::Invitation};
use crate::engine::{event::Event, options::Received, sessions::Session};

/// Which side of a share this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Sender,
    Receiver,
}

/// What may be worth showing.
#[derive(Debug)]
pub(super) enum News {
    /// What the engine says.
    Event(Event),
    /// What the other side is to be told once there is a code.
    Invitation(Box<Invitation>),
    /// What its user should know: a sentence.
    Warning(String),
    /// What there is to fetch. A list to pick from has numbers, and goes where questions go.
    Sessions { list: Vec<Session>, to_pick: bool },
    /// All has been received.
    Received(Received),
    /// It has failed.
    Failed(Failure),
    /// Whoever has the other end waits until all before this is shown.
    Settle(SyncSender<()>),
}
