//! Budgets: how often something may happen, for a session and for a client address.
//!
//! Pure bookkeeping over a clock that is passed in, and that never goes backwards. What is counted,
//! how a refusal is worded and when to look again for [`AddressBudgets::prune`] are the caller's.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use super::address::AddressKey;

/// How many times the budget of a network the next wider one has: a /56 that of 4 /64s, a /48 that
/// of 16.
const WIDER: usize = 4;
/// How many budgets may be spent at once of one that several keep. It bounds how long anybody waits.
const MORE: u32 = 3;

/// `max` at once, and another each `window / max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How many; 0 counts as 1.
    pub max: usize,
    /// In what time; after this long nothing that happened before is counted.
    pub window: Duration,
}

impl Limit {
    /// The time in which one comes back.
    pub(super) fn step(self) -> Duration {
        self.window / u32::try_from(self.max).unwrap_or(u32::MAX).max(1)
    }

    fn wider(self) -> Self {
        Self {
            max: self.max.max(1).saturating_mul(WIDER),
            ..self
        }
    }
}

/// What is spent of one budget: a leaky bucket, as the time when it will have drained.
///
/// Whatever happens pours in one step, `window / max`, and must fit below [`Limit::window`]. Where the
/// [`Limit`] is another than before, what was spent has the time to come back that it had, but nobody
/// waits for longer than the new one has anybody wait.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    empty_at: Option<Instant>,
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
        let level = self.standing(now).min(limit.window) + limit.step();
        match level.saturating_sub(limit.window) {
            Duration::ZERO => Ok(()),
            over => Err(over),
        }
    }

    /// Spends one whether the budget allows it or not, for what is known only after the fact.
    pub fn record(&mut self, now: Instant, limit: Limit) {
        self.pour(now, limit.step(), limit.window);
    }

    /// Spends one that was allowed by somebody else, so that there may be more than one budget has at once.
    fn record_more(&mut self, now: Instant, limit: Limit) {
        self.pour(now, limit.step(), limit.window * MORE);
    }

    /// Pours in so much, up to a level of `most`; returns the level.
    pub(super) fn pour(&mut self, now: Instant, amount: Duration, most: Duration) -> Duration {
        let level = self.standing(now).saturating_add(amount).min(most);
        self.empty_at = now.checked_add(level);
        level
    }

    /// Takes one back that was spent.
    fn take_back(&mut self, step: Duration) {
        self.empty_at = self.empty_at.and_then(|at| at.checked_sub(step));
    }

    /// Whether all that was spent has come back.
    pub(super) fn is_whole(&self, now: Instant) -> bool {
        self.standing(now).is_zero()
    }

    fn standing(&self, now: Instant) -> Duration {
        self.empty_at
            .map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }
}

/// A budget for each client address, over all of its sessions: for a /64, its /56 and its /48 if it
/// is an IPv6 address, each with four times the budget of the one before.
///
/// At most `cap` networks are remembered, at up to about 300 bytes each, whatever strangers send. A
/// further one takes the place of the one that has the least left of what it spent, in O(log `cap`).
///
/// Nobody else is worse off for being forgotten, as what is forgotten is what was *spent*. To have a
/// spent budget forgotten takes `cap` networks that have each spent as much: who owns so many and
/// takes them in turns does escape these budgets, at the price of a new connection for every
/// request; what then still holds are the budgets of sessions and of the whole relay. (Refusing
/// unknown addresses instead would let the same attacker lock everybody out.)
#[derive(Debug)]
pub struct AddressBudgets {
    limit: Limit,
    cap: usize,
    spent: HashMap<AddressKey, Spent>,
    /// Every network in `spent` under the time when its budget is whole again: the order of expiry,
    /// and of eviction.
    by_end: BTreeSet<(Instant, AddressKey)>,
}

impl AddressBudgets {
    /// Gives each address the budget `limit`, and remembers at most `cap` (at least 1) networks.
    pub fn new(limit: Limit, cap: usize) -> Self {
        Self {
            limit,
            cap,
            spent: HashMap::new(),
            by_end: BTreeSet::new(),
        }
    }

    /// Gives each address this budget from here on; what is spent stays so.
    pub fn set_limit(&mut self, limit: Limit) {
        self.limit = limit;
    }

    /// The networks that a client counts in, with the budget of each.
    fn levels(&self, client: AddressKey) -> impl Iterator<Item = (AddressKey, Limit)> + use<> {
        let limits = std::iter::successors(Some(self.limit), |limit| Some(limit.wider()));
        client.levels().zip(limits)
    }

    /// [`Spent::take`] for a client, from all budgets it counts in or from none.
    ///
    /// # Errors
    ///
    /// The time after which all of them allow one again.
    pub fn take(&mut self, client: AddressKey, now: Instant) -> Result<(), Duration> {
        self.check(client, now)?;
        self.record(client, now);
        Ok(())
    }

    /// [`Spent::check`] for a client.
    ///
    /// # Errors
    ///
    /// As of [`take`](Self::take).
    pub fn check(&self, client: AddressKey, now: Instant) -> Result<(), Duration> {
        let waits = self.levels(client).filter_map(|(network, limit)| {
            let spent = self.spent.get(&network)?;
            spent.check(now, limit).err()
        });
        waits.max().map_or(Ok(()), Err)
    }

    /// [`Spent::record`] for a client.
    pub fn record(&mut self, client: AddressKey, now: Instant) {
        for (network, limit) in self.levels(client) {
            self.record_one(network, now, limit);
        }
    }

    /// Records one for a client that was allowed by somebody else who has not heard of all that is recorded here.
    pub fn record_more(&mut self, client: AddressKey, now: Instant) {
        for (network, limit) in self.levels(client) {
            self.make_room(network);
            self.change(network, |spent| spent.record_more(now, limit));
        }
    }

    fn record_one(&mut self, network: AddressKey, now: Instant, limit: Limit) {
        self.make_room(network);
        self.change(network, |spent| spent.record(now, limit));
    }

    fn make_room(&mut self, network: AddressKey) {
        if self.len() >= self.cap && !self.spent.contains_key(&network) {
            self.forget_first();
        }
    }

    /// Takes back one that was recorded for a client.
    pub fn take_back(&mut self, client: AddressKey) {
        for (network, limit) in self.levels(client) {
            if self.spent.contains_key(&network) {
                self.change(network, |spent| spent.take_back(limit.step()));
            }
        }
    }

    fn change(&mut self, network: AddressKey, change: impl FnOnce(&mut Spent)) {
        let spent = self.spent.entry(network).or_default();
        if let Some(end) = spent.empty_at {
            self.by_end.remove(&(end, network));
        }
        change(spent);
        match spent.empty_at {
            Some(end) => drop(self.by_end.insert((end, network))),
            // Beyond what the clock can tell.
            None => drop(self.spent.remove(&network)),
        }
    }

    /// Forgets the networks whose budget is whole again.
    pub fn prune(&mut self, now: Instant) {
        while self.next_prune().is_some_and(|due| due <= now) {
            self.forget_first();
        }
        if self.spent.is_empty() {
            // The map would keep its size for as long as the relay runs.
            self.spent.shrink_to_fit();
        }
    }

    /// When [`prune`](Self::prune) will next find something to forget; `None` while empty.
    pub fn next_prune(&self) -> Option<Instant> {
        self.by_end.first().map(|&(end, _)| end)
    }

    /// How many networks are remembered.
    pub fn len(&self) -> usize {
        self.spent.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.spent.is_empty()
    }

    fn forget_first(&mut self) {
        if let Some((_, network)) = self.by_end.pop_first() {
            self.spent.remove(&network);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests;
