use std::{net::IpAddr, time::Duration};

use super::*;

fn network(text: &str) -> Network {
    text.parse().unwrap()
}

fn client(text: &str) -> AddressKey {
    text.parse::<IpAddr>().unwrap().into()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn is_blocked(rules: &Rules, who: &str, second: i64) -> bool {
    matches!(rules.of(client(who), at(second)), Rule::Blocked)
}

#[test]
fn a_block_holds_for_its_network_until_it_ends() {
    let rules = Rules::default();
    let block = |text, until: Option<i64>| rules.block(network(text), until.map(at), at(0));
    block("192.0.2.0/24", Some(10)).unwrap();
    block("2001:db8::1", None).unwrap();
    assert!(is_blocked(&rules, "192.0.2.7", 9));
    assert!(!is_blocked(&rules, "192.0.2.7", 10));
    assert!(!is_blocked(&rules, "192.0.3.7", 9));
    assert!(is_blocked(&rules, "2001:db8::ffff", 1_000_000));

    // Once more, and for another time.
    block("192.0.2.0/24", None).unwrap();
    assert!(is_blocked(&rules, "192.0.2.7", 10));
    assert_eq!(rules.decided(at(10)).blocks.len(), 2);
}

#[test]
fn a_network_is_unblocked_by_its_own_name() {
    let rules = Rules::default();
    rules
        .block(network("192.0.2.0/24"), Some(at(10)), at(0))
        .unwrap();
    assert!(!rules.unblock(network("192.0.2.7"), at(1)));
    let around = rules.blocked_around(network("192.0.2.7"), at(1));
    assert_eq!(around, Some(network("192.0.2.0/24")));
    assert!(rules.unblock(network("192.0.2.0/24"), at(1)));
    assert!(!rules.unblock(network("192.0.2.0/24"), at(1)));
    assert!(!is_blocked(&rules, "192.0.2.7", 1));
    // A block that has ended is none.
    rules
        .block(network("192.0.2.0/24"), Some(at(10)), at(0))
        .unwrap();
    assert_eq!(rules.blocked_around(network("192.0.2.7"), at(10)), None);
    assert!(!rules.unblock(network("192.0.2.0/24"), at(10)));
}

#[test]
fn the_limit_of_the_narrowest_network_counts_and_all_in_it_share_one_pace() {
    let (rules, now) = (Rules::default(), Instant::now());
    let pace = |who: &str| match rules.of(client(who), at(0)) {
        Rule::Limited(pace) => Some(pace),
        _ => None,
    };
    rules.limit(network("192.0.2.0/24"), 100_000, now).unwrap();
    rules.limit(network("192.0.2.7"), 200_000, now).unwrap();
    let wide = pace("192.0.2.8").unwrap();
    assert!(Arc::ptr_eq(&wide, &pace("192.0.2.9").unwrap()));
    assert_eq!(wide.allowance(1, now), Ok(5_000));
    assert_eq!(pace("192.0.2.7").unwrap().allowance(1, now), Ok(10_000));
    assert!(pace("192.0.3.1").is_none());

    let around = |who| {
        rules
            .limited_around(network(who))
            .map(|it| it.bytes_per_sec)
    };
    assert_eq!(around("192.0.2.7"), Some(100_000));
    assert_eq!(around("192.0.2.0/24"), None);
    assert!(rules.unlimit(network("192.0.2.7")));
    assert!(!rules.unlimit(network("192.0.2.7")));
    assert!(Arc::ptr_eq(&wide, &pace("192.0.2.7").unwrap()));
    assert!(rules.unlimit(network("192.0.2.0/24")));
    assert!(pace("192.0.2.7").is_none());
}

#[test]
fn what_was_decided_is_taken_over_as_far_as_it_holds() {
    let (before, after) = (Rules::default(), Rules::default());
    before
        .block(network("192.0.2.1"), Some(at(10)), at(0))
        .unwrap();
    before
        .block(network("192.0.2.2"), Some(at(20)), at(0))
        .unwrap();
    before.block(network("192.0.2.3"), None, at(0)).unwrap();
    before
        .limit(network("192.0.2.4"), 7, Instant::now())
        .unwrap();
    let text = serde_json::to_string(&before.decided(at(0))).unwrap();
    let decided: Decided = serde_json::from_str(&text).unwrap();
    after.restore(decided, at(10), Instant::now() + Duration::from_secs(1));
    let now: Vec<_> = after.decided(at(10)).blocks;
    let networks: Vec<_> = now.iter().map(|block| block.network.to_string()).collect();
    assert_eq!(networks, ["192.0.2.2", "192.0.2.3"]);
    assert_eq!(after.decided(at(10)).limits, before.decided(at(10)).limits);
}

#[test]
fn there_are_only_so_many() {
    let (rules, now) = (Rules::default(), Instant::now());
    let nth = |number: usize| network(&format!("10.0.{}.{}", number / 256, number % 256));
    for number in 0..MOST {
        rules.block(nth(number), Some(at(10)), at(0)).unwrap();
        rules.limit(nth(number), 1, now).unwrap();
    }
    assert_eq!(rules.block(nth(MOST), None, at(0)), Err(TooMany(MOST)));
    assert_eq!(rules.limit(nth(MOST), 1, now), Err(TooMany(MOST)));
    // One that is there may change, and those that have ended make room.
    rules.block(nth(0), Some(at(20)), at(0)).unwrap();
    rules.block(nth(MOST), None, at(10)).unwrap();
    assert_eq!(rules.decided(at(10)).blocks.len(), 2);
}
