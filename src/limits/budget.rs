//! Budgets: how often something may happen, for a session and for a client address.
//!
//! Pure bookkeeping over a clock that is passed in, and that never goes backwards. What is counted,
//! how a refusal is worded and when to look again for [`AddressBudgets::prune`] are the caller's.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    time::{Duration, Instant},
};

use super::address::AddressKey;

/// At most `max` in any `window` of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How many; 0 counts as 1.
    pub max: usize,
    /// In what time; after exactly this long a thing is no longer counted.
    pub window: Duration,
}

impl Limit {
    /// For how long something that happened at `then` is still counted.
    fn left(&self, then: Instant, now: Instant) -> Duration {
        self.window
            .saturating_sub(now.saturating_duration_since(then))
    }
}

/// What is spent of one budget: an exact log of the times.
///
/// It takes 16 bytes of heap for each of the newest [`Limit::max`] entries, and none before the
/// first. Pass the same [`Limit`] every time.
#[derive(Debug, Default)]
pub struct Spent {
    log: VecDeque<Instant>,
}

impl Spent {
    /// Spends one if the budget allows it, or else tells how long until it will. A refusal costs
    /// nothing: whoever waits that long succeeds, however often it asks meanwhile.
    ///
    /// # Errors
    ///
    /// The time after which the budget allows one again.
    pub fn take(&mut self, now: Instant, limit: Limit) -> Result<(), Duration> {
        self.check(now, limit)?;
        self.record(now, limit);
        Ok(())
    }

    /// Answers as [`take`](Self::take) would, and spends nothing.
    ///
    /// # Errors
    ///
    /// As of [`take`](Self::take).
    pub fn check(&self, now: Instant, limit: Limit) -> Result<(), Duration> {
        match self.log.front() {
            // Room is made when the oldest of the newest `max` has passed: the front of a full log.
            Some(&oldest) if self.log.len() >= limit.max => match limit.left(oldest, now) {
                Duration::ZERO => Ok(()),
                wait => Err(wait),
            },
            _ => Ok(()),
        }
    }

    /// Spends one whether the budget allows it or not, for what is known only after the fact.
    pub fn record(&mut self, now: Instant, limit: Limit) {
        while let Some(&oldest) = self.log.front()
            && (self.log.len() >= limit.max || limit.left(oldest, now).is_zero())
        {
            self.log.pop_front();
        }
        if self.log.len() == self.log.capacity() {
            // Doubled, as `push_back` would, but from one and not beyond `max`: there are many logs,
            // and most stay short.
            let len = self.log.len();
            self.log
                .reserve_exact(limit.max.saturating_sub(len).clamp(1, len.max(1)));
        }
        self.log.push_back(now);
    }

    fn newest(&self) -> Option<Instant> {
        self.log.back().copied()
    }
}

/// A budget for each client address, over all of its sessions.
///
/// At most `cap` addresses are remembered, at up to about 300 bytes and 16 × [`Limit::max`] each,
/// whatever strangers send. A further one takes the place of the one that has spent nothing for the
/// longest, in O(log `cap`).
///
/// Forcing a budget to be forgotten takes `cap` other addresses, each spending within one window.
/// Nobody else is worse off for it, as what is forgotten is what was *spent*. Who owns more than
/// `cap` addresses and takes them in turns does escape these budgets, at the price of a new
/// connection for every request; what then still holds are the budgets of sessions and of the whole
/// relay. (Refusing unknown addresses instead would let the same attacker lock everybody out.)
#[derive(Debug)]
pub struct AddressBudgets {
    limit: Limit,
    cap: usize,
    spent: HashMap<AddressKey, Spent>,
    /// Every address in `spent` under its newest entry: the order of expiry, and of eviction.
    by_age: BTreeSet<(Instant, AddressKey)>,
}

impl AddressBudgets {
    /// Gives each address the budget `limit`, and remembers at most `cap` (at least 1) of them.
    pub fn new(limit: Limit, cap: usize) -> Self {
        Self {
            limit,
            cap,
            spent: HashMap::new(),
            by_age: BTreeSet::new(),
        }
    }

    /// [`Spent::take`] for `key`.
    ///
    /// # Errors
    ///
    /// As of [`Spent::take`].
    pub fn take(&mut self, key: AddressKey, now: Instant) -> Result<(), Duration> {
        self.check(key, now)?;
        self.record(key, now);
        Ok(())
    }

    /// [`Spent::check`] for `key`.
    ///
    /// # Errors
    ///
    /// As of [`Spent::take`].
    pub fn check(&self, key: AddressKey, now: Instant) -> Result<(), Duration> {
        self.spent
            .get(&key)
            .map_or(Ok(()), |spent| spent.check(now, self.limit))
    }

    /// [`Spent::record`] for `key`.
    pub fn record(&mut self, key: AddressKey, now: Instant) {
        if self.len() >= self.cap && !self.spent.contains_key(&key) {
            self.forget_oldest();
        }
        let spent = self.spent.entry(key).or_default();
        if let Some(newest) = spent.newest() {
            self.by_age.remove(&(newest, key));
        }
        spent.record(now, self.limit);
        self.by_age.insert((now, key));
    }

    /// Forgets the addresses whose spending has all passed.
    pub fn prune(&mut self, now: Instant) {
        while self.next_prune().is_some_and(|due| due <= now) {
            self.forget_oldest();
        }
        if self.spent.is_empty() {
            // The map would keep its size for as long as the relay runs.
            self.spent.shrink_to_fit();
        }
    }

    /// When [`prune`](Self::prune) will next find something to forget; `None` while empty.
    pub fn next_prune(&self) -> Option<Instant> {
        let (newest, _) = self.by_age.first()?;
        newest.checked_add(self.limit.window)
    }

    /// How many addresses are remembered.
    pub fn len(&self) -> usize {
        self.spent.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.spent.is_empty()
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.by_age.pop_first() {
            self.spent.remove(&key);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests;
