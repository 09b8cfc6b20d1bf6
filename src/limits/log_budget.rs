//! How many lines of the log clients may cause, each of them and all together.
//!
//! Pure bookkeeping over a clock that is passed in. Which lines are meant, and what becomes of one
//! that is over the budget, is for `observe` to say.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::address::AddressKey;

/// Of all clients together. In 30 seconds that is less than the 2,000 lines of which systemd's
/// journal begins to drop warnings as well (`LogRateLimitBurst=` of the unit), and more than a relay
/// needs that opens 1,000 rooms a minute.
const WHOLE: Rate = Rate {
    pause: Duration::from_millis(20),
    burst: 400,
};
/// Of one client address: a tenth of that. An IPv6 /56 has twice as much and a /48 three times, as of
/// [`Shares`](super::shares::Shares), so that no home has all of the log.
const ADDRESS: Rate = Rate {
    pause: Duration::from_millis(200),
    burst: 40,
};
/// Networks that are remembered before those are forgotten that have their whole burst again. All
/// others have had a line in the time that a burst of [`ADDRESS`] takes to come back, which are no
/// more than [`WHOLE`] allows in that time, with three networks for each: less than half of this.
const MAX_NETWORKS: usize = 3 * 2048;

/// One every `pause`, and `burst` at once after a time of rest.
#[derive(Clone, Copy)]
struct Rate {
    pause: Duration,
    burst: u32,
}

impl Rate {
    /// So many times as much, which comes back in the same time.
    fn times(self, times: u32) -> Self {
        Self {
            pause: self.pause / times,
            burst: self.burst * times,
        }
    }

    /// When the burst of somebody is whole again that takes one at `now`, and for whom it would
    /// have been at `full_at`; `None` where there is none to take.
    fn take(self, full_at: Option<Instant>, now: Instant) -> Option<Instant> {
        let full_at = full_at.map_or(now, |at| at.max(now)) + self.pause;
        (full_at - now <= self.pause * self.burst).then_some(full_at)
    }
}

/// What is left of the budgets: for each, when its burst is whole again.
#[derive(Debug, Default)]
pub struct LogBudget {
    whole: Option<Instant>,
    networks: HashMap<AddressKey, Instant>,
}

impl LogBudget {
    /// Takes a line that this client causes, or some client nobody knows, from the budgets it counts in
    /// and from the one of all. False, and free, where any of them has none.
    pub fn take(&mut self, client: Option<AddressKey>, now: Instant) -> bool {
        let Some(whole) = WHOLE.take(self.whole, now) else {
            return false;
        };
        if let Some(client) = client {
            let levels = client.levels().zip(1..).map(|(network, times)| {
                let full_at = self.networks.get(&network).copied();
                Some((network, ADDRESS.times(times).take(full_at, now)?))
            });
            let Some(levels) = levels.collect::<Option<Vec<_>>>() else {
                return false;
            };
            if self.networks.len() + levels.len() > MAX_NETWORKS {
                self.networks.retain(|_, full_at| *full_at > now);
            }
            self.networks.extend(levels);
        }
        self.whole = Some(whole);
        true
    }
}

#[cfg(test)]
mod tests;
