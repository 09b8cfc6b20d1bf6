//! What is counted of what goes on between nodes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use prometheus_client::metrics::histogram::Histogram;

use crate::flow::credit::{Pool, Share};

/// Seconds that a question may take: within one machine room it is a millisecond, and a node that does not
/// answer is looked at for less than a second.
const LOOKUPS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0,
];

/// What comes of the question where a code's room is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// A node has it.
    Found,
    /// No node has.
    Nowhere,
    /// Nobody can say so.
    Unknown,
}

impl Lookup {
    /// All of them, with their labels.
    pub(super) const ALL: [(Self, &str); 3] = [
        (Self::Found, "found"),
        (Self::Nowhere, "nowhere"),
        (Self::Unknown, "unknown"),
    ];
}

/// How a visit to a room on another node goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visit {
    /// The client is let in.
    Joined,
    /// The room does not take it.
    Refused,
    /// The node is not reached, or does not answer as one.
    Failed,
}

impl Visit {
    /// All of them, with their labels.
    pub(super) const ALL: [(Self, &str); 3] = [
        (Self::Joined, "joined"),
        (Self::Refused, "refused"),
        (Self::Failed, "failed"),
    ];
}

/// Why a word of one node is not heard by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// There was too much to say already.
    Full,
    /// NATS was not reached.
    Apart,
    /// It came faster than it was read.
    Slow,
    /// It was none of this cluster's, or is understood by other versions only.
    Foreign,
}

impl Lost {
    /// All of them, with their labels.
    pub(super) const ALL: [(Self, &str); 4] = [
        (Self::Full, "full"),
        (Self::Apart, "apart"),
        (Self::Slow, "slow"),
        (Self::Foreign, "foreign"),
    ];
}

/// Counters, which any thread may read.
#[derive(Debug)]
pub struct Counts {
    pipes: Arc<Pool>,
    to_rooms: AtomicU64,
    to_clients: AtomicU64,
    lookups: [Histogram; Lookup::ALL.len()],
    visits: [AtomicU64; Visit::ALL.len()],
    lost: [AtomicU64; Lost::ALL.len()],
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            pipes: Pool::new(usize::MAX),
            to_rooms: AtomicU64::default(),
            to_clients: AtomicU64::default(),
            lookups: Lookup::ALL.map(|_| Histogram::new(LOOKUPS)),
            visits: Default::default(),
            lost: Default::default(),
        }
    }
}

impl Counts {
    /// A client has gone across, for as long as this is kept.
    pub fn pipe(&self) -> Share {
        Share::take(&self.pipes, 1)
    }

    /// Bytes were read from a client that is across, and written to it.
    pub fn passed(&self, received: usize, sent: usize) {
        self.to_rooms.fetch_add(received as u64, Relaxed);
        self.to_clients.fetch_add(sent as u64, Relaxed);
    }

    /// A question has come to this, after so long.
    pub(super) fn looked_up(&self, lookup: Lookup, time: Duration) {
        self.lookups[lookup as usize].observe(time.as_secs_f64());
    }

    /// A visit has gone out like this.
    pub(super) fn visited(&self, visit: Visit) {
        self.visits[visit as usize].fetch_add(1, Relaxed);
    }

    /// A word is lost.
    pub(super) fn lost(&self, why: Lost) {
        self.lost[why as usize].fetch_add(1, Relaxed);
    }

    /// Clients that are across.
    pub fn pipes(&self) -> usize {
        self.pipes.used()
    }

    /// Bytes that went to the nodes of rooms, and those that came from there.
    pub fn bytes(&self) -> [u64; 2] {
        [self.to_rooms.load(Relaxed), self.to_clients.load(Relaxed)]
    }

    /// Questions by what came of them, and how long that took.
    pub(super) fn lookups(&self) -> impl Iterator<Item = (&'static str, &Histogram)> {
        let names = Lookup::ALL.into_iter();
        names.map(|(lookup, name)| (name, &self.lookups[lookup as usize]))
    }

    /// How visits went out.
    pub(super) fn visits(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let names = Visit::ALL.into_iter();
        names.map(|(visit, name)| (name, self.visits[visit as usize].load(Relaxed)))
    }

    /// Words that are lost, by why.
    pub(super) fn losses(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let names = Lost::ALL.into_iter();
        names.map(|(why, name)| (name, self.lost[why as usize].load(Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_label_has_its_place() {
        for (place, (lookup, _)) in Lookup::ALL.into_iter().enumerate() {
            assert_eq!(lookup as usize, place);
        }
        for (place, (visit, _)) in Visit::ALL.into_iter().enumerate() {
            assert_eq!(visit as usize, place);
        }
        for (place, (why, _)) in Lost::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, place);
        }
    }
}
