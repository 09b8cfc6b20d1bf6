//! How much a session may say that brings nobody anything. Pure: the time is passed in.
//!
//! Control frames and empty fragments cost no credit, so no window stops who sends them without end,
//! and each takes its share of the thread's time. What counts as idle is for the reader to say
//! ([`Counts::idle`](super::reader::Counts::idle)), and what becomes of a session that goes over its
//! bound for the session.

use std::time::{Duration, Instant};

/// Idle frames that may come at once: a hundred times what libraries send in a row. Clients are
/// promised a thousand; the rest is for what jams up on the way and arrives together.
const BURST: u32 = 1100;
/// Time in which one more may come, however long that goes on: 50 a second. A library sends a Ping in
/// some seconds, and one Pong for each of ours.
const STEP: Duration = Duration::from_millis(20);

/// The idle frames of one session: a leaky bucket.
#[derive(Debug)]
pub struct Chatter {
    /// When all that came will have been allowed for.
    allowed_by: Instant,
}

impl Chatter {
    /// None so far.
    pub fn new(now: Instant) -> Self {
        Self { allowed_by: now }
    }

    /// Counts so many that have come. Whether they are still within bounds.
    pub fn allows(&mut self, idle: usize, now: Instant) -> bool {
        let idle = u32::try_from(idle).unwrap_or(u32::MAX).min(2 * BURST);
        self.allowed_by = self.allowed_by.max(now) + idle * STEP;
        self.allowed_by <= now + BURST * STEP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_and_some_may_come_at_once_and_no_more() {
        let now = Instant::now();
        let mut chatter = Chatter::new(now);
        assert!(chatter.allows(1100, now));
        assert!(!chatter.allows(1, now));
        assert!(!Chatter::new(now).allows(usize::MAX, now));
    }

    #[test]
    fn fifty_a_second_may_come_for_ever() {
        let start = Instant::now();
        let mut chatter = Chatter::new(start);
        assert!(chatter.allows(1100, start));
        for second in 1..10_000 {
            assert!(chatter.allows(50, start + second * Duration::from_secs(1)));
        }
        assert!(!chatter.allows(1, start + 9_999 * Duration::from_secs(1)));
    }

    #[test]
    fn silence_earns_no_more_than_the_burst() {
        let start = Instant::now();
        let mut chatter = Chatter::new(start);
        let later = start + Duration::from_secs(86_400);
        assert!(chatter.allows(1100, later));
        assert!(!chatter.allows(1, later));
    }
}
