//! How many lines of the log clients may cause, each of them and all together.
//!
//! Pure bookkeeping over a clock that is passed in. Which lines are meant, and what becomes of one
//! that is over the budget, is for `observe` to say.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::{
    address::AddressKey,
    budget::{Limit, Spent},
};

/// The time of rest after which a burst is whole again.
const REST: Duration = Duration::from_secs(8);

/// Of all clients together. In 30 seconds that is less than the 4,000 lines of which systemd's
/// journal begins to drop warnings as well (`LogRateLimitBurst=` of the unit), and more than a relay
/// needs that opens 1,000 rooms a minute, with four lines for each.
const WHOLE: Limit = Limit {
    max: 800,
    window: REST,
};
/// Of one client address: a tenth of that. An IPv6 /56 has twice as much and a /48 three times, as of
/// [`Shares`](super::shares::Shares), so that no home has all of the log.
const ADDRESS: Limit = Limit {
    max: 80,
    window: REST,
};
/// Networks that are remembered before those are forgotten that have their whole burst again. All
/// others have had a line in the time that a burst of [`ADDRESS`] takes to come back, which are no
/// more than [`WHOLE`] allows in that time, with three networks for each: less than half of this.
const MAX_NETWORKS: usize = 3 * 4096;

/// What is spent of the budgets.
#[derive(Debug, Default)]
pub struct LogBudget {
    whole: Spent,
    networks: HashMap<AddressKey, Spent>,
}

impl LogBudget {
    /// Takes a line that this client causes, or some client nobody knows, from the budgets it counts in
    /// and from the one of all. False, and free, where any of them has none.
    pub fn take(&mut self, client: Option<AddressKey>, now: Instant) -> bool {
        let Some(whole) = with_one_more(self.whole, WHOLE, now) else {
            return false;
        };
        if let Some(client) = client {
            let levels = client.levels().zip(1..).map(|(network, times)| {
                let spent = self.networks.get(&network).copied().unwrap_or_default();
                let limit = Limit {
                    max: ADDRESS.max * times,
                    ..ADDRESS
                };
                Some((network, with_one_more(spent, limit, now)?))
            });
            let Some(levels) = levels.collect::<Option<Vec<_>>>() else {
                return false;
            };
            if self.networks.len() + levels.len() > MAX_NETWORKS {
                self.networks.retain(|_, spent| !spent.is_whole(now));
            }
            self.networks.extend(levels);
        }
        self.whole = whole;
        true
    }
}

/// What is spent once one more is; `None` where the budget has none left.
fn with_one_more(mut spent: Spent, limit: Limit, now: Instant) -> Option<Spent> {
    spent.take(now, limit).ok().map(|()| spent)
}

#[cfg(test)]
mod tests;
