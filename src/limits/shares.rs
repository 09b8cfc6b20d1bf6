//! What one client may have of what the whole relay has: sessions, rooms, bytes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use super::address::AddressKey;
use crate::flow::credit::Pool;

/// Networks whose pools are kept track of before the first look at which of them are still in use.
const FEW: usize = 64;

/// A pool of the whole relay, and a share of it for each client address.
///
/// An IPv6 client has a share as a /64, one of twice the size as a /56, and of three times as a /48. What
/// is taken for it must fit into all of them, and into the whole.
///
/// A share is remembered for as long as anything is taken of it, or somebody is about to: there are
/// at most three for each unit outstanding, and as many that nobody needs any more.
#[derive(Debug)]
pub struct Shares {
    whole: Arc<Pool>,
    used: Mutex<Used>,
}

#[derive(Debug)]
struct Used {
    each: usize,
    pools: HashMap<AddressKey, Weak<Pool>>,
    /// How many there may be before those that nobody needs are looked for.
    sweep_at: usize,
}

impl Shares {
    /// Shares of `each`, or of all there is if that is less, in `whole` units.
    pub fn new(whole: usize, each: usize) -> Self {
        Self {
            whole: Pool::new(whole),
            used: Mutex::new(Used {
                each,
                pools: HashMap::new(),
                sweep_at: FEW,
            }),
        }
    }

    /// Shares of an operator's choice, or where that is 0 of a quarter of the whole, but not less
    /// than `least`.
    pub fn chosen(whole: usize, each: usize, least: usize) -> Self {
        Self::new(whole, choice(whole, each, least))
    }

    /// Lets there be so much from here on, chosen as in [`Shares::chosen`]. Nobody loses what it has.
    pub fn choose(&self, whole: usize, each: usize, least: usize) {
        let mut used = self.used();
        used.each = choice(whole, each, least);
        self.whole.set_limit(whole);
        for (&network, pool) in &used.pools {
            if let Some(pool) = pool.upgrade() {
                let times = network.levels().position(|level| level == network);
                pool.set_limit(used.share(times.map_or(1, |before| before + 1)));
            }
        }
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        // Every change to the pools is whole before anything can panic.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pool of the whole relay.
    pub fn whole(&self) -> &Arc<Pool> {
        &self.whole
    }

    /// The pool of a client. Asked once a session, a room or a join, so a lock will do.
    pub fn of(&self, client: AddressKey) -> Arc<Pool> {
        let mut used = self.used();
        let widest_first = client.levels().rev().zip((1..=client.levels().len()).rev());
        let pool = widest_first.fold(Arc::clone(&self.whole), |wider, (network, times)| {
            let share = used.share(times);
            used.pool(network, &wider, share)
        });
        used.sweep();
        pool
    }

    /// How much is taken for each of these clients itself, in their order and at one moment.
    pub fn used_by(&self, clients: impl Iterator<Item = AddressKey>) -> Vec<usize> {
        let used = self.used();
        let of = |client| {
            let pool = used.pools.get(&client).and_then(Weak::upgrade);
            pool.map_or(0, |pool| pool.used())
        };
        clients.map(of).collect()
    }

    /// How much is taken for the widest network that a client counts in.
    pub fn used_around(&self, client: AddressKey) -> usize {
        let used = self.used();
        let widest = client.levels().next_back();
        let pool = widest.and_then(|network| used.pools.get(&network)?.upgrade());
        pool.map_or(0, |pool| pool.used())
    }
}

/// What each is to have.
fn choice(whole: usize, each: usize, least: usize) -> usize {
    match each {
        0 => (whole / 4).max(least),
        each => each,
    }
}

impl Used {
    /// The share of a network that is as wide as `times` says.
    fn share(&self, times: usize) -> usize {
        self.each.saturating_mul(times)
    }

    fn pool(&mut self, network: AddressKey, wider: &Arc<Pool>, limit: usize) -> Arc<Pool> {
        let known = self.pools.get(&network).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let pool = Pool::part_of(wider, limit);
            self.pools.insert(network, Arc::downgrade(&pool));
            pool
        })
    }

    /// Forgets the pools that nobody needs, when there may be as many as of the others.
    fn sweep(&mut self) {
        if self.pools.len() >= self.sweep_at {
            self.pools.retain(|_, pool| pool.strong_count() > 0);
            self.sweep_at = FEW.max(2 * self.pools.len());
            self.pools.shrink_to(self.sweep_at);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
