use std::{net::IpAddr, time::Instant};

use relay_wire::code::RoomCode;

use super::{super::look::long_name, *};
use crate::{
    config::Config,
    observe::metrics::tally::Tally,
    rooms::{Passed, SessionId, Sight},
};

fn look(at: Instant, rooms: Vec<Seen>, clients: &[(&str, u64)]) -> Look {
    let client = |&(address, handshakes): &(&str, u64)| {
        let deeds = Deeds {
            handshakes,
            ..Deeds::default()
        };
        (address.parse::<IpAddr>().unwrap().into(), deeds)
    };
    Look {
        at,
        rooms,
        clients: clients.iter().map(client).collect(),
        handshakes: clients.iter().map(|(_, handshakes)| handshakes).sum(),
        tally: Tally {
            received: 0,
            sent: 0,
            refusals: Vec::new(),
        },
        silent: 0,
    }
}

/// A pair whose receiver was given so much, and has not taken anything of the rest for so long.
fn pair(code: RoomCode, opened: Instant, at: Instant, given: u64, untaken: Duration) -> Seen {
    let client = IpAddr::from([192, 0, 2, 7]).into();
    let fellow = |fares| Fellow { client, fares };
    let passed = Passed {
        down: given + 10,
        up: 0,
    };
    Seen {
        at,
        sight: Sight {
            code,
            opened,
            is_open: true,
            sender: Some(SessionId(1)),
            receiver: Some(SessionId(2)),
            waiting: 0,
            receivers: 1,
            passed,
            passed_now: passed,
        },
        check: false,
        sender: Some(fellow(Fares::default())),
        receiver: Some(fellow(Fares {
            given,
            untaken,
            paced: Duration::ZERO,
        })),
    }
}

