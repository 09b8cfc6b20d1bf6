use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::{collection::vec, prelude::*};

use super::*;

pub(in crate::limits) const TICK: Duration = Duration::from_nanos(1);
/// One comes back every 20 seconds.
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

/// An address in this /56 of a /48, and this /64 of that.
fn v6(net56: u8, net64: u8) -> AddressKey {
    let subnet = u16::from_be_bytes([net56, net64]);
    IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 1, subnet, 0, 0, 0, 1)).into()
}

#[test]
fn a_budget_is_spent_and_comes_back_one_by_one() {
    let start = Instant::now();
    let mut spent = Spent::default();
    for at in [0, 1, 2] {
        assert_eq!(spent.take(start + secs(at), LIMIT), Ok(()));
    }
    assert_eq!(spent.take(start + secs(10), LIMIT), Err(secs(10)));
    assert_eq!(spent.take(start + secs(20) - TICK, LIMIT), Err(TICK));
    for at in [20, 40, 60] {
        assert_eq!(spent.take(start + secs(at), LIMIT), Ok(()));
        assert_eq!(spent.take(start + secs(at), LIMIT), Err(secs(20)));
    }
    let rested = start + secs(120);
    for _ in 0..3 {
        assert_eq!(spent.take(rested, LIMIT), Ok(()), "all of it is back");
    }
    assert_eq!(spent.take(rested, LIMIT), Err(secs(20)));
}

#[test]
fn refusals_do_not_extend_the_wait() {
    let start = Instant::now();
    let mut spent = Spent::default();
    for _ in 0..LIMIT.max {
        assert_eq!(spent.take(start, LIMIT), Ok(()));
    }
    for at in 1..20 {
        assert_eq!(spent.take(start + secs(at), LIMIT), Err(secs(20 - at)));
    }
    assert_eq!(spent.take(start + secs(20), LIMIT), Ok(()));
}

