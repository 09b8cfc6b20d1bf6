use std::{net::IpAddr, time::Duration};

use proptest::{collection::vec, prelude::*};

use super::{latest::KEPT, *};

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
    assert!(rules.unblock(network("192.0.2.7"), at(1)).is_none());
    let around = rules.blocked_around(network("192.0.2.7"), at(1));
    assert_eq!(around, Some(network("192.0.2.0/24")));
    assert!(rules.unblock(network("192.0.2.0/24"), at(1)).is_some());
    assert!(rules.unblock(network("192.0.2.0/24"), at(1)).is_none());
    assert!(!is_blocked(&rules, "192.0.2.7", 1));
    // A block that has ended is none.
    rules
        .block(network("192.0.2.0/24"), Some(at(10)), at(0))
        .unwrap();
    assert_eq!(rules.blocked_around(network("192.0.2.7"), at(10)), None);
    assert!(rules.unblock(network("192.0.2.0/24"), at(10)).is_none());
}

#[test]
fn the_limit_of_the_narrowest_network_counts_and_all_in_it_share_one_pace() {
    let (rules, now) = (Rules::default(), Instant::now());
    let pace = |who: &str| match rules.of(client(who), at(0)) {
        Rule::Limited(pace) => Some(pace),
        _ => None,
    };
    let limit = |text, bytes| rules.limit(network(text), bytes, at(0), now).unwrap();
    let unlimit = |text| rules.unlimit(network(text), at(1), now).is_some();
    limit("192.0.2.0/24", 100_000);
    limit("192.0.2.7", 200_000);
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
    assert!(unlimit("192.0.2.7"));
    assert!(!unlimit("192.0.2.7"));
    assert!(Arc::ptr_eq(&wide, &pace("192.0.2.7").unwrap()));
    assert!(unlimit("192.0.2.0/24"));
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
        .limit(network("192.0.2.4"), 7, at(0), Instant::now())
        .unwrap();
    let text = serde_json::to_string(&before.decided(at(0))).unwrap();
    let decided: Decided = serde_json::from_str(&text).unwrap();
    let moment = Instant::now() + Duration::from_secs(1);
    assert!(after.merge(decided.clone(), at(10), moment));
    assert!(!after.merge(decided, at(10), moment), "once more");
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
        rules.limit(nth(number), 1, at(0), now).unwrap();
    }
    assert_eq!(rules.block(nth(MOST), None, at(0)), Err(TooMany(MOST)));
    assert_eq!(rules.limit(nth(MOST), 1, at(0), now), Err(TooMany(MOST)));
    // One that is there may change, and those that have ended make room.
    rules.block(nth(0), Some(at(20)), at(0)).unwrap();
    rules.block(nth(MOST), None, at(10)).unwrap();
    assert_eq!(rules.decided(at(10)).blocks.len(), 2);
}

#[test]
fn what_was_kept_before_relays_told_each_other_holds_until_something_is_decided() {
    let before = r#"{"blocks":[{"network":"192.0.2.1","until":null}],"limits":[{"network":"192.0.2.2","bytes_per_sec":7}]}"#;
    let (old, new) = (Rules::default(), Rules::default());
    old.merge(serde_json::from_str(before).unwrap(), at(0), Instant::now());
    assert!(is_blocked(&old, "192.0.2.1", 1));
    assert!(matches!(
        old.of(client("192.0.2.2"), at(1)),
        Rule::Limited(_)
    ));
    new.block(network("192.0.2.1"), Some(at(9)), at(1)).unwrap();
    assert!(new.unblock(network("192.0.2.1"), at(2)).is_some());
    old.merge(new.known(at(3)), at(3), Instant::now());
    assert!(!is_blocked(&old, "192.0.2.1", 3));
}

#[test]
fn what_was_ended_stays_ended_where_one_comes_back_that_did_not_hear_it() {
    let (here, away) = (Rules::default(), Rules::default());
    let now = Instant::now();
    here.block(network("192.0.2.1"), None, at(5)).unwrap();
    here.limit(network("192.0.2.2"), 7, at(5), now).unwrap();
    away.merge(here.known(at(5)), at(5), now);
    // By clocks that have lost an hour.
    assert!(here.unblock(network("192.0.2.1"), at(-3600)).is_some());
    assert!(here.unlimit(network("192.0.2.2"), at(-3600), now).is_some());
    assert!(!here.merge(away.known(at(6)), at(6), now));
    assert!(away.merge(here.known(at(6)), at(6), now));
    assert_eq!(away.decided(at(6)), Decided::default());
    assert_eq!(away.fingerprint(), here.fingerprint());
    // It need not be known for ever.
    let later = at(6) + KEPT;
    assert_eq!(here.known(later), Decided::default());
}

