//! How much of what was written has arrived at its client, and how much more may be on its way.
//!
//! What a system or a proxy accepts has not arrived: it may hold megabytes. So a Ping goes in front of
//! more data every now and then (a mark), and its Pong shows that all before it has arrived, through
//! whatever is in between. What is written and not shown to have arrived is kept within the *delivery
//! window*: about as much as the line takes in three seconds, so that no control frame of ours has more in
//! front of it. The window begins small, grows as fast as bytes arrive, and follows the rate that the
//! Pongs show.
//!
//! Places are counts of bytes written, headers and all, as the outbox counts them.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Seconds' worth of bytes that may be on their way: less than a client or a proxy waits for a Pong, and
/// more than any round trip.
const AHEAD: u64 = 3;
/// The window at first, and at least: under three seconds at 100 kbit/s.
const LEAST: u64 = 32 * 1024;
/// The window at most: what 100 ms of round trip need at a gigabit a second.
const MOST: u64 = 16 * 1024 * 1024;
/// Marks in a window. Between two of them as many bytes as [`Arrival::spacing`] says.
const MARKS: u64 = 10;
/// Bytes between marks at least: a client that takes so many in the time of a stall is moving.
const CLOSEST: u64 = 4 * 1024;
/// Bytes between marks at most: on the fastest lines their Pongs are then a hundredth of the work.
const FARTHEST: u64 = 1024 * 1024;
/// On a line that takes three times as many bytes in a second, the frames need not be shorter than they come.
const SHORT: u64 = 32 * 1024;
/// Marks whose Pongs are due at once, at most. A client that is not read, and so not held to its window,
/// may come to that.
const MOST_MARKS: usize = 128;
/// With so many more each, the distance between them is doubled: 128 are enough for 16 MiB.
const CROWD: usize = 16;
/// Bytes that a mark may be late by, so that no write ends in front of it: a chunk of data.
const LATE: u64 = 64 * 1024;

/// A Ping that was sent.
#[derive(Debug)]
struct Mark {
    number: u64,
    /// The place behind it, and the payload in front of it.
    place: u64,
    payload: u64,
    /// When it was sent, and what had arrived by then.
    at: Instant,
    arrived: u64,
    /// Whether there were data in front of it that were on their way.
    behind_data: bool,
}

/// What an answer to a Ping has shown.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// Bytes of payload that are known from here on to have arrived.
    pub payload: u64,
    /// How long the Ping and its answer took, if that is known.
    pub took: Option<Duration>,
    /// Whether it had data in front of it that were on their way, and not just a few words.
    pub behind_data: bool,
}

/// What is known to have arrived at one client.
#[derive(Debug)]
pub struct Arrival {
    /// The place that the client has shown to have read to, and the payload in front of it.
    arrived: u64,
    payload: u64,
    window: u64,
    marks: VecDeque<Mark>,
}

impl Default for Arrival {
    fn default() -> Self {
        Self {
            arrived: 0,
            payload: 0,
            window: LEAST,
            marks: VecDeque::new(),
        }
    }
}

impl Arrival {
    /// Bytes that may be written behind this place now: none where a frame of `frame` bytes is next, has no
    /// room, and a Pong is due that may show some.
    pub fn room(&self, written: u64, frame: usize) -> u64 {
        let room = (self.arrived + self.window).saturating_sub(written);
        match room < frame as u64 {
            true if self.marks.is_empty() => frame as u64,
            true => 0,
            false => room,
        }
    }

    /// Bytes that a frame may have, so that it does not hold up a control frame for long, if there is such a
    /// bound.
    pub fn longest_frame(&self) -> Option<usize> {
        let spacing = self.spacing();
        (spacing < SHORT).then_some(spacing as usize)
    }

    /// Bytes to be written between one mark and the next, of those that a window has.
    pub fn spacing(&self) -> u64 {
        (self.window / MARKS).clamp(CLOSEST, FARTHEST)
    }

    /// The same behind this place. Past the window, for a client that is not held to it, marks are farther
    /// apart the more of them there are, so that what all proxies hold has its marks.
    fn spacing_behind(&self, written: u64) -> u64 {
        match written > self.arrived + self.window {
            true => self.spacing() << (self.marks.len() / CROWD),
            false => self.spacing(),
        }
    }

    /// Bytes that may be written behind this place before the next mark is due; none if it is.
    pub fn until_mark(&self, written: u64) -> u64 {
        if self.marks.len() == MOST_MARKS {
            return u64::MAX;
        }
        let last = self.marks.back();
        let marked = last.map_or(self.arrived, |mark| mark.place);
        (marked + self.spacing_behind(written)).saturating_sub(written)
    }

    /// Bytes that may be written at once behind this place: a mark that is a little late costs less than a write
    /// that ends where it ought to be.
    pub fn most_at_once(&self, written: u64) -> u64 {
        let late = LATE.min(self.spacing());
        self.until_mark(written).saturating_add(late)
    }

    /// Whether a Pong is due that has data in front of it, and not just a few words.
    pub fn is_awaited(&self) -> bool {
        let last = self.marks.back();
        last.is_some_and(|mark| mark.place - self.arrived > CLOSEST)
    }

    /// Bytes of payload known to have arrived.
    pub fn payload(&self) -> u64 {
        self.payload
    }

    /// The Ping of this number, which is greater than those before, is to be written up to `place`, with
    /// so much payload in front of it. Data went last when they `moved`: what went longer ago than the window
    /// has seconds is not on its way, whether a Pong has shown that or not.
    pub fn pinged(&mut self, number: u64, place: u64, payload: u64, moved: Instant, now: Instant) {
        if self.marks.len() < MOST_MARKS {
            self.marks.push_back(Mark {
                number,
                place,
                payload,
                at: now,
                arrived: self.arrived,
                behind_data: place - self.arrived > CLOSEST
                    && now.duration_since(moved).as_secs() < AHEAD,
            });
        }
    }

    /// The Ping of this number is answered, and with it those before.
    pub fn ponged(&mut self, number: u64, now: Instant) -> Shown {
        let mut last = None;
        while self.marks.front().is_some_and(|mark| mark.number <= number) {
            last = self.marks.pop_front();
        }
        let Some(mark) = last else {
            return Shown::default();
        };
        if self.marks.is_empty() {
            // An idle session keeps no memory for them.
            self.marks = VecDeque::new();
        }
        let more = mark.place - self.arrived;
        let payload = mark.payload - self.payload;
        (self.arrived, self.payload) = (mark.place, mark.payload);
        let rate = rate(mark.place - mark.arrived, mark.at, now);
        let most = MOST.min(self.window + more);
        self.window = rate.saturating_mul(AHEAD).clamp(LEAST, most);
        Shown {
            payload,
            took: Some(now.duration_since(mark.at)),
            behind_data: mark.behind_data,
        }
    }
}

/// Bytes a second, of which so many arrived from `start` to `now`.
fn rate(bytes: u64, start: Instant, now: Instant) -> u64 {
    let micros = u64::try_from(now.duration_since(start).as_micros()).unwrap_or(u64::MAX);
    bytes.saturating_mul(1_000_000) / micros.max(1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
