use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn address(number: u32) -> Option<AddressKey> {
    Some(IpAddr::from(Ipv4Addr::from_bits(number)).into())
}

/// How many of so many lines at one moment are taken.
fn taken(budget: &mut LogBudget, client: Option<AddressKey>, lines: usize, now: Instant) -> usize {
    (0..lines).filter(|_| budget.take(client, now)).count()
}

#[test]
fn an_address_has_its_burst_and_then_its_rate() {
    let (mut budget, begin) = (LogBudget::default(), Instant::now());
    assert_eq!(taken(&mut budget, address(1), 1000, begin), 80);
    for second in 1..100 {
        let now = begin + second * SECOND;
        assert_eq!(taken(&mut budget, address(1), 1000, now), 10, "{second}");
    }
    // A burst that is whole grows no further.
    let rested = begin + 3600 * SECOND;
    assert_eq!(taken(&mut budget, address(1), 1000, rested), 80);
}

#[test]
fn an_address_that_floods_leaves_the_others_theirs() {
    let (mut budget, begin) = (LogBudget::default(), Instant::now());
    for second in 0..100 {
        let now = begin + second * SECOND;
        taken(&mut budget, address(1), 5000, now);
        assert_eq!(taken(&mut budget, address(2), 4, now), 4, "{second}");
    }
}

#[test]
fn all_together_stay_below_what_the_journal_takes() {
    let (mut budget, begin) = (LogBudget::default(), Instant::now());
    let mut lines = 0;
    for second in 0..30 {
        let now = begin + second * SECOND;
        lines += (0..500)
            .map(|it| taken(&mut budget, address(it), 100, now))
            .sum::<usize>();
    }
    // Two further lines a second may tell how many were left out.
    assert!((3600..3940).contains(&lines), "{lines}");
}

#[test]
fn lines_of_nobody_in_particular_are_of_the_whole_budget() {
    let (mut budget, now) = (LogBudget::default(), Instant::now());
    assert_eq!(taken(&mut budget, None, 1000, now), 800);
    assert!(!budget.take(address(1), now));
}

#[test]
fn a_busy_relay_loses_no_line() {
    let (mut budget, begin) = (LogBudget::default(), Instant::now());
    // A thousand rooms a minute, each with four lines (its begin and end, its receiver's too), from as many
    // homes as the budgets of requests make it.
    for room in 0..20_000 {
        let now = begin + room * Duration::from_millis(60);
        assert_eq!(taken(&mut budget, address(room % 50), 4, now), 4, "{room}");
    }
}

#[test]
fn what_is_left_out_costs_nothing() {
    let (mut budget, now) = (LogBudget::default(), Instant::now());
    taken(&mut budget, address(1), 1000, now);
    assert_eq!(taken(&mut budget, None, 1000, now), 800 - 80);
}

#[test]
fn no_more_addresses_are_remembered_than_have_had_a_line_of_late() {
    let (mut budget, begin) = (LogBudget::default(), Instant::now());
    let mut lines = 0;
    for number in 0..200_000 {
        // Each line from somebody else, as fast as they are taken.
        let now = begin + number * Duration::from_millis(5);
        lines += usize::from(budget.take(address(number), now));
        assert!(budget.networks.len() <= MAX_NETWORKS);
    }
    assert!(lines > 10_000, "{lines}");
}

/// A client in this /48, this /56 of it, and this /64 of that.
fn v6(net48: u16, net56: u8, net64: u8) -> Option<AddressKey> {
    let subnet = u16::from_be_bytes([net56, net64]);
    Some(IpAddr::from(Ipv6Addr::new(0x2001, net48, 0, subnet, 0, 0, 0, 1)).into())
}

#[test]
fn a_home_has_no_more_than_its_share_however_many_networks_it_has() {
    let same64 = vec![v6(1, 2, 3)];
    let same56: Vec<_> = (0..=u8::MAX).map(|n| v6(1, 2, n)).collect();
    let same48: Vec<_> = (0..=u8::MAX).map(|n| v6(1, n, n)).collect();
    for (clients, times) in [(same64, 1), (same56, 2), (same48, 3)] {
        let (mut budget, begin) = (LogBudget::default(), Instant::now());
        let mut all = |now| -> usize {
            let taken = |&client: &_| taken(&mut budget, client, 100, now);
            clients.iter().map(taken).sum()
        };
        assert_eq!(all(begin), times * 80);
        assert_eq!(all(begin + SECOND), times * 10);
        assert_eq!(taken(&mut budget, address(1), 20, begin), 20);
    }
}

#[test]
fn no_more_networks_are_remembered_of_homes_that_have_had_a_line_of_late() {
    let (mut budget, begin) = (LogBudget::default(), Instant::now());
    for number in 0..60_000 {
        let now = begin + u32::from(number) * Duration::from_millis(20);
        assert!(budget.take(v6(number, 0, 0), now));
        assert!(budget.networks.len() <= MAX_NETWORKS);
    }
}
