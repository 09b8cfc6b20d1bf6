//! How long to wait before the next try: doubling, spread, and bounded by patience. Time and chance are
//! passed in.

use std::time::{Duration, Instant};

/// How fast tries follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// For a line that is lost, or a relay that has no place.
    Quick,
    /// For a code that the relay does not know yet. It charges each such try: ten at once, then one a minute.
    Slow,
}

impl Pace {
    const fn first(self) -> Duration {
        match self {
            Self::Quick => Duration::from_millis(500),
            Self::Slow => Duration::from_secs(1),
        }
    }

    const fn longest(self) -> Duration {
        match self {
            Self::Quick => Duration::from_secs(15),
            Self::Slow => Duration::from_secs(60),
        }
    }

    /// The shortest that chance makes of a wait, as a part of it.
    const fn least(self) -> f64 {
        match self {
            Self::Quick => 0.5,
            Self::Slow => 1.0,
        }
    }
}

/// The tries since content has moved.
#[derive(Debug)]
pub(super) struct Waits {
    patience: Duration,
    since: Instant,
    /// All waits together.
    waited: Duration,
    quick: u32,
    slow: u32,
}

impl Waits {
    pub(super) fn new(now: Instant, patience: Duration) -> Self {
        Self {
            patience,
            since: now,
            waited: Duration::ZERO,
            quick: 0,
            slow: 0,
        }
    }

    /// A try has come as far as it can without the other side. The time since counts anew; what was waited
    /// does not, nor does the doubling, or who is let in and thrown out would go on for ever.
    pub(super) fn reached(&mut self, now: Instant, patience: Duration) {
        self.since = now;
        self.patience = patience;
    }

    /// Something was waited for in vain for so long.
    pub(super) fn spend(&mut self, time: Duration) {
        self.waited += time;
    }

    /// How long to wait now, and not less than was `told`; `chance` is from 0 to 1. `None` where patience
    /// would be over by then.
    pub(super) fn next(
        &mut self,
        now: Instant,
        pace: Pace,
        told: Option<Duration>,
        chance: f64,
    ) -> Option<Duration> {
        let tries = match pace {
            Pace::Quick => &mut self.quick,
            Pace::Slow => &mut self.slow,
        };
        // 2^16 is more than any first wait needs to become the longest.
        let doubled = pace.first() * (1 << (*tries).min(16));
        *tries += 1;
        let wait = match told {
            // What was told is spread by the relay, or else a little here.
            Some(told) => told + pace.first().mul_f64(chance),
            None => doubled
                .min(pace.longest())
                .mul_f64(pace.least() + chance / 2.0),
        };
        self.waited += wait;
        let spent = (now + wait).saturating_duration_since(self.since);
        (spent.max(self.waited) <= self.patience).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(600);

    fn waits() -> (Instant, Waits) {
        let now = Instant::now();
        (now, Waits::new(now, PATIENCE))
    }

    #[test]
    fn waits_double_up_to_their_bound() {
        let (now, mut waits) = waits();
        let mut next = |chance| waits.next(now, Pace::Quick, None, chance);
        assert_eq!(next(0.0), Some(Duration::from_millis(250)));
        assert_eq!(next(1.0), Some(Duration::from_secs(1)));
        for seconds in [2, 4, 8, 15, 15] {
            assert_eq!(next(1.0), Some(Duration::from_secs(seconds)));
        }
    }

    #[test]
    fn a_code_is_asked_for_no_more_often_than_the_relay_lets_guess() {
        let (start, mut waits) = waits();
        let (mut now, mut tries) = (start, Vec::new());
        // The sooner of all that chance can bring.
        while let Some(wait) = waits.next(now, Pace::Slow, None, 0.0) {
            now += wait;
            tries.push(now.duration_since(start));
        }
        let within = |time| {
            tries
                .iter()
                .filter(|&&at| at <= Duration::from_secs(time))
                .count()
        };
        assert!(within(120) <= 8, "{tries:?}");
        assert!(within(60) >= 5, "{tries:?}");
    }

    #[test]
    fn what_the_relay_tells_is_kept_and_patience_has_an_end() {
        let (now, mut waits) = waits();
        let told = Some(Duration::from_secs(100));
        assert_eq!(waits.next(now, Pace::Quick, told, 0.0), told);
        let late = now + Duration::from_secs(501);
        assert_eq!(waits.next(late, Pace::Quick, told, 0.0), None);
        waits.reached(late, PATIENCE);
        assert_eq!(waits.next(late, Pace::Quick, told, 0.0), told);
        // Let in each time, and thrown out.
        for _ in 0..3 {
            waits.reached(late, PATIENCE);
            assert_eq!(waits.next(late, Pace::Quick, told, 0.0), told);
        }
        assert_eq!(waits.next(late, Pace::Quick, told, 0.0), None);
    }

    #[test]
    fn a_side_that_does_nothing_is_waited_for_no_longer_than_one_that_is_not_there() {
        let (now, mut waits) = waits();
        for _ in 0..4 {
            waits.spend(Duration::from_secs(120));
            waits.reached(now, PATIENCE);
            assert!(waits.next(now, Pace::Quick, None, 0.0).is_some());
        }
        waits.spend(Duration::from_secs(120));
        assert_eq!(waits.next(now, Pace::Quick, None, 0.0), None);
    }
}
