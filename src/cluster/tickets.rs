//! Tickets that let one visit in: each is given for a room that was asked for, is good for seconds, and once.
//! So what somebody has seen on the way lets nobody in a second time. Pure.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use super::words::Ticket;

/// How long a ticket is good: a visit follows at once.
const GOOD_FOR: Duration = Duration::from_secs(10);
/// Tickets that may be out. The nodes that ask for them are ours; beyond that the oldest is void.
const MOST: usize = 65_536;

/// The tickets that are out.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    good: HashMap<Ticket, Instant>,
    /// In the order that they were given in, those that were used among them.
    given: VecDeque<(Instant, Ticket)>,
}

impl Tickets {
    /// Gives out a ticket, which nobody can guess.
    pub(super) fn give(&mut self, ticket: Ticket, now: Instant) {
        while self.given.len() >= MOST
            || self.given.front().is_some_and(|(at, _)| is_void(*at, now))
        {
            if let Some((_, old)) = self.given.pop_front() {
                self.good.remove(&old);
            }
        }
        self.given.push_back((now, ticket));
        self.good.insert(ticket, now);
    }

    /// Takes a ticket back; whether it was good.
    pub(super) fn take(&mut self, ticket: &Ticket, now: Instant) -> bool {
        let given = self.good.remove(ticket);
        // It may be void, and not swept yet.
        given.is_some_and(|at| !is_void(at, now))
    }
}

fn is_void(given: Instant, now: Instant) -> bool {
    now.saturating_duration_since(given) > GOOD_FOR
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(number: u128) -> Ticket {
        number.to_be_bytes()
    }

    #[test]
    fn a_ticket_is_good_once_and_for_some_seconds() {
        let now = Instant::now();
        let mut tickets = Tickets::default();
        tickets.give(ticket(1), now);
        tickets.give(ticket(2), now);
        assert!(tickets.take(&ticket(1), now));
        assert!(!tickets.take(&ticket(1), now), "twice");
        assert!(!tickets.take(&ticket(3), now), "never given");
        assert!(!tickets.take(&ticket(2), now + GOOD_FOR * 2), "too late");
    }

    #[test]
    fn what_is_out_is_bounded() {
        let now = Instant::now();
        let mut tickets = Tickets::default();
        for number in 0..3 * MOST as u128 {
            tickets.give(ticket(number), now);
        }
        assert!(tickets.given.len() <= MOST && tickets.good.len() <= MOST);
        assert!(tickets.take(&ticket(3 * MOST as u128 - 1), now));
        tickets.give(ticket(0), now + GOOD_FOR * 2);
        assert_eq!((tickets.given.len(), tickets.good.len()), (1, 1));
    }
}
