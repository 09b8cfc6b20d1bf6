//! Who may ask now: the budgets of sessions and of client addresses, one set for all workers.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use relay_wire::{ending::Ending, reply::Reply};

use super::{
    address::AddressKey,
    brake::Brake,
    budget::{AddressBudgets, Limit, Spent},
    shares::Shares,
};
use crate::{
    config::Config,
    flow::credit::{Pool, Share},
};

/// Networks remembered in each set of budgets.
pub const MAX_ADDRESSES: usize = 65_536;
/// The longest a refused join is held back, whoever else is guessing.
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// Refused joins a second that the whole relay answers at once.
const REFUSALS_PER_SECOND: usize = 5;
/// Joins from one address that wait for its next turn to try a code; more are refused.
const MAX_LINE: usize = 5;
/// How soon what came of codes that are tried elsewhere is looked at again.
const SOUGHT: Duration = Duration::from_millis(50);
/// The longest that a join waits for the next turn.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The budgets. Asked once a request, never for a frame, so a lock will do.
#[derive(Debug)]
pub struct Admission {
    /// Joins that wait for the next turn of their address.
    line: Shares,
    /// Joins whose codes are tried elsewhere just now.
    elsewhere: Shares,
    /// Joins that wait for what comes of those: of right codes any number may come at once.
    followers: Shares,
    budgets: Mutex<Budgets>,
}

#[derive(Debug)]
struct Budgets {
    /// What a session may ask.
    session: Limit,
    requests: AddressBudgets,
    wrong_codes: AddressBudgets,
    brake: Brake,
    /// Places in line that were ever taken.
    places: u64,
}

/// A place in line, free again when dropped.
#[derive(Debug)]
pub struct Place {
    number: u64,
    /// Whether it waits for what comes of others, and not for a turn.
    follows: bool,
    _share: Share,
}

impl Place {
    /// Its number: whoever took a place before has a lower one, on whatever worker.
    pub fn number(&self) -> u64 {
        self.number
    }
}

/// What becomes of a join.
#[derive(Debug)]
pub enum Tried {
    /// It is granted.
    Granted,
    /// It is refused: the reply is to be sent after this time.
    Refused(Reply, Duration),
    /// It is to be tried again at this moment, with the place in line of its address.
    Later(Instant, Place),
    /// No room here has its code, and one elsewhere may. It is charged for a wrong code, until
    /// [`Admission::sought`] tells what came of it; the share is to be kept for as long.
    Elsewhere(Share),
}

impl Admission {
    /// Budgets as configured, none of them touched.
    pub fn new(config: &Config) -> Self {
        let [session, address, wrong_codes] = limits(config);
        let all_refusals = Limit {
            max: REFUSALS_PER_SECOND,
            window: Duration::from_secs(1),
        };
        Self {
            line: Shares::new(usize::MAX, MAX_LINE),
            followers: Shares::new(usize::MAX, usize::MAX),
            elsewhere: Shares::new(usize::MAX, usize::MAX),
            budgets: Mutex::new(Budgets {
                session,
                requests: AddressBudgets::new(address, MAX_ADDRESSES),
                wrong_codes: AddressBudgets::new(wrong_codes, MAX_ADDRESSES),
                brake: Brake::new(all_refusals, LONGEST_DELAY),
                places: 0,
            }),
        }
    }

    /// Budgets as configured, from here on; what is spent stays so.
    pub fn configure(&self, config: &Config) {
        let [session, address, wrong_codes] = limits(config);
        let mut budgets = self.budgets();
        budgets.session = session;
        budgets.requests.set_limit(address);
        budgets.wrong_codes.set_limit(wrong_codes);
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
        let mut budgets = self.budgets();
        session.take(now, budgets.session)?;
        budgets.requests.take(client, now)
    }

