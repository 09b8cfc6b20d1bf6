//! What the rooms look like from outside, for an operator who asks.

use std::time::Instant;

use relay_wire::code::RoomCode;

use super::effect::{Passed, SessionId};

/// One room at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    /// Which room.
    pub code: RoomCode,
    /// When it was opened.
    pub opened: Instant,
    /// Whether it can be joined.
    pub is_open: bool,
    /// Its sender, unless that is away.
    pub sender: Option<SessionId>,
    /// The receiver that is paired with it.
    pub receiver: Option<SessionId>,
    /// Receivers in its queue.
    pub waiting: usize,
    /// Receivers that were paired, the present one included.
    pub receivers: u64,
    /// What passed between the sender and all of them.
    pub passed: Passed,
    /// What passed between the sender and the present one.
    pub passed_now: Passed,
}
