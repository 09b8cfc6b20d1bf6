//! Decisions of one kind, of which the last for each network is what counts.
//!
//! Several relays that are one decide each for all. Whichever decision is later replaces the other, wherever
//! the two meet, so that in whatever order relays tell each other, all end with the same. What has ended is
//! kept for a while: a relay that comes back after weeks does not bring back what was ended meanwhile.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::super::network::Network;

/// Decisions of a kind that may hold at once, and as many are kept that have ended.
pub(super) const MOST: usize = 1000;
/// How long a decision is kept that has ended.
pub(super) const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// One decision.
pub(super) trait Decision: Clone {
    /// Of which network it is.
    fn network(&self) -> Network;
    /// When it was made.
    fn decided(&self) -> Timestamp;
    /// When what it says ends, if ever: before anybody's now, where it says that nothing holds.
    fn end(&self) -> Option<Timestamp>;
    /// Whether it counts where both are known: for any two that differ, one does.
    fn replaces(&self, other: &Self) -> bool;

    /// Whether anything holds by it.
    fn holds(&self, now: Timestamp) -> bool {
        self.end().is_none_or(|end| now < end)
    }
}

/// The last decision for each network.
#[derive(Debug)]
pub(super) struct Latest<T>(BTreeMap<Network, T>);

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Decision> Latest<T> {
    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        self.0.values()
    }

    /// Those that hold.
    pub(super) fn holding(&self, now: Timestamp) -> impl Iterator<Item = &T> {
        self.all().filter(move |it| it.holds(now))
    }

    /// That for just this network, if it holds.
    pub(super) fn of(&self, network: Network, now: Timestamp) -> Option<&T> {
        self.0.get(&network).filter(|it| it.holds(now))
    }

    /// Whether one more may hold, of this network.
    pub(super) fn has_room_for(&self, network: Network, now: Timestamp) -> bool {
        let others = self.holding(now).filter(|it| it.network() != network);
        others.count() < MOST
    }

    /// The time of a decision that is made now: behind the one that it replaces, also where that was made by
    /// a faster clock.
    pub(super) fn moment(&self, network: Network, now: Timestamp) -> Timestamp {
        let behind = |known: &T| {
            let next = known
                .decided()
                .saturating_add(SignedDuration::from_nanos(1));
            next.unwrap_or(Timestamp::MAX)
        };
        self.0
            .get(&network)
            .map_or(now, |known| behind(known).max(now))
    }

    /// Notes a decision, unless a later one is known.
    pub(super) fn note(&mut self, decision: T) {
        let known = self.0.get(&decision.network());
        if known.is_none_or(|known| decision.replaces(known)) {
            self.0.insert(decision.network(), decision);
        }
    }

    /// Forgets what has ended long ago, and the earliest of more than there may be: each relay the same.
    pub(super) fn tidy(&mut self, now: Timestamp) {
        let ended = |it: &T| it.end().map(|end| end.max(it.decided()));
        let horizon = now.saturating_sub(KEPT).unwrap_or(Timestamp::MIN);
        self.0
            .retain(|_, it| it.holds(now) || ended(it).is_none_or(|ended| ended > horizon));
        let decided = |it: &T| it.holds(now).then(|| it.decided());
        self.bound(decided);
        self.bound(|it| ended(it).filter(|_| !it.holds(now)));
    }

    /// Keeps the latest of those that have a time by this.
    fn bound(&mut self, time: impl Fn(&T) -> Option<Timestamp>) {
        let timed = self.all().filter_map(|it| Some((time(it)?, it.network())));
        let mut timed: Vec<_> = timed.collect();
        let over = timed.len().saturating_sub(MOST);
        if over > 0 {
            timed.sort();
            for (_, network) in &timed[..over] {
                self.0.remove(network);
            }
        }
    }
}
