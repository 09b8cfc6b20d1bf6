//! The receivers in the rooms of one worker: who waits, who is paired, and since when.
//!
//! The rules in `rooms` need no clock for a frame. What the metrics tell of times is taken here, of what
//! happens once a pair.

use std::{sync::Arc, time::Instant};

use crate::{
    flow::credit::{Pool, Share},
    rooms::{BySession, SessionId},
    state::Pools,
};

/// Each is counted for as long as it is here.
pub(super) struct Visits {
    queued: Arc<Pool>,
    pairs: Arc<Pool>,
    visits: BySession<Visit>,
}

enum Visit {
    Queued { _counted: Share },
    Paired(Pair),
}

/// A receiver and its sender.
pub(super) struct Pair {
    pub(super) since: Instant,
    /// When the first byte came for the receiver.
    pub(super) first: Option<Instant>,
    _counted: Share,
}

impl Visits {
    pub(super) fn new(pools: &Pools) -> Self {
        Self {
            queued: Arc::clone(&pools.queued),
            pairs: Arc::clone(&pools.pairs),
            visits: BySession::default(),
        }
    }

    /// A receiver has come into the queue of its room.
    pub(super) fn joined(&mut self, receiver: SessionId) {
        let queued = Visit::Queued {
            _counted: Share::take(&self.queued, 1),
        };
        self.visits.insert(receiver, queued);
    }

    /// Its turn has come.
    pub(super) fn paired(&mut self, receiver: SessionId, now: Instant) {
        let pair = Pair {
            since: now,
            first: None,
            _counted: Share::take(&self.pairs, 1),
        };
        self.visits.insert(receiver, Visit::Paired(pair));
    }

    /// The first byte for it has come.
    pub(super) fn begun(&mut self, receiver: SessionId, now: Instant) {
        if let Some(Visit::Paired(pair)) = self.visits.get_mut(&receiver) {
            pair.first = Some(now);
        }
    }

    /// It has left. The pair that it was in, if its turn had come.
    pub(super) fn left(&mut self, receiver: SessionId) -> Option<Pair> {
        match self.visits.remove(&receiver) {
            Some(Visit::Paired(pair)) => Some(pair),
            Some(Visit::Queued { .. }) | None => None,
        }
    }
}
