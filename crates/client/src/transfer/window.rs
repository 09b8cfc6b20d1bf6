//! How much a sender may have on its way: what is sent and not yet confirmed to be on the receiver's disk.
//!
//! All of it is sent again after a lost line, so it is kept as little as the line allows: half as much again as
//! arrives in a round trip. It begins at 64 KiB, and grows by itself, as long as the line takes all that it is given.
//!
//! A round trip here is the usual one of a line that is not full: of messages that had no more than 64 KiB on
//! their way with them, since what waits on the line makes a trip longer. It is not the shortest that was seen: on
//! a machine that is busy most last longer, and a window for the shortest would shrink until nothing
//! moved. Where more is on its way, every 5 seconds no more than 64 KiB is allowed for some messages, to see.
//!
//! A line that drops again and again is given less: so much that what is lost with each drop stays below a hundredth
//! of what arrives between two of them, and again more as soon as it holds.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::note::RECORD;

/// Always allowed, in bytes of content.
const LEAST: u64 = 64 * 1024;
/// Never more than this, in bytes of content: 8 pieces.
const MOST: u64 = 8 * 1024 * 1024;
/// Never more messages than these.
const MOST_RECORDS: usize = 1024;
/// A rate that was higher than the last is forgotten by one part in so many with each confirmation.
const FADING: f64 = 16.0;
/// A round trip is worth one part in so many of what is taken for the usual one.
const SMOOTHING: f64 = 4.0;
/// How many times what arrives in a round trip is allowed: enough to grow by, and no more, as it is lost with the line.
const GAIN: f64 = 1.5;
/// How long what is known of the usual round trip is good for.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Messages that are looked at.
const LOOKS: u32 = 4;
/// No more is on its way than one part in so many of what arrives between two drops.
const PART_LOST: u64 = 160;
/// What is taken to arrive between two drops before any was seen, in bytes: as much as allows the most.
const HOLDS_FOR: u64 = MOST * PART_LOST;
/// A drop is worth one part in so many of what is taken for usual.
const DROP_SMOOTHING: u64 = 4;

/// The other side confirms what was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeverSent;

/// How much usually arrives between two drops of a share's lines, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holds(u64);

impl Default for Holds {
    fn default() -> Self {
        Self(HOLDS_FOR)
    }
}

/// What is on its way in one attempt.
#[derive(Debug, Default)]
pub struct Window {
    holds: Holds,
    on_its_way: VecDeque<Sent>,
    bytes: u64,
    records: u64,
    delivered: u64,
    /// Bytes a second.
    rate: f64,
    /// The usual round trip, in seconds.
    trip: Option<f64>,
    /// Trips of a line that is not full that were seen in this look at it.
    looks: u32,
    /// When the last look was over.
    looked: Option<Instant>,
}

/// A message on its way.
#[derive(Debug)]
struct Sent {
    bytes: u64,
    at: Instant,
    /// Bytes that had been delivered when it was sent.
    delivered: u64,
    /// Bytes that were on their way with it.
    among: u64,
}

impl Window {
    /// Of an attempt on lines that usually hold for so much.
    pub fn of(holds: Holds) -> Self {
        Self {
            holds,
            ..Self::default()
        }
    }

    /// What its lines usually hold for, where they were lost now.
    pub fn dropped(&self) -> Holds {
        let Holds(usual) = self.holds;
        Holds(usual - usual / DROP_SMOOTHING + self.delivered / DROP_SMOOTHING)
    }

    /// Whether the next message may be sent, of whatever length.
    pub fn is_open(&self) -> bool {
        self.bytes + RECORD as u64 <= self.allowed() && self.on_its_way.len() < MOST_RECORDS
    }

    /// Bytes that may be on their way.
    pub fn allowed(&self) -> u64 {
        if self.looks < LOOKS {
            return LEAST;
        }
        let trip = self.trip.unwrap_or_default();
        // Rounding does not matter, and a float beyond the range of an integer becomes its greatest.
        ((GAIN * self.rate * trip) as u64).clamp(LEAST, self.most())
    }

    /// Bytes that may be on their way however fast the line is.
    fn most(&self) -> u64 {
        let Holds(usual) = self.holds;
        (usual.max(self.delivered) / PART_LOST).clamp(LEAST, MOST)
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
            among: self.bytes,
        });
    }

    /// The receiver has written so many messages of this attempt in all; whether any of them is news.
    ///
    /// # Errors
    ///
    /// [`NeverSent`] where these are more than were sent, or fewer than it has confirmed before.
    pub fn confirmed(&mut self, records: u64, now: Instant) -> Result<bool, NeverSent> {
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
        if let Some(last) = &last {
            self.measure(last, now);
        }
        Ok(last.is_some())
    }

    /// Learns from the last message that was confirmed.
    fn measure(&mut self, last: &Sent, now: Instant) {
        let trip = now.saturating_duration_since(last.at).as_secs_f64();
        if trip <= 0.0 {
            return;
        }
        let rate = (self.delivered - last.delivered) as f64 / trip;
        self.rate = rate.max(self.rate - (self.rate - rate) / FADING);
        if last.among <= LEAST {
            let usual = self.trip.get_or_insert(trip);
            *usual += (trip - *usual) / SMOOTHING;
            self.looks = self.looks.saturating_add(1);
            self.looked = Some(now);
        } else if self.looked.is_none_or(|looked| now > looked + LOOK_EVERY) {
            self.looks = 0;
            self.looked = Some(now);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
