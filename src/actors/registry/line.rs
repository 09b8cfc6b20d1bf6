//! Requests that wait for their address's next turn to try a code.

use std::{collections::BTreeMap, time::Instant};

use relay_wire::request::Request;

use crate::{
    limits::admission::Place,
    rooms::{BySession, SessionId},
};

/// Those of one worker, each under the moment when it is to be tried, and of several the one that
/// came first. The places they hold bound how many there are.
#[derive(Default)]
pub(super) struct Line {
    requests: BTreeMap<Turn, (SessionId, Waiting)>,
    turns: BySession<Turn>,
}

/// When a request is to be tried, and the number of its place.
type Turn = (Instant, u64);

/// One request, and its place.
pub(super) type Waiting = (Request, Place);

impl Line {
    /// A request is to be tried at this moment.
    pub(super) fn push(&mut self, at: Instant, id: SessionId, waiting: Waiting) {
        let turn = (at, waiting.1.number());
        self.requests.insert(turn, (id, waiting));
        self.turns.insert(id, turn);
    }

    /// A session does not wait any more, if it did.
    pub(super) fn leave(&mut self, id: SessionId) {
        if let Some(turn) = self.turns.remove(&id) {
            self.requests.remove(&turn);
        }
    }

    /// When the next is to be tried, if any is.
    pub(super) fn next_turn(&self) -> Option<Instant> {
        self.requests.first_key_value().map(|(&(at, _), _)| at)
    }

    /// Takes a request that is to be tried at `now`.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(SessionId, Waiting)> {
        let first = self.requests.first_entry()?;
        if first.key().0 > now {
            return None;
        }
        let (id, waiting) = first.remove();
        self.turns.remove(&id);
        Some((id, waiting))
    }
}
