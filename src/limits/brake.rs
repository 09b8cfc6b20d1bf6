//! The brake on guessing room codes, over the whole relay. Pure: the time is passed in.

use std::time::{Duration, Instant};

use super::budget::{Limit, Spent};

/// Slows down the guessing of room codes from many addresses at once: it says how long to hold
/// back the answer to each refused join of the whole relay.
///
/// It is a leaky bucket. A refusal pours in one `step = window / max`, time drains it, and what
/// stands above `window` is waited for:
///
/// - `max` refusals in a row are answered at once, and any number at no more than one a step;
/// - beyond that, answers leave one a step until the wait has grown to `longest`, after
///   `longest / step` refusals too many. Nobody ever waits longer, and since the bucket holds no
///   more either, waiting ends about `longest` after the guessing does.
///
/// What that costs a guesser: while the brake is on, a session (of which nothing is looked at while an
/// answer is due) tests one code per `longest` instead of one per round trip, so that `s` sessions
/// test no more than `s / longest`. Since a right code is not delayed by it, silence tells as much as
/// a refusal does; but leaving early costs a new connection for every code. And the budget of its
/// address is charged when the join is refused, not when that is answered: waiting or not, `a`
/// addresses (no more than [`AddressBudgets`] remembers) test `a × RELAY_FAILED_JOIN_MAX` codes, and
/// as many more per `RELAY_FAILED_JOIN_WINDOW`. With 10 per 600 s, 10,000 addresses are good for 167 a
/// second: 400,000 in the 1800 s of a given room, of 25⁶ = 2.4 × 10⁸ codes with 6 characters.
///
/// [`AddressBudgets`]: super::budget::AddressBudgets
#[derive(Debug)]
pub struct Brake {
    step: Duration,
    free: Duration,
    longest: Duration,
    bucket: Spent,
}

impl Brake {
    /// Answers refusals at once while there are no more than `limit` allows, and otherwise after
    /// `longest` at most.
    pub fn new(limit: Limit, longest: Duration) -> Self {
        Self {
            step: limit.step(),
            free: limit.window,
            longest,
            bucket: Spent::default(),
        }
    }

    /// Counts a join that is refused now, and tells how long to hold back the answer. Answers are
    /// never due in another order than the refusals.
    pub fn refused(&mut self, now: Instant) -> Duration {
        let most = self.free.saturating_add(self.longest);
        let level = self.bucket.pour(now, self.step, most);
        level.saturating_sub(self.free)
    }
}

#[cfg(test)]
mod tests;
