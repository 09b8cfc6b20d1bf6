//! The receivers in the rooms of one worker: who waits, who is paired, and since when.
//!
//! The rules in `rooms` need no clock for a frame. What the metrics tell of times is taken here, of what
//! happens once a pair.

use std::{sync::Arc, time::Instant};

use crate::{
    flow::credit::{Pool, Share},
    observe::metrics::Transfer,
    rooms::{BySession, Outcome, SessionId},
    state::Pools,
};

/// Each is counted for as long as it is here.
pub(super) struct Visits {
    queued: Arc<Pool>,
    pairs: Arc<Pool>,
    visits: BySession<Visit>,
}

enum Visit {
    Queued {
        _counted: Share,
    },
    Paired {
        since: Instant,
        /// When the first byte came for it.
        first: Option<Instant>,
        _counted: Share,
    },
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
        let paired = Visit::Paired {
            since: now,
            first: None,
            _counted: Share::take(&self.pairs, 1),
        };
        self.visits.insert(receiver, paired);
    }

    /// The first byte for it has come.
    pub(super) fn begun(&mut self, receiver: SessionId, now: Instant) {
        if let Some(Visit::Paired { first, .. }) = self.visits.get_mut(&receiver) {
            *first = Some(now);
        }
    }

    /// It has left, having been given so many bytes. What there is to tell of its transfer, where there
    /// was one, which came out in this way.
    pub(super) fn left(
        &mut self,
        receiver: SessionId,
        outcome: Option<Outcome>,
        bytes: u64,
        now: Instant,
    ) -> Option<Transfer> {
        let visit = self.visits.remove(&receiver);
        let Some(Visit::Paired { since, first, .. }) = visit else {
            return None;
        };
        Some(Transfer {
            outcome: outcome?,
            bytes,
            first_byte: first.map(|first| first.duration_since(since)),
            lasted: now.duration_since(first.unwrap_or(now)),
        })
    }
}