fn code() -> RoomCode {
    RoomCode::random(8).unwrap()
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_rate_is_that_of_the_time_between_the_answers_of_a_rooms_own_worker() {
    let (state, start, code) = (State::new(Config::default()), Instant::now(), code());
    let seen = |at, given| pair(code, start, at, given, Duration::ZERO);
    let (before, after) = (
        look(start, vec![seen(start, 0)], &[]),
        // Its worker was slow to answer.
        look(start + SECOND, vec![seen(start + 3 * SECOND, 30_000)], &[]),
    );
    let looks = Looks {
        before: &before,
        after: &after,
        state: &state,
    };
    let (rooms, _) = looks.rooms(1);
    assert_eq!(rooms[0].down_bytes_per_sec, Some(10_000));
}

#[test]
fn what_was_not_seen_before_has_no_rate_unless_it_is_new() {
    let (state, start) = (State::new(Config::default()), Instant::now());
    let seen = |opened| pair(code(), opened, start + 2 * SECOND, 30_000, Duration::ZERO);
    let before = look(start + SECOND, Vec::new(), &[]);
    let rooms = vec![seen(start), seen(start + SECOND)];
    let after = look(start + 2 * SECOND, rooms, &[]);
    let looks = Looks {
        before: &before,
        after: &after,
        state: &state,
    };
    let (rooms, counts) = looks.rooms(2);
    let rates: Vec<_> = rooms.iter().map(|it| it.down_bytes_per_sec).collect();
    assert_eq!(rates, [Some(30_000), None]);
    assert_eq!((rooms[1].slow, counts.sender), (None, 1));
}

#[test]
fn a_room_that_is_held_up_is_not_behind_a_thousand_fast_ones() {
    let (state, start) = (State::new(Config::default()), Instant::now());
    let end = start + SECOND;
    let seen = |given, untaken| pair(code(), end, end, given, untaken);
    let fast = (0..2000).map(|it| seen(100_000 + it, Duration::ZERO));
    let slow = [seen(9000, SECOND), seen(20, SECOND)];
    let rooms: Vec<_> = fast.chain(slow).collect();
    let (before, after) = (look(start, Vec::new(), &[]), look(end, rooms, &[]));
    let looks = Looks {
        before: &before,
        after: &after,
        state: &state,
    };
    let (rooms, counts) = looks.rooms(5);
    let rates: Vec<_> = rooms
        .iter()
        .map(|it| it.down_bytes_per_sec.unwrap())
        .collect();
    assert_eq!(rates, [101_999, 20, 101_998, 9000, 101_997]);
    let (none, counts_alone) = looks.rooms(0);
    assert!(none.is_empty());
    for counts in [counts, counts_alone] {
        assert_eq!((counts.sender, counts.receiver), (2000, 2));
    }
}

#[test]
fn little_of_next_to_nothing_is_no_share() {
    let (state, start) = (State::new(Config::default()), Instant::now());
    let after = look(start + SECOND, Vec::new(), &[("192.0.2.7", 1)]);
    let looks = Looks {
        before: &look(start, Vec::new(), &[]),
        after: &after,
        state: &state,
    };
    assert_eq!(looks.who(1)[0].share_percent, 0);
    let clients = [("192.0.2.7", 15), ("192.0.2.8", 5)];
    let after = look(start + SECOND, Vec::new(), &clients);
    let looks = Looks {
        after: &after,
        ..looks
    };
    let shares: Vec<_> = looks.who(2).iter().map(|it| it.share_percent).collect();
    assert_eq!(shares, [75, 25]);
}

#[test]
fn several_floods_are_told_however_few_rows_are_shown() {
    let (state, start) = (State::new(Config::default()), Instant::now());
    let clients = [
        ("192.0.2.1", 21),
        ("192.0.2.2", 40),
        ("192.0.2.3", 22),
        ("192.0.2.4", 30),
        ("192.0.2.5", 19),
        ("127.0.0.1", 100),
    ];
    let blocked = "192.0.2.4".parse().unwrap();
    state.rules.block(blocked, None, Timestamp::now()).unwrap();
    let after = look(start + SECOND, Vec::new(), &clients);
    let looks = Looks {
        before: &look(start, Vec::new(), &[]),
        after: &after,
        state: &state,
    };
    let circumstances = Circumstances {
        decided: Decided::default(),
        kept: false,
        unkept: Some("the disk is full".to_owned()),
        cluster: None,
    };
    let status = looks.status(0, circumstances);
    assert_eq!(status.handshakes_per_sec, 232);
    assert!(status.clients.is_empty());
    assert_eq!(
        status.troubles,
        [
            "127.0.0.1 connects 100 times a second (it is this machine, or a proxy that names no client)",
            "192.0.2.2 connects 40 times a second (claude-distill-relay block 192.0.2.2)",
            "192.0.2.4 connects 30 times a second (it is blocked)",
            "2 more addresses connect 20 times a second or more often",
            "blocks and limits are not kept: the disk is full",
        ]
    );
}

#[test]
fn rooms_of_one_short_name_are_told_apart_by_more_of_it() {
    // Of so many there are two, but for once in millions of times.
    let codes: Vec<_> = std::iter::repeat_with(code).take(25_000).collect();
    let mut names: Vec<_> = codes.iter().map(short_name).collect();
    names.sort_unstable();
    let twice = names.windows(2).find(|it| it[0] == it[1]).unwrap();
    let name = &twice[0];
    let now = Instant::now();
    let rooms = codes
        .iter()
        .map(|&code| pair(code, now, now, 0, Duration::ZERO));
    let look = look(now, rooms.collect(), &[]);
    let named = look.rooms_of(name);
    assert!(named.len() > 1);
    for seen in named {
        let long = long_name(&seen.sight.code);
        assert!(long.len() == 16 && long.starts_with(name.as_str()));
        assert_eq!(look.rooms_of(&long).len(), 1);
    }
}

#[test]
fn who_has_a_whole_ipv6_network_is_told_of_by_its_name() {
    let (state, start) = (State::new(Config::default()), Instant::now());
    let clients = [
        ("2001:db8:1:2::1", 15),
        ("2001:db8:1:3::1", 15),
        ("2001:db8:2:3::1", 10),
        ("192.0.2.7", 10),
    ];
    let after = look(start + SECOND, Vec::new(), &clients);
    let looks = Looks {
        before: &look(start, Vec::new(), &[]),
        after: &after,
        state: &state,
    };
    let circumstances = Circumstances {
        decided: Decided::default(),
        kept: true,
        unkept: None,
        cluster: None,
    };
    let status = looks.status(9, circumstances);
    let first = &status.clients[0];
    assert_eq!(
        (status.clients.len(), &*first.address),
        (5, "2001:db8:1::/48")
    );
    assert_eq!((first.handshakes, first.share_percent), (30, 60));
    assert_eq!(
        status.troubles,
        ["2001:db8:1::/48 connects 30 times a second (claude-distill-relay block 2001:db8:1::/48)"]
    );
}
