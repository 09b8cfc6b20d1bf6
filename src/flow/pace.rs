//! How fast one session is read (`RELAY_SESSION_BYTES_PER_SEC`), or several are together. Pure: the time
//! is passed in.

use std::{
    collections::VecDeque,
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
    /// Less than none where more was read than that: it is paid back.
    allowed: i64,
    filled: Instant,
}

impl Pace {
    /// A session that may send `rate` bytes a second from `now` on; 0 is no limit.
    pub fn new(rate: u64, now: Instant) -> Self {
        Self {
            rate,
            allowed: signed(Self::depth(rate)),
            filled: now,
        }
    }

    fn depth(rate: u64) -> u64 {
        (rate / 10).max(1024)
    }

    /// What is waited for: bytes taken in crumbs would cost more than they are.
    fn half(&self) -> u64 {
        Self::depth(self.rate) / 2
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
        let wanted = signed(self.half());
        if self.allowed >= wanted {
            Ok(usize::try_from(self.allowed).unwrap_or(usize::MAX))
        } else {
            let missing = wanted.saturating_sub(self.allowed).unsigned_abs();
            Err(self.filled + self.time_of(missing))
        }
    }

    /// In which so many bytes are earned.
    fn time_of(&self, bytes: u64) -> Duration {
        let nanos = (u128::from(bytes) * NANOS).div_ceil(u128::from(self.rate));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Adds the bytes earned until `now`. The time of a part of a byte is left for the next look.
    fn fill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.filled).as_nanos();
        let (rate, depth) = (u128::from(self.rate), signed(Self::depth(self.rate)));
        let earned = elapsed * rate / NANOS;
        let sum = i64::try_from(earned).map_or(depth, |earned| self.allowed.saturating_add(earned));
        if sum >= depth {
            // Full: what is earned beyond that is nobody's.
            (self.allowed, self.filled) = (depth, now);
        } else {
            self.allowed = sum;
            // No more than has passed.
            self.filled += Duration::from_nanos((earned * NANOS / rate) as u64);
        }
    }

    /// Bytes were read.
    pub fn record(&mut self, bytes: usize) {
        self.allowed = self.allowed.saturating_sub_unsigned(bytes as u64);
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// A pace that sessions have together, on whatever threads they are. Only those have one whose address the
/// operator has limited, so a lock will do.
///
/// They take turns of half a bucket, in the order in which they had to wait: whoever has just read would
/// else be the first to ask again, each time.
#[derive(Debug)]
pub struct SharedPace(Mutex<Turns>);

#[derive(Debug)]
struct Turns {
    pace: Pace,
    /// Who waits, and from when on it has its turn.
    line: VecDeque<(u64, Instant)>,
}

/// How late somebody may come for its turn, at the most, before others have it: it may be gone.
const LATE: Duration = Duration::from_millis(20);

impl SharedPace {
    /// Sessions that may send `rate` bytes a second together, from `now` on; there is at least one.
    pub fn new(rate: u64, now: Instant) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Turns {
            pace: Pace::new(rate, now),
            line: VecDeque::new(),
        })))
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        // Every change to it is whole before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that the session `who` may read at `now`, or when to ask again.
    ///
    /// # Errors
    ///
    /// The moment from which on bytes may be read.
    pub fn allowance(&self, who: u64, now: Instant) -> Result<usize, Instant> {
        self.turns().allowance(who, now)
    }

    /// One of them has read bytes.
    pub fn record(&self, bytes: usize) {
        self.turns().pace.record(bytes);
    }
}

impl Turns {
    fn allowance(&mut self, who: u64, now: Instant) -> Result<usize, Instant> {
        let (half, allowed) = (self.pace.half(), self.pace.allowance(now));
        while let Some(&(first, due)) = self.line.front()
            && first != who
            && allowed.is_ok()
            && now > due + LATE
        {
            self.line.pop_front();
        }
        let place = self.line.iter().position(|&(other, _)| other == who);
        let place = place.unwrap_or(self.line.len());
        if place == 0
            && let Ok(bytes) = allowed
        {
            // It leaves the line, if it stood there.
            self.line.retain(|&(other, _)| other != who);
            return Ok(bytes.min(usize::try_from(half).unwrap_or(usize::MAX)));
        }
        // Each of those before it has a turn first.
        let first = allowed.err().unwrap_or(now);
        let due = first + self.pace.time_of(half.saturating_mul(place as u64));
        match self.line.get_mut(place) {
            Some(waiting) => waiting.1 = due,
            None => self.line.push_back((who, due)),
        }
        Err(due)
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
            pace.record(1024);
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
    fn what_is_read_too_much_is_paid_back() {
        let start = Instant::now();
        let mut pace = Pace::new(10_240, start);
        pace.record(1024 + 10_240);
        let second = start + Duration::from_secs(1);
        let half = second + Duration::from_millis(50);
        assert_eq!(pace.allowance(start), Err(half));
        assert_eq!(pace.allowance(second), Err(half));
        assert_eq!(pace.allowance(half), Ok(512));
        // Ages of it, as far as there are any.
        pace.record(usize::MAX);
        assert!(pace.allowance(half).is_err());
    }

    #[test]
    fn what_one_reads_the_others_cannot() {
        let start = Instant::now();
        let pace = SharedPace::new(10_240, start);
        assert_eq!(pace.allowance(1, start), Ok(512));
        pace.record(1024);
        let half = start + Duration::from_millis(50);
        assert_eq!(pace.allowance(2, start), Err(half));
        assert_eq!(pace.allowance(2, half), Ok(512));
    }

    /// Bytes that each of so many reads in ten seconds, where `comes` says which of them are awake at a
    /// moment, and those wake in the same order always.
    fn shares(count: usize, comes: impl Fn(usize, Duration) -> bool) -> Vec<u64> {
        let start = Instant::now();
        let pace = SharedPace::new(10_240, start);
        let (mut read, mut due) = (vec![0; count], vec![start; count]);
        for millisecond in 0..10_000 {
            let time = Duration::from_millis(millisecond);
            let now = start + time;
            for who in 0..count {
                while due[who] <= now && comes(who, time) {
                    match pace.allowance(who as u64, now) {
                        Ok(bytes) => {
                            read[who] += bytes as u64;
                            pace.record(bytes);
                        }
                        Err(later) => due[who] = later,
                    }
                }
            }
        }
        read
    }

    #[test]
    fn all_have_the_same_share_and_all_of_it_is_used() {
        for count in [1, 2, 3, 7] {
            let read = shares(count, |_, _| true);
            let (least, most) = (read.iter().min(), read.iter().max());
            // Two turns are at hand at the start.
            assert!(most <= least.map(|least| least + 2048).as_ref(), "{read:?}");
            let sum = read.iter().sum::<u64>();
            assert!((98_000..=104_448).contains(&sum), "{read:?}");
        }
    }

    #[test]
    fn who_is_gone_keeps_nobody_waiting_for_long() {
        let half = Duration::from_secs(5);
        let read = shares(3, |who, time| who > 0 || time < half);
        assert!(read[0] < read[1] / 2, "{read:?}");
        let sum = read.iter().sum::<u64>();
        assert!((95_000..=104_448).contains(&sum), "{read:?}");
    }
}
