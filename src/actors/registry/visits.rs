//! The receivers in the rooms of one worker: who waits, who is paired, and since when; and whose pair has
//! ended, for as long as their sessions may be given some of what went to them.
//!
//! The rules in `rooms` need no clock for a frame. What the metrics tell of times is taken here, of what
//! happens once a pair.

use std::{sync::Arc, time::Instant};

use crate::{
    actors::messages::Given,
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
        times: Times,
        _counted: Share,
    },
    /// A pair that has ended and matters to somebody.
    Ended(Ended),
}

/// When what was of a pair.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) since: Instant,
    /// When the first byte came for the receiver.
    first: Option<Instant>,
}

struct Ended {
    times: Times,
    /// How it comes out if the receiver is given all these bytes.
    outcome: Outcome,
    bytes: u64,
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
            times: Times {
                since: now,
                first: None,
            },
            _counted: Share::take(&self.pairs, 1),
        };
        self.visits.insert(receiver, paired);
    }

    /// The first byte for it has come.
    pub(super) fn begun(&mut self, receiver: SessionId, now: Instant) {
        if let Some(Visit::Paired { times, .. }) = self.visits.get_mut(&receiver) {
            times.first = Some(now);
        }
    }

    /// It has left. When what was of its pair, if its turn had come.
    pub(super) fn left(&mut self, receiver: SessionId) -> Option<Times> {
        match self.visits.remove(&receiver) {
            Some(Visit::Paired { times, .. }) => Some(times),
            Some(Visit::Queued { .. } | Visit::Ended(_)) | None => None,
        }
    }

    /// Its pair has ended, and comes out like this if it is given so many bytes in all.
    pub(super) fn ended(
        &mut self,
        receiver: SessionId,
        times: Times,
        outcome: Outcome,
        bytes: u64,
    ) {
        let ended = Ended {
            times,
            outcome,
            bytes,
        };
        self.visits.insert(receiver, Visit::Ended(ended));
    }

    /// Its session is over, and was given this. Its transfer, if that matters to somebody.
    pub(super) fn parted(&mut self, receiver: SessionId, given: Given) -> Option<Transfer> {
        let Some(Visit::Ended(ended)) = self.visits.remove(&receiver) else {
            return None;
        };
        let Times { since, first } = ended.times;
        Some(Transfer {
            outcome: ended.outcome.given(given.bytes >= ended.bytes),
            bytes: given.bytes,
            first_byte: first.map(|first| first.duration_since(since)),
            lasted: given
                .last
                .saturating_duration_since(first.unwrap_or(given.last)),
        })
    }
}
