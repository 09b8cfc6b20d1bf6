//! What is counted of what goes on between nodes.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::flow::credit::{Pool, Share};

/// Counters, which any thread may read.
#[derive(Debug)]
pub struct Counts {
    pipes: Arc<Pool>,
    to_rooms: AtomicU64,
    to_clients: AtomicU64,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            pipes: Pool::new(usize::MAX),
            to_rooms: AtomicU64::default(),
            to_clients: AtomicU64::default(),
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

    /// Clients that are across.
    pub fn pipes(&self) -> usize {
        self.pipes.used()
    }

    /// Bytes that went to the nodes of rooms, and those that came from there.
    pub fn bytes(&self) -> [u64; 2] {
        [self.to_rooms.load(Relaxed), self.to_clients.load(Relaxed)]
    }
}
