//! How fast one session is read (`RELAY_SESSION_BYTES_PER_SEC`), or several are together. Pure: the time
//! is passed in.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Nanoseconds in a second.
const NANOS: u128 = 1_000_000_000;

/// A bucket that fills at the allowed rate, and holds a tenth of a second's worth.
#[derive(Debug)]
pub struct Pace {
    /// Bytes a second; 0 is no limit.
    rate: u64,
    allowed: u64,
    filled: Instant,
}

impl Pace {
    /// A session that may send `rate` bytes a second from `now` on; 0 is no limit.
    pub fn new(rate: u64, now: Instant) -> Self {
        Self {
            rate,
            allowed: Self::depth(rate),
            filled: now,
        }
    }

    fn depth(rate: u64) -> u64 {
        (rate / 10).max(1024)
    }

    /// Bytes that may be read at `now`, or when to ask again.
    ///
    /// # Errors
    ///
    /// The moment from which on bytes may be read.
    pub fn allowance(&mut self, now: Instant) -> Result<usize, Instant> {
        if self.rate == 0 {
            return Ok(usize::MAX);
        }
        self.fill(now);
        // Half a bucket at a time: bytes taken in crumbs would cost more than they are.
        let wanted = Self::depth(self.rate) / 2;
        if self.allowed >= wanted {
            Ok(usize::try_from(self.allowed).unwrap_or(usize::MAX))
        } else {
            let missing = u128::from(wanted - self.allowed);
            let nanos = (missing * NANOS).div_ceil(u128::from(self.rate));
            Err(self.filled + Duration::from_nanos(nanos as u64))
        }
    }

    /// Adds the bytes earned until `now`. The time of a part of a byte is left for the next look.
    fn fill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.filled).as_nanos();
        let (rate, depth) = (u128::from(self.rate), Self::depth(self.rate));
        let earned = elapsed * rate / NANOS;
        let sum = u128::from(self.allowed) + earned;
        if sum >= u128::from(depth) {
            // Full: what is earned beyond that is nobody's.
            (self.allowed, self.filled) = (depth, now);
        } else {
            // Both fit: they are under the bucket's depth, which takes a tenth of a second to fill,
            // or a quarter of an hour at the slowest.
            self.allowed = sum as u64;
            self.filled += Duration::from_nanos((earned * NANOS / rate) as u64);
        }
    }

    /// Bytes were read.
    pub fn record(&mut self, bytes: usize) {
        self.allowed = self.allowed.saturating_sub(bytes as u64);
    }
}

/// A pace that sessions have together, on whatever threads they are. Only those have one whose address the
/// operator has limited, so a lock will do.
#[derive(Debug)]
pub struct SharedPace(Mutex<Pace>);

impl SharedPace {
    /// Sessions that may send `rate` bytes a second together, from `now` on.
    pub fn new(rate: u64, now: Instant) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Pace::new(rate, now))))
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        // Every change to it is whole before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that one of them may read at `now`, or when to ask again.
    ///
    /// # Errors
    ///
    /// The moment from which on bytes may be read.
    pub fn allowance(&self, now: Instant) -> Result<usize, Instant> {
        self.pace().allowance(now)
    }

    /// One of them has read bytes.
    pub fn record(&self, bytes: usize) {
        self.pace().record(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_rate_is_no_limit() {
        let now = Instant::now();
        let mut pace = Pace::new(0, now);
        pace.record(usize::MAX);
        assert_eq!(pace.allowance(now), Ok(usize::MAX));
    }

    #[test]
    fn a_bucket_holds_a_tenth_of_a_second_and_a_kibibyte_at_least() {
        for (rate, depth) in [(1, 1024), (10_240, 1024), (100_000, 10_000)] {
            let now = Instant::now();
            assert_eq!(Pace::new(rate, now).allowance(now), Ok(depth), "{rate}");
        }
    }

    #[test]
    fn looking_often_earns_as_much_as_looking_seldom() {
        let (rate, start) = (700, Instant::now());
        let emptied = || {
            let mut pace = Pace::new(rate, start);
            pace.record(usize::MAX);
            pace
        };
        let end = start + Duration::from_millis(500);
        let (mut often, mut seldom) = (emptied(), emptied());
        let mut now = start;
        while now < end {
            // A look each millisecond, in which seven tenths of a byte are earned.
            now += Duration::from_millis(1);
            let _ = often.allowance(now);
        }
        let _ = seldom.allowance(end);
        assert_eq!((often.allowed, seldom.allowed), (350, 350));
    }

    #[test]
    fn over_ten_seconds_the_rate_is_kept_and_used() {
        for rate in [1, 1000, 65_536, 10_000_000] {
            let start = Instant::now();
            let (mut now, mut read) = (start, 0);
            let mut pace = Pace::new(rate, start);
            while now < start + Duration::from_secs(10) {
                match pace.allowance(now) {
                    Ok(bytes) => {
                        read += bytes as u64;
                        pace.record(bytes);
                    }
                    Err(later) => {
                        assert!(later > now, "{rate}");
                        now = later;
                    }
                }
            }
            assert!(
                read <= 10 * rate + Pace::depth(rate) + 1,
                "{read} at {rate}"
            );
            assert!(read >= 9 * rate, "{read} at {rate}");
        }
    }

    #[test]
    fn what_one_reads_the_others_cannot() {
        let start = Instant::now();
        let pace = SharedPace::new(10_240, start);
        assert_eq!(pace.allowance(start), Ok(1024));
        pace.record(1024);
        let half = start + Duration::from_millis(50);
        assert_eq!(pace.allowance(start), Err(half));
        assert_eq!(pace.allowance(half), Ok(512));
    }
}
