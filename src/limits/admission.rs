//! Who may ask now: the budgets of sessions and of client addresses, one set for all workers.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use relay_wire::{ending::Ending, reply::Reply};

use super::{
    address::AddressKey,
    brake::Brake,
    budget::{AddressBudgets, Limit, Spent},
};
use crate::config::Config;

/// Addresses remembered in each set of budgets.
const MAX_ADDRESSES: usize = 65_536;
/// The longest a refused join is held back, whoever else is guessing.
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// Refused joins a second that the whole relay answers at once.
const REFUSALS_PER_SECOND: usize = 5;

/// The budgets. Asked once a request, never for a frame, so a lock will do.
#[derive(Debug)]
pub struct Admission {
    /// What a session may ask, and an address over all of its sessions.
    requests: Limit,
    budgets: Mutex<Budgets>,
}

#[derive(Debug)]
struct Budgets {
    requests: AddressBudgets,
    refused_joins: AddressBudgets,
    brake: Brake,
}

impl Admission {
    /// Budgets as configured, none of them touched.
    pub fn new(config: &Config) -> Self {
        let requests = Limit {
            max: config.rate_limit_max,
            window: config.rate_limit_window,
        };
        let refused_joins = Limit {
            max: config.failed_join_max,
            window: config.failed_join_window,
        };
        let all_refusals = Limit {
            max: REFUSALS_PER_SECOND,
            window: Duration::from_secs(1),
        };
        Self {
            requests,
            budgets: Mutex::new(Budgets {
                requests: AddressBudgets::new(requests, MAX_ADDRESSES),
                refused_joins: AddressBudgets::new(refused_joins, MAX_ADDRESSES),
                brake: Brake::new(all_refusals, LONGEST_DELAY),
            }),
        }
    }

    fn budgets(&self) -> MutexGuard<'_, Budgets> {
        // Every change to the budgets is whole before anything can panic.
        self.budgets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Charges a request to its session, which has spent so much, and to its address, or says how
    /// long it must wait.
    ///
    /// # Errors
    ///
    /// The time after which the request is allowed.
    pub fn ask(
        &self,
        session: &mut Spent,
        client: AddressKey,
        now: Instant,
    ) -> Result<(), Duration> {
        session.take(now, self.requests)?;
        self.budgets().requests.take(client, now)
    }

    /// Has `join` try a code, unless this address has tried too many wrong ones. Who is refused is
    /// to hear of it after the delay that comes with the reply. No other try comes between the look
    /// at the budget and the charge to it, from whatever worker.
    ///
    /// # Errors
    ///
    /// The reply to a refused join, and the time after which it is to be sent.
    pub fn try_code(
        &self,
        client: AddressKey,
        now: Instant,
        join: impl FnOnce() -> Result<(), Ending>,
    ) -> Result<(), (Reply, Duration)> {
        let mut budgets = self.budgets();
        let may_try = budgets.refused_joins.check(client, now);
        may_try.map_err(|wait| (Reply::rate_limited(wait), Duration::ZERO))?;
        join().map_err(|reason| {
            let delay = match reason {
                Ending::RoomNotFound => {
                    budgets.refused_joins.record(client, now);
                    budgets.brake.refused(now)
                }
                _ => Duration::ZERO,
            };
            (reason.into(), delay)
        })
    }

    /// Forgets the addresses whose time has passed.
    pub fn prune(&self, now: Instant) {
        let mut budgets = self.budgets();
        budgets.requests.prune(now);
        budgets.refused_joins.prune(now);
    }

    /// When [`Admission::prune`] has something to forget, if ever.
    pub fn next_prune(&self) -> Option<Instant> {
        let budgets = self.budgets();
        let next = [
            budgets.requests.next_prune(),
            budgets.refused_joins.next_prune(),
        ];
        next.into_iter().flatten().min()
    }

    /// Addresses remembered.
    pub fn addresses(&self) -> usize {
        let budgets = self.budgets();
        budgets.requests.len() + budgets.refused_joins.len()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