#[test]
fn what_has_ended_is_bounded_and_what_holds_is_kept_before_it() {
    let (rules, now) = (Rules::default(), Instant::now());
    rules.block(network("192.0.2.1"), None, at(0)).unwrap();
    for number in 0..MOST + 10 {
        let network = network(&format!("10.0.{}.{}", number / 256, number % 256));
        let then = at(number as i64);
        rules.block(network, None, then).unwrap();
        rules.unblock(network, then);
        rules.limit(network, 1, then, now).unwrap();
        rules.unlimit(network, then, now);
    }
    let known = rules.known(at(MOST as i64 + 10));
    assert_eq!((known.blocks.len(), known.limits.len()), (MOST + 1, MOST));
    assert!(is_blocked(&rules, "192.0.2.1", 5000));
    // Two that were apart may have more together than there may be.
    let crowd = |second: u8| {
        let block = |number| Block {
            network: network(&format!("10.{second}.{}.{}", number / 256, number % 256)),
            until: None,
            decided: at(second.into()),
        };
        Decided {
            blocks: (0..MOST).map(block).collect(),
            limits: Vec::new(),
        }
    };
    let (one, other) = (Rules::default(), Rules::default());
    for (rules, order) in [(&one, [1, 2]), (&other, [2, 1])] {
        for second in order {
            rules.merge(crowd(second), at(9), now);
        }
        assert_eq!(rules.decided(at(9)), crowd(2));
    }
    assert_eq!(one.fingerprint(), other.fingerprint());
}

#[test]
fn a_table_is_told_in_parts() {
    let rules = Rules::default();
    for number in 0..TOLD + 1 {
        let network = network(&format!("10.0.{}.{}", number / 256, number % 256));
        rules.block(network, None, at(0)).unwrap();
    }
    let known = rules.known(at(0));
    let parts: Vec<_> = known.parts().collect();
    assert_eq!(parts.len(), 2);
    assert_eq!(
        [&parts[0].blocks[..], &parts[1].blocks[..]].concat(),
        known.blocks
    );
}

/// What may happen among three relays.
#[derive(Debug, Clone)]
enum Deed {
    /// One decides, by a clock of its own.
    Block(Option<i64>),
    Unblock,
    Limit(u64),
    Unlimit,
    /// It tells another one all it knows.
    Tell(usize),
    /// It tells what it has told before: words may come late, twice or never.
    Late(usize),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        proptest::option::of(0..200i64).prop_map(Deed::Block),
        Just(Deed::Unblock),
        (1..9u64).prop_map(Deed::Limit),
        Just(Deed::Unlimit),
        (0..3usize).prop_map(Deed::Tell),
        (0..3usize).prop_map(Deed::Late),
    ]
}

proptest! {
    #[test]
    fn in_whatever_order_relays_tell_each_other_all_end_with_the_same(
        deeds in vec((0..3usize, 0..4u8, 0..100i64, deed()), 0..60)
    ) {
        let relays: [Rules; 3] = Default::default();
        let (moment, end) = (Instant::now(), at(100));
        let mut made = Vec::new();
        let mut words: Vec<Decided> = Vec::new();
        for (who, whom, second, deed) in deeds {
            let (rules, whom, now) = (&relays[who], network(&format!("192.0.2.{whom}")), at(second));
            match deed {
                Deed::Block(until) => made.extend(rules.block(whom, until.map(at), now)),
                Deed::Unblock => made.extend(rules.unblock(whom, now)),
                Deed::Limit(bytes) => made.extend(rules.limit(whom, bytes, now, moment)),
                Deed::Unlimit => made.extend(rules.unlimit(whom, now, moment)),
                Deed::Tell(other) => {
                    words.push(rules.known(now));
                    relays[other].merge(rules.known(now), now, moment);
                }
                Deed::Late(other) => {
                    let word = words.get(usize::try_from(second).unwrap() % words.len().max(1));
                    relays[other].merge(word.cloned().unwrap_or_default(), now, moment);
                }
            }
        }
        // All meet.
        for _ in 0..2 {
            for (from, to) in [(0, 1), (1, 2), (2, 0)] {
                relays[to].merge(relays[from].known(end), end, moment);
            }
        }
        // As one who has heard every single word, the last first.
        let witness = Rules::default();
        for decided in made.into_iter().rev() {
            witness.merge(decided, end, moment);
        }
        for rules in &relays {
            prop_assert_eq!(rules.known(end), witness.known(end));
            prop_assert_eq!(rules.fingerprint(), witness.fingerprint());
            prop_assert_eq!(rules.decided(end), witness.decided(end));
        }
    }
}
