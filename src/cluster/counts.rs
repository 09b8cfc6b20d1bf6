//! What is counted of what goes on between nodes.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Counters, which any thread may read.
#[derive(Debug, Default)]
pub struct Counts {
    pipes: AtomicUsize,
    to_rooms: AtomicU64,
    to_clients: AtomicU64,
}

impl Counts {
    /// A client has gone across.
    pub fn pipe_opened(&self) {
        self.pipes.fetch_add(1, Relaxed);
    }

    /// It is back.
    pub fn pipe_closed(&self) {
        self.pipes.fetch_sub(1, Relaxed);
    }

    /// Bytes were read from a client that is across, and written to it.
    pub fn passed(&self, received: usize, sent: usize) {
        self.to_rooms.fetch_add(received as u64, Relaxed);
        self.to_clients.fetch_add(sent as u64, Relaxed);
    }

    /// Clients that are across.
    pub fn pipes(&self) -> usize {
        self.pipes.load(Relaxed)
    }

    /// Bytes that went to the nodes of rooms, and those that came from there.
    pub fn bytes(&self) -> [u64; 2] {
        [self.to_rooms.load(Relaxed), self.to_clients.load(Relaxed)]
    }
}
