//! How long something lasts that begins and ends in many places at once.

use std::{
    array,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

/// Parts of a sum. A thread has one of them, mostly to itself, so that workers do not wait for each other
/// on the way of a frame.
const PARTS: usize = 16;

/// The part of the next thread that asks.
static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static OURS: usize = NEXT.fetch_add(1, Relaxed) % PARTS;
}

/// The time of all that it went on for and still goes on for, to the moment that it is asked.
#[derive(Debug)]
pub(super) struct Lasting {
    /// From here all times are counted.
    start: Instant,
    parts: [Part; PARTS],
    /// What was told last, in microseconds.
    told: Mutex<i128>,
}

/// What the threads of one part have seen begin and end. It is in a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Part(Mutex<Sum>);

#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    /// In how many places it goes on: what begins in one part may end in another.
    places: i64,
    /// Microseconds: the moments at which it ended, less those at which it began.
    micros: i128,
}

impl Lasting {
    pub(super) fn new(start: Instant) -> Self {
        Self {
            start,
            parts: array::from_fn(|_| Part::default()),
            told: Mutex::default(),
        }
    }

    fn micros(&self, now: Instant) -> i128 {
        let micros = now.saturating_duration_since(self.start).as_micros();
        i128::try_from(micros).unwrap_or(i128::MAX)
    }

    /// It begins in one more place.
    pub(super) fn begins(&self, now: Instant) {
        let mut sum = lock(&self.parts[OURS.with(|ours| *ours)].0);
        sum.places += 1;
        sum.micros -= self.micros(now);
    }

    /// It ends in one.
    pub(super) fn ends(&self, now: Instant) {
        let mut sum = lock(&self.parts[OURS.with(|ours| *ours)].0);
        sum.places -= 1;
        sum.micros += self.micros(now);
    }

    /// In how many places it goes on, and for how many seconds it did in all of them up to `now`. That is
    /// never less than it was: what ends in a turn that began before the last look ends before that look.
    pub(super) fn at(&self, now: Instant) -> (u64, f64) {
        let mut told = lock(&self.told);
        let (mut places, mut micros) = (0, 0);
        for part in &self.parts {
            let sum = *lock(&part.0);
            places += sum.places;
            micros += sum.micros;
        }
        micros += i128::from(places) * self.micros(now);
        *told = micros.max(*told);
        (places.try_into().unwrap_or(0), *told as f64 / 1e6)
    }
}

/// Every change is whole before anything can panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{thread, time::Duration};

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

    #[test]
    fn what_was_told_is_never_taken_back() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let lasting = Lasting::new(start);
        lasting.begins(at(1));
        assert_eq!(lasting.at(at(5)), (1, 4.0));
        // In a turn that began a while ago.
        lasting.ends(at(3));
        assert_eq!(lasting.at(at(6)), (0, 4.0));
        lasting.begins(at(7));
        assert_eq!(lasting.at(at(8)), (1, 4.0));
        assert_eq!(lasting.at(at(10)), (1, 5.0));
    }

    #[test]
    fn what_begins_on_one_thread_may_end_on_another() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let lasting = Lasting::new(start);
        lasting.begins(at(1));
        thread::scope(|scope| {
            scope.spawn(|| {
                lasting.begins(at(2));
                lasting.ends(at(4));
                lasting.ends(at(4));
            });
        });
        assert_eq!(lasting.at(at(9)), (0, 5.0));
    }
}
