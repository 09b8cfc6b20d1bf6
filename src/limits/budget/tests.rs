use std::net::{IpAddr, Ipv4Addr};

use proptest::{collection::vec, prelude::*};

use super::*;

pub(in crate::limits) const TICK: Duration = Duration::from_nanos(1);
const LIMIT: Limit = Limit {
    max: 3,
    window: Duration::from_secs(60),
};

pub(in crate::limits) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn key(n: u8) -> AddressKey {
    AddressKey::from(IpAddr::from(Ipv4Addr::new(192, 0, 2, n)))
}

#[test]
fn a_budget_is_spent_and_comes_back_one_by_one() {
    let start = Instant::now();
    let mut spent = Spent::default();
    for at in [0, 10, 20] {
        assert_eq!(spent.take(start + secs(at), LIMIT), Ok(()));
    }
    assert_eq!(spent.take(start + secs(30), LIMIT), Err(secs(30)));
    assert_eq!(spent.take(start + secs(60) - TICK, LIMIT), Err(TICK));
    assert_eq!(spent.take(start + secs(60), LIMIT), Ok(()));
    assert_eq!(spent.take(start + secs(60), LIMIT), Err(secs(10)));
    assert_eq!(spent.take(start + secs(70), LIMIT), Ok(()));
}

#[test]
fn refusals_do_not_extend_the_wait() {
    let start = Instant::now();
    let mut spent = Spent::default();
    for _ in 0..LIMIT.max {
        assert_eq!(spent.take(start, LIMIT), Ok(()));
    }
    for at in 1..60 {
        assert_eq!(spent.take(start + secs(at), LIMIT), Err(secs(60 - at)));
    }
    assert_eq!(spent.take(start + secs(60), LIMIT), Ok(()));
}

#[test]
fn recording_beyond_the_budget_keeps_the_newest() {
    let start = Instant::now();
    let mut spent = Spent::default();
    for at in 0..10 {
        spent.record(start + secs(at), LIMIT);
    }
    assert_eq!(spent.check(start + secs(10), LIMIT), Err(secs(57)));
    assert_eq!(spent.check(start + secs(67), LIMIT), Ok(()));
}

#[test]
fn a_limit_of_none_counts_as_one() {
    let limit = Limit { max: 0, ..LIMIT };
    let start = Instant::now();
    let mut spent = Spent::default();
    assert_eq!(spent.take(start, limit), Ok(()));
    assert_eq!(spent.take(start, limit), Err(limit.window));
    assert_eq!(spent.take(start + limit.window, limit), Ok(()));
}

#[test]
fn an_unused_budget_holds_no_memory_and_a_used_one_no_more_than_its_limit() {
    let mut spent = Spent::default();
    assert_eq!(spent.log.capacity(), 0);
    for _ in 0..100 {
        spent.record(Instant::now(), LIMIT);
        assert!(spent.log.capacity() <= LIMIT.max);
    }
}

#[test]
fn addresses_have_a_budget_each() {
    let start = Instant::now();
    let mut budgets = AddressBudgets::new(LIMIT, 10);
    for _ in 0..LIMIT.max {
        assert_eq!(budgets.take(key(1), start), Ok(()));
    }
    assert_eq!(budgets.take(key(1), start), Err(LIMIT.window));
    assert_eq!(budgets.take(key(2), start), Ok(()));
    assert_eq!((budgets.len(), budgets.is_empty()), (2, false));
}

#[test]
fn asking_remembers_nobody() {
    let budgets = AddressBudgets::new(LIMIT, 10);
    assert_eq!(budgets.check(key(1), Instant::now()), Ok(()));
    assert!(budgets.is_empty());
    assert_eq!(budgets.next_prune(), None);
}

#[test]
fn the_longest_untouched_makes_room() {
    let start = Instant::now();
    let full = Limit { max: 1, ..LIMIT };
    let mut budgets = AddressBudgets::new(full, 2);
    budgets.record(key(1), start);
    budgets.record(key(2), start + secs(1));
    budgets.record(key(1), start + secs(2));
    budgets.record(key(3), start + secs(3));
    assert_eq!(budgets.len(), 2);
    assert_eq!(budgets.check(key(2), start + secs(3)), Ok(()), "forgotten");
    assert_eq!(budgets.check(key(1), start + secs(3)), Err(secs(59)));
    assert_eq!(budgets.check(key(3), start + secs(3)), Err(secs(60)));
}

#[test]
fn addresses_are_forgotten_when_their_window_has_passed() {
    let start = Instant::now();
    let mut budgets = AddressBudgets::new(LIMIT, 10);
    budgets.record(key(1), start);
    budgets.record(key(2), start + secs(5));
    budgets.record(key(1), start + secs(9));
    assert_eq!(budgets.next_prune(), Some(start + secs(65)));
    budgets.prune(start + secs(65) - TICK);
    assert_eq!(budgets.len(), 2);
    budgets.prune(start + secs(65));
    assert_eq!(budgets.len(), 1);
    budgets.prune(start + secs(69));
    assert!(budgets.is_empty());
    assert_eq!(budgets.spent.capacity(), 0);
}