#[test]
fn what_is_recorded_beyond_the_budget_makes_nobody_wait_for_longer() {
    let start = Instant::now();
    let mut spent = Spent::default();
    for _ in 0..10 {
        spent.record(start, LIMIT);
    }
    assert_eq!(spent.check(start, LIMIT), Err(secs(20)));
    assert_eq!(spent.check(start + secs(20), LIMIT), Ok(()));
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
fn addresses_have_a_budget_each() {
    let start = Instant::now();
    let mut budgets = AddressBudgets::new(LIMIT, 10);
    for _ in 0..LIMIT.max {
        assert_eq!(budgets.take(key(1), start), Ok(()));
    }
    assert_eq!(budgets.take(key(1), start), Err(secs(20)));
    assert_eq!(budgets.take(key(2), start), Ok(()));
    assert_eq!((budgets.len(), budgets.is_empty()), (2, false));
}

#[test]
fn a_wider_network_has_more_and_what_is_refused_in_it_costs_the_narrower_nothing() {
    let start = Instant::now();
    let mut budgets = AddressBudgets::new(LIMIT, 1000);
    let mut taken = |clients: Vec<AddressKey>| {
        let taken = clients
            .into_iter()
            .filter(|&it| budgets.take(it, start).is_ok());
        taken.count()
    };
    assert_eq!(taken(vec![v6(0, 0); 10]), 3);
    assert_eq!(taken((1..100).map(|n| v6(0, n)).collect()), 12 - 3);
    let others = (1..100).flat_map(|n| [v6(n, 0), v6(n, 1)]);
    assert_eq!(taken(others.collect()), 48 - 12);
    // Each waits for the widest that is spent.
    assert_eq!(budgets.check(v6(200, 0), start), Err(secs(60) / 48));
    assert_eq!(budgets.check(v6(0, 200), start), Err(secs(5)));
    assert_eq!(budgets.check(v6(0, 0), start), Err(secs(20)));
    assert_eq!(budgets.take(v6(200, 0), start + secs(2)), Ok(()));
}

#[test]
fn asking_remembers_nobody() {
    let budgets = AddressBudgets::new(LIMIT, 10);
    assert_eq!(budgets.check(key(1), Instant::now()), Ok(()));
    assert!(budgets.is_empty());
    assert_eq!(budgets.next_prune(), None);
}

#[test]
fn who_has_the_least_left_of_what_it_spent_makes_room() {
    let start = Instant::now();
    let mut budgets = AddressBudgets::new(LIMIT, 2);
    for _ in 0..3 {
        budgets.record(key(1), start);
    }
    // Many others that spend one each.
    for n in 2..100 {
        budgets.record(key(n), start + secs(1));
    }
    assert_eq!(budgets.len(), 2);
    assert!(
        budgets.check(key(1), start + secs(1)).is_err(),
        "remembered"
    );
}

#[test]
fn addresses_are_forgotten_when_their_budget_is_whole() {
    let start = Instant::now();
    let mut budgets = AddressBudgets::new(LIMIT, 10);
    budgets.record(key(1), start);
    budgets.record(key(2), start + secs(5));
    budgets.record(key(1), start + secs(9));
    assert_eq!(budgets.next_prune(), Some(start + secs(25)));
    budgets.prune(start + secs(25) - TICK);
    assert_eq!(budgets.len(), 2);
    budgets.prune(start + secs(25));
    assert_eq!(budgets.len(), 1);
    budgets.prune(start + secs(40));
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

proptest! {
    #[test]
    fn a_window_grants_the_budget_and_what_comes_back_meanwhile(
        limit in limit(),
        times in times(),
    ) {
        let mut spent = Spent::default();
        let mut granted: Vec<Instant> = Vec::new();
        for now in times {
            match spent.take(now, limit) {
                Ok(()) => granted.push(now),
                Err(wait) => {
                    prop_assert!(wait <= limit.step());
                    prop_assert_eq!(spent.check(now + wait - TICK, limit), Err(TICK));
                    prop_assert_eq!(spent.check(now + wait, limit), Ok(()));
                    // Not without cause.
                    let lately = granted.iter().filter(|&&then| now - then < limit.window);
                    prop_assert!(lately.count() >= limit.max);
                }
            }
        }
        for (first, &begun) in granted.iter().enumerate() {
            for (more, &ended) in granted[first..].iter().enumerate() {
                let back = (ended - begun).as_nanos() / limit.step().as_nanos();
                prop_assert!(more as u128 <= limit.max as u128 + back);
            }
        }
    }

    /// Against budgets that forget nobody.
    #[test]
    fn addresses_are_forgotten_only_for_time_or_for_the_cap(
        limit in limit(),
        cap in 3..20usize,
        times in times(),
        clients in vec((0..4u8, 0..4u8, any::<bool>(), any::<bool>()), 200),
    ) {
        let mut budgets = AddressBudgets::new(limit, cap);
        let mut all = AddressBudgets::new(limit, usize::MAX);
        let mut end = None;
        let mut forgotten = false;
        for (now, (one, two, is_v4, prune)) in times.into_iter().zip(clients) {
            let client = if is_v4 { key(one) } else { v6(one, two) };
            if prune {
                budgets.prune(now);
            }
            let (found, expected) = (budgets.check(client, now), all.check(client, now));
            match forgotten {
                false => prop_assert_eq!(found, expected),
                true => prop_assert!(found.is_ok() || found <= expected),
            }
            if found.is_ok() {
                budgets.record(client, now);
                all.record(client, now);
            }
            forgotten |= budgets.len() == cap;
            prop_assert_eq!(budgets.by_end.len(), budgets.len());
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

#[test]
fn another_limit_has_nobody_wait_for_longer_than_it_says() {
    let now = Instant::now();
    let mut spent = Spent::default();
    for _ in 0..LIMIT.max {
        assert_eq!(spent.take(now, LIMIT), Ok(()));
    }
    let shorter = Limit {
        max: 10,
        window: secs(10),
    };
    assert_eq!(spent.check(now, shorter), Err(secs(1)));
    let wider = Limit { max: 6, ..LIMIT };
    assert_eq!(spent.take(now, wider), Err(secs(10)));
    assert_eq!(spent.take(now + secs(10), wider), Ok(()));

    let mut budgets = AddressBudgets::new(LIMIT, 10);
    for _ in 0..LIMIT.max {
        assert_eq!(budgets.take(key(1), now), Ok(()));
    }
    budgets.set_limit(shorter);
    assert_eq!(budgets.take(key(1), now), Err(secs(1)));
    for _ in 0..shorter.max {
        assert_eq!(budgets.take(key(2), now), Ok(()));
    }
}
