//! How a session fares, for others to look at: how much payload it was given, how long bytes have waited
//! for it, and how long it was read no faster than it may be.
//!
//! The session alone writes, plainly, and only where something changes; whoever looks reads the same
//! figures from another thread, and may meet a change half done. Two looks a second apart tell which side
//! of a transfer is slow, so that a few microseconds do not matter.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// The figures of one session.
#[derive(Debug)]
pub struct Vitals {
    born: Instant,
    given: AtomicU64,
    untaken: Stretches,
    paced: Stretches,
}

/// The figures of a session at one moment, counted from its beginning.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Fares {
    /// Bytes of payload that its system has taken.
    pub given: u64,
    /// How long bytes have waited for it which it did not take, or had not shown to have arrived.
    pub untaken: Duration,
    /// How long it was not read, as it had sent what it may.
    pub paced: Duration,
}

/// A state that comes and goes.
#[derive(Debug, Default)]
struct Stretches {
    /// Microseconds that the finished ones have taken.
    total: AtomicU64,
    /// When the present one began, or 0 where there is none.
    since: AtomicU64,
}

impl Vitals {
    /// Those of a session that begins at `now`.
    pub fn new(now: Instant) -> Self {
        Self {
            born: now,
            given: AtomicU64::new(0),
            untaken: Stretches::default(),
            paced: Stretches::default(),
        }
    }

    /// It was given so much in all, and bytes wait for it or not.
    pub fn wrote(&self, given: u64, waits: bool, now: Instant) {
        self.given.store(given, Relaxed);
        self.untaken.set(waits, || self.micros(now));
    }

    /// It is read no further, as it has sent what it may, or it is not held back.
    pub fn paced(&self, is: bool, now: Instant) {
        self.paced.set(is, || self.micros(now));
    }

    /// How it fares.
    pub fn at(&self, now: Instant) -> Fares {
        let micros = self.micros(now);
        Fares {
            given: self.given.load(Relaxed),
            untaken: self.untaken.at(micros),
            paced: self.paced.at(micros),
        }
    }

    /// Microseconds from its beginning, and one: 0 is no moment.
    fn micros(&self, now: Instant) -> u64 {
        let micros = now.saturating_duration_since(self.born).as_micros();
        u64::try_from(micros).unwrap_or(u64::MAX - 1) + 1
    }
}

impl Stretches {
    /// The state is on or off; `now` is asked where that is new.
    fn set(&self, on: bool, now: impl FnOnce() -> u64) {
        match (self.since.load(Relaxed), on) {
            (0, true) => self.since.store(now(), Relaxed),
            (0, false) | (1.., true) => {}
            (since, false) => {
                let more = now().saturating_sub(since);
                let total = self.total.load(Relaxed) + more;
                self.total.store(total, Relaxed);
                self.since.store(0, Relaxed);
            }
        }
    }

    fn at(&self, now: u64) -> Duration {
        let present = match self.since.load(Relaxed) {
            0 => 0,
            since => now.saturating_sub(since),
        };
        Duration::from_micros(self.total.load(Relaxed) + present)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_counted_to_the_moment_of_the_look() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let vitals = Vitals::new(start);
        vitals.wrote(10, true, at(0));
        vitals.wrote(30, true, at(1));
        vitals.paced(true, at(1));
        vitals.paced(false, at(3));
        let seconds = Duration::from_secs;
        let fares = |given, untaken, paced| Fares {
            given,
            untaken: seconds(untaken),
            paced: seconds(paced),
        };
        assert_eq!(vitals.at(at(4)), fares(30, 4, 2));
        vitals.wrote(40, false, at(5));
        vitals.paced(false, at(6));
        assert_eq!(vitals.at(at(9)), fares(40, 5, 2));
        vitals.wrote(40, true, at(10));
        assert_eq!(vitals.at(at(11)), fares(40, 6, 2));
    }
}
