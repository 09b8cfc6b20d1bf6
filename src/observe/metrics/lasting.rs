//! How long something lasts that begins and ends in many places at once.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// The time of all that it went on for and still goes on for, to the moment that it is asked.
#[derive(Debug)]
pub(super) struct Lasting {
    /// From here all times are counted.
    start: Instant,
    sum: Mutex<Sum>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    /// In how many places it goes on.
    places: u64,
    /// Microseconds: the moments at which it ended, less those at which it began.
    micros: i128,
}

impl Lasting {
    pub(super) fn new(start: Instant) -> Self {
        Self {
            start,
            sum: Mutex::default(),
        }
    }

    fn sum(&self) -> MutexGuard<'_, Sum> {
        // Every change is whole before anything can panic.
        self.sum.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn micros(&self, now: Instant) -> i128 {
        let micros = now.saturating_duration_since(self.start).as_micros();
        i128::try_from(micros).unwrap_or(i128::MAX)
    }

    /// It begins in one more place.
    pub(super) fn begins(&self, now: Instant) {
        let mut sum = self.sum();
        sum.places += 1;
        sum.micros -= self.micros(now);
    }

    /// It ends in one.
    pub(super) fn ends(&self, now: Instant) {
        let mut sum = self.sum();
        sum.places -= 1;
        sum.micros += self.micros(now);
    }

    /// In how many places it goes on, and for how many seconds it did in all of them up to `now`.
    pub(super) fn at(&self, now: Instant) -> (u64, f64) {
        let Sum { places, micros } = *self.sum();
        let micros = micros + i128::from(places) * self.micros(now);
        (places, micros.max(0) as f64 / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_goes_on_counts_up_to_the_moment() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let lasting = Lasting::new(start);
        assert_eq!(lasting.at(at(9)), (0, 0.0));
        lasting.begins(at(10));
        assert_eq!(lasting.at(at(12)), (1, 2.0));
        lasting.begins(at(13));
        assert_eq!(lasting.at(at(14)), (2, 5.0));
        lasting.ends(at(20));
        assert_eq!(lasting.at(at(20)), (1, 17.0));
        lasting.ends(at(21));
        assert_eq!(lasting.at(at(100)), (0, 18.0));
    }
}