pub(in crate::limits) fn limit() -> impl Strategy<Value = Limit> {
    (1..6usize, 1..50u64).prop_map(|(max, ms)| Limit {
        max,
        window: Duration::from_millis(ms),
    })
}

/// Times that never go back, often equal, seldom far apart.
pub(in crate::limits) fn times() -> impl Strategy<Value = Vec<Instant>> {
    let gap = prop_oneof![Just(0), 0..5u64, 0..20u64, 0..100u64];
    vec(gap, 0..200).prop_map(|gaps| {
        let mut now = Instant::now();
        gaps.into_iter()
            .map(|ms| {
                now += Duration::from_millis(ms);
                now
            })
            .collect()
    })
}

/// How many of `log` are counted at `now`.
fn counted(log: &[Instant], now: Instant, limit: Limit) -> usize {
    log.iter()
        .filter(|&&then| now - then < limit.window)
        .count()
}

proptest! {
    #[test]
    fn exactly_the_budget_is_granted_in_any_window(limit in limit(), times in times()) {
        let mut spent = Spent::default();
        let mut granted = Vec::new();
        for now in times {
            let room = counted(&granted, now, limit) < limit.max;
            let taken = spent.take(now, limit);
            prop_assert_eq!(taken.is_ok(), room);
            match taken {
                Ok(()) => granted.push(now),
                Err(wait) => {
                    prop_assert_eq!(spent.check(now + wait - TICK, limit), Err(TICK));
                    prop_assert_eq!(spent.check(now + wait, limit), Ok(()));
                }
            }
            prop_assert!(spent.log.capacity() <= limit.max);
        }
        for run in granted.windows(limit.max + 1) {
            prop_assert!(run[limit.max] - run[0] >= limit.window);
        }
    }

    #[test]
    fn what_is_recorded_counts_even_beyond_the_budget(limit in limit(), times in times()) {
        let mut spent = Spent::default();
        let mut recorded = Vec::new();
        for now in times {
            let room = counted(&recorded, now, limit) < limit.max;
            prop_assert_eq!(spent.check(now, limit).is_ok(), room);
            spent.record(now, limit);
            recorded.push(now);
        }
    }

    /// Against a model that remembers everything in a list, the longest untouched first.
    #[test]
    fn addresses_are_forgotten_only_for_age_or_for_the_cap(
        limit in limit(),
        cap in 1..8usize,
        times in times(),
        keys in vec((0..10u8, any::<bool>()), 200),
    ) {
        let mut budgets = AddressBudgets::new(limit, cap);
        let mut model: Vec<(AddressKey, Vec<Instant>)> = Vec::new();
        let mut end = None;
        for (now, (n, prune)) in times.into_iter().zip(keys) {
            let key = key(n);
            if prune {
                budgets.prune(now);
                model.retain(|(_, log)| counted(log, now, limit) > 0);
            }
            let known = model.iter().position(|(k, _)| *k == key);
            let log = known.map(|at| model[at].1.clone()).unwrap_or_default();
            let room = counted(&log, now, limit) < limit.max;
            prop_assert_eq!(budgets.take(key, now).is_ok(), room);
            if room {
                match known {
                    Some(at) => drop(model.remove(at)),
                    // Of several last touched at the same time, any may go.
                    None if model.len() == cap => {
                        let gone = model.iter().position(|(k, _)| !budgets.spent.contains_key(k));
                        let gone = model.remove(gone.unwrap());
                        prop_assert!(model.iter().all(|(_, log)| log.last() >= gone.1.last()));
                    }
                    None => {}
                }
                model.push((key, [log, vec![now]].concat()));
            }
            prop_assert_eq!(budgets.len(), model.len());
            prop_assert_eq!(budgets.by_age.len(), model.len());
            prop_assert!(budgets.len() <= cap);
            end = Some(now);
        }
        if let Some(end) = end {
            budgets.prune(end + limit.window);
        }
        prop_assert!(budgets.is_empty());
        prop_assert_eq!(budgets.next_prune(), None);
    }

    #[test]
    fn next_prune_is_exact(limit in limit(), times in times(), keys in vec(0..10u8, 200)) {
        let mut budgets = AddressBudgets::new(limit, 100);
        for (now, n) in times.into_iter().zip(keys) {
            budgets.record(key(n), now);
        }
        while let Some(due) = budgets.next_prune() {
            let before = budgets.len();
            budgets.prune(due - TICK);
            prop_assert_eq!(budgets.len(), before);
            budgets.prune(due);
            prop_assert!(budgets.len() < before);
        }
    }
}
