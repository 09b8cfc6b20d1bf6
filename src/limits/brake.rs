//! The brake on guessing room codes, over the whole relay. Pure: the time is passed in.

use std::time::{Duration, Instant};

use super::budget::Limit;

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
/// What that costs a guesser: while the brake is on, a session (which is not read while an answer is
/// due) tests one code per `longest` instead of one per round trip, so that `s` sessions test no more
/// than `s / longest`. Since a right code is never delayed, silence tells it as much as a refusal
/// does; but leaving early costs a new connection for every code. And the budget of its address
/// is charged when the join is refused, not when that is answered: waiting or not, `a` addresses (no
/// more than [`AddressBudgets`] remembers) test at most `a × RELAY_FAILED_JOIN_MAX` codes per
/// `RELAY_FAILED_JOIN_WINDOW`. With 10 per 600 s, 10,000 addresses are good for 167 a second: in the
/// 1800 s of a given room they meet its 6 characters (36⁶ = 2.2 × 10⁹ codes) with a chance of 1 in
/// 7,256, and 8 characters with 1 in 9.4 million.
///
/// [`AddressBudgets`]: super::budget::AddressBudgets
#[derive(Debug)]
pub struct Brake {
    step: Duration,
    free: Duration,
    longest: Duration,
    /// When the bucket will have drained.
    empty_at: Option<Instant>,
}

impl Brake {
    /// Answers refusals at once while there are no more than `limit` allows, and otherwise after
    /// `longest` at most.
    pub fn new(limit: Limit, longest: Duration) -> Self {
        let max = u32::try_from(limit.max).unwrap_or(u32::MAX).max(1);
        Self {
            step: limit.window / max,
            free: limit.window,
            longest,
            empty_at: None,
        }
    }

    /// Counts a join that is refused now, and tells how long to hold back the answer. Answers are
    /// never due in another order than the refusals.
    pub fn refused(&mut self, now: Instant) -> Duration {
        let standing = self
            .empty_at
            .map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        let level = (standing + self.step).min(self.free.saturating_add(self.longest));
        self.empty_at = now.checked_add(level);
        level.saturating_sub(self.free)
    }
}

#[cfg(test)]
mod tests;
