//! How much a sender may have on its way: what is sent and not yet confirmed to be on the receiver's disk.
//!
//! All of it is sent again after a lost line, so it is kept as little as the line allows: twice what arrives
//! in the shortest round trip that was seen. It begins at [`LEAST`], and grows by itself, since what a line
//! is not given it cannot confirm: as long as the line takes all, the double of it is allowed.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Always allowed, in bytes of content.
const LEAST: u64 = 64 * 1024;
/// Never more than this, in bytes of content: 8 pieces.
const MOST: u64 = 8 * 1024 * 1024;
/// Never more messages than these.
const MOST_RECORDS: usize = 1024;
/// A rate that was higher than the last is forgotten by one part in so many with each confirmation.
const FADING: f64 = 16.0;

/// The other side confirms what was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeverSent;

/// What is on its way in one attempt.
#[derive(Debug, Default)]
pub struct Window {
    on_its_way: VecDeque<Sent>,
    bytes: u64,
    records: u64,
    delivered: u64,
    rate: f64,
    least_trip: Option<Duration>,
}

/// A message on its way.
#[derive(Debug)]
struct Sent {
    bytes: u64,
    at: Instant,
    /// Bytes that had been delivered when it was sent.
    delivered: u64,
}

impl Window {
    /// Whether the next message may be sent.
    pub fn is_open(&self) -> bool {
        self.bytes < self.allowed() && self.on_its_way.len() < MOST_RECORDS
    }

    /// Bytes that may be on their way.
    pub fn allowed(&self) -> u64 {
        let trip = self.least_trip.unwrap_or_default().as_secs_f64();
        // Rounding does not matter, and a float beyond the range of an integer becomes its greatest.
        ((2.0 * self.rate * trip) as u64).clamp(LEAST, MOST)
    }

    /// Bytes on their way.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A message with so many bytes of content, or of its header, was sent.
    pub fn sent(&mut self, bytes: usize, now: Instant) {
        let bytes = bytes as u64;
        self.bytes += bytes;
        self.on_its_way.push_back(Sent {
            bytes,
            at: now,
            delivered: self.delivered,
        });
    }

    /// The receiver has written so many messages of this attempt in all.
    ///
    /// # Errors
    ///
    /// [`NeverSent`] where these are more than were sent, or fewer than it has confirmed before.
    pub fn confirmed(&mut self, records: u64, now: Instant) -> Result<(), NeverSent> {
        let new = records.checked_sub(self.records).ok_or(NeverSent)?;
        let new = usize::try_from(new).map_err(|_| NeverSent)?;
        if new > self.on_its_way.len() {
            return Err(NeverSent);
        }
        self.records = records;
        let mut last = None;
        for sent in self.on_its_way.drain(..new) {
            self.bytes -= sent.bytes;
            self.delivered += sent.bytes;
            last = Some(sent);
        }
        if let Some(last) = last {
            self.measure(&last, now);
        }
        Ok(())
    }

    /// Learns from the last message that was confirmed.
    fn measure(&mut self, last: &Sent, now: Instant) {
        let trip = now.saturating_duration_since(last.at);
        if trip.is_zero() {
            return;
        }
        let rate = (self.delivered - last.delivered) as f64 / trip.as_secs_f64();
        self.rate = rate.max(self.rate - (self.rate - rate) / FADING);
        self.least_trip = Some(self.least_trip.map_or(trip, |least| least.min(trip)));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