    /// Has `join` try a code, unless the budget of wrong codes of its address is spent. Then it waits
    /// in line with the others from there, be it right or wrong, until one more is allowed. No other
    /// try comes between the look at the budget and the charge to it, from whatever worker.
    ///
    /// `place` is its own in that line, if it has waited already. Who has none lets those go first that
    /// wait anywhere in the widest network around it. `elsewhere` says whether there are rooms that `join`
    /// does not know of.
    pub fn try_code(
        &self,
        client: AddressKey,
        place: Option<Place>,
        elsewhere: bool,
        now: Instant,
        join: impl FnOnce() -> Result<(), Ending>,
    ) -> Tried {
        let refused = |reply| Tried::Refused(reply, Duration::ZERO);
        let mut budgets = self.budgets();
        let wait = budgets.wrong_codes.check(client, now).err();
        // What those are charged that are tried elsewhere may come back.
        let follows = wait.is_some() && self.elsewhere.used_around(client) > 0;
        let wait = wait.map(|wait| if follows { wait.min(SOUGHT) } else { wait });
        // Who has only followed those takes a place in line now, if there is one.
        let place = place.filter(|it| wait.is_none() || follows || !it.follows);
        let goes_on = place.is_some() || self.line.used_around(client) == 0;
        if wait.is_some() || !goes_on {
            let line = if follows { &self.followers } else { &self.line };
            let line = line.of(client);
            let time = wait.unwrap_or_default();
            let place = match place {
                None if time <= LONGEST_WAIT => budgets.place_in(&line, follows),
                place => place.filter(|_| time <= LONGEST_WAIT),
            };
            match place {
                Some(place) => return Tried::Later(now + time, place),
                // The line is full of those from elsewhere in its network, who may wait for budgets
                // that it has no part in.
                None if wait.is_none() && line.used() == 0 => {}
                // Whoever comes back after no time at all would meet the same line.
                None => return refused(Reply::rate_limited(time.max(Duration::from_secs(1)))),
            }
        }
        match join() {
            Ok(()) => Tried::Granted,
            Err(Ending::RoomNotFound) if elsewhere => {
                budgets.wrong_codes.record(client, now);
                Tried::Elsewhere(Share::take(&self.elsewhere.of(client), 1))
            }
            Err(Ending::RoomNotFound) => {
                budgets.wrong_codes.record(client, now);
                let delay = budgets.brake.refused(now);
                Tried::Refused(Ending::RoomNotFound.into(), delay)
            }
            Err(other) => refused(other.into()),
        }
    }

    /// What came of a code that was tried elsewhere: a wrong one stays charged, and nothing else is. Returns how
    /// long the answer is to be held back. Where nobody could say that the code is wrong, it is held back as if
    /// it were: else whoever guesses would do well to come while that is so.
    pub fn sought(&self, client: AddressKey, came: Result<(), Ending>, now: Instant) -> Duration {
        let mut budgets = self.budgets();
        if came != Err(Ending::RoomNotFound) {
            budgets.wrong_codes.take_back(client);
        }
        match came {
            Err(Ending::RoomNotFound | Ending::ClusterUnavailable) => budgets.brake.refused(now),
            Ok(()) | Err(_) => Duration::ZERO,
        }
    }

    /// Nobody waits for what comes of a code that was tried elsewhere: its charge is given back.
    pub fn take_back(&self, client: AddressKey) {
        self.budgets().wrong_codes.take_back(client);
    }

    /// A client has tried a wrong code elsewhere.
    pub fn wrong_code_elsewhere(&self, client: AddressKey, now: Instant) {
        self.budgets().wrong_codes.record_more(client, now);
    }

    /// Forgets the addresses whose time has passed.
    pub fn prune(&self, now: Instant) {
        let mut budgets = self.budgets();
        budgets.requests.prune(now);
        budgets.wrong_codes.prune(now);
    }

    /// When [`Admission::prune`] has something to forget, if ever.
    pub fn next_prune(&self) -> Option<Instant> {
        let budgets = self.budgets();
        let next = [
            budgets.requests.next_prune(),
            budgets.wrong_codes.next_prune(),
        ];
        next.into_iter().flatten().min()
    }

    /// Networks with a budget that is not whole.
    pub fn addresses(&self) -> usize {
        let budgets = self.budgets();
        budgets.requests.len() + budgets.wrong_codes.len()
    }

    /// Joins that wait in line.
    pub fn waiting(&self) -> usize {
        self.line.whole().used() + self.followers.whole().used()
    }
}

/// What a session may ask, what an address may, and how many wrong codes it may try.
fn limits(config: &Config) -> [Limit; 3] {
    let limit = |max, window| Limit { max, window };
    [
        limit(config.rate_limit_max, config.rate_limit_window),
        limit(config.address_rate_limit_max, config.rate_limit_window),
        limit(config.failed_join_max, config.failed_join_window),
    ]
}

impl Budgets {
    /// The next place in a line, if one is free.
    fn place_in(&mut self, line: &Arc<Pool>, follows: bool) -> Option<Place> {
        let share = Share::try_take(line, 1).ok()?;
        self.places += 1;
        Some(Place {
            number: self.places,
            follows,
            _share: share,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
