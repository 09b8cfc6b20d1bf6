//! What waits to be written to a socket.

use std::collections::VecDeque;

use bytes::Buf;

use super::data::{Chunk, Delivery};

/// Slots an empty outbox keeps for the next chunks; a longer queue was a rarity, and goes.
const KEPT_SLOTS: usize = 8;

/// A queue of encoded frames. Each chunk keeps its credit until its last byte is with the system, and
/// its payload is given then.
///
/// It has no bound of its own: credits bound what their owners put here.
#[derive(Debug, Default)]
pub struct Outbox {
    chunks: VecDeque<Chunk>,
    /// Bytes put here so far, and those of them that the system has.
    put: u64,
    taken: u64,
}

impl Outbox {
    /// Puts frames at the end.
    pub fn push(&mut self, delivery: impl Into<Delivery>) {
        let delivery = delivery.into();
        self.put += delivery.size() as u64;
        match delivery {
            Delivery::Chunk(chunk) => self.chunks.push_back(chunk),
            Delivery::Parts(parts) => self.chunks.extend(parts),
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// How many of the bytes that wait are a client's payload; counted anew.
    pub fn payload(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.credit.payload()).sum()
    }

    /// Forgets what waits, for a peer that will not take it.
    pub fn clear(&mut self) {
        self.chunks = VecDeque::new();
        self.taken = self.put;
    }

    /// The place behind all that was put here so far.
    pub fn end(&self) -> u64 {
        self.put
    }

    /// Whether the system has everything in front of this place.
    pub fn has_written(&self, place: u64) -> bool {
        place <= self.taken
    }

    /// What is to be written next, in order.
    pub fn slices(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.chunks.iter().map(|chunk| &chunk.bytes[..])
    }

    /// Forgets the first `count` bytes: the system has them, and their credit comes back.
    pub fn written(&mut self, mut count: usize) {
        self.taken += count as u64;
        while let Some(first) = self.chunks.front_mut() {
            if first.bytes.len() > count {
                first.bytes.advance(count);
                return;
            }
            count -= first.bytes.len();
            first.credit.given();
            self.chunks.pop_front();
        }
        if self.chunks.capacity() > KEPT_SLOTS {
            self.chunks = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests;
