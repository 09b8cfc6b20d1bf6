//! How fast one session is read (`RELAY_SESSION_BYTES_PER_SEC`). Pure: the time is passed in.

use std::time::{Duration, Instant};

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
    pub fn allowance(&mut self, now: Instant) -> Result<usize, Instant> {
        if self.rate == 0 {
            return Ok(usize::MAX);
        }
        let elapsed = now.saturating_duration_since(self.filled);
        let earned = elapsed.as_micros() * u128::from(self.rate) / 1_000_000;
        if earned > 0 {
            let sum = u128::from(self.allowed) + earned;
            self.allowed = u64::try_from(sum)
                .unwrap_or(u64::MAX)
                .min(Self::depth(self.rate));
            self.filled = now;
        }
        // Half a bucket at a time: bytes taken in crumbs would cost more than they are.
        let wanted = Self::depth(self.rate) / 2;
        if self.allowed >= wanted {
            Ok(usize::try_from(self.allowed).unwrap_or(usize::MAX))
        } else {
            let micros = (wanted - self.allowed)
                .saturating_mul(1_000_000)
                .div_ceil(self.rate);
            Err(self.filled + Duration::from_micros(micros))
        }
    }

    /// Bytes were read.
    pub fn record(&mut self, bytes: usize) {
        self.allowed = self.allowed.saturating_sub(bytes as u64);
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
                        assert!(later > now);
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
}
