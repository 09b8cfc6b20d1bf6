//! The signs of a client for whose place others wait.

use std::iter;

use super::*;

/// The timers that fire at this moment.
fn fired(clocks: &mut Clocks, now: Instant) -> Vec<Timer> {
    iter::from_fn(|| clocks.fire(now)).collect()
}

#[test]
fn whose_place_is_wanted_gives_way_when_it_shows_no_sign() {
    let (at, mut frozen) = begin();
    frozen.received(at(5));
    frozen.awaited(at(8), true);
    assert_eq!(fired(&mut frozen, at(14)), []);
    assert_eq!(fired(&mut frozen, at(15)), [Timer::Ask]);
    frozen.asked(at(15));
    frozen.pinged(at(15), true);
    // Bytes that fit into the buffers on the way show nothing.
    frozen.wrote(at(16), 8 << 20, None);
    assert_eq!(fired(&mut frozen, at(44)), []);
    assert_eq!(fired(&mut frozen, at(45)), [Timer::GiveWay]);

    let (at, mut live) = begin();
    live.awaited(at(0), true);
    for round in 0..20 {
        assert_eq!(
            fired(&mut live, at(30 * round + 10)).last(),
            Some(&Timer::Ask)
        );
        live.asked(at(30 * round + 10));
        live.received(at(30 * round + 30));
        live.shows_a_sign(at(30 * round + 30));
    }
    live.awaited(at(600), false);
    assert!(!fired(&mut live, at(900)).contains(&Timer::GiveWay));
}

#[test]
fn each_sign_of_taking_something_keeps_the_place() {
    let signs: [fn(&mut Clocks, Instant); 3] = [
        |clocks, now| clocks.shows_a_sign(now),
        |clocks, now| clocks.heard(now),
        |clocks, now| {
            clocks.wrote(now, 100, Some(Wait::System));
            clocks.wrote(now, 100, Some(Wait::System));
        },
    ];
    for sign in signs {
        let (at, mut live) = begin();
        live.awaited(at(10), true);
        assert_eq!(fired(&mut live, at(10)), [Timer::Ask]);
        live.asked(at(10));
        sign(&mut live, at(39));
        assert!(!fired(&mut live, at(48)).contains(&Timer::Ask));
        assert_eq!(fired(&mut live, at(49)).last(), Some(&Timer::Ask));
        live.asked(at(49));
        assert!(!fired(&mut live, at(78)).contains(&Timer::GiveWay));
        assert!(fired(&mut live, at(79)).contains(&Timer::GiveWay));
    }
}

#[test]
fn what_is_not_read_is_not_held_against_whose_place_is_wanted() {
    let (at, mut unread) = begin();
    unread.awaited(at(10), true);
    fired(&mut unread, at(10));
    unread.asked(at(10));
    unread.read(at(11), Paused);
    assert!(!fired(&mut unread, at(40)).contains(&Timer::GiveWay));
    unread.read(at(45), Between);
    assert!(fired(&mut unread, at(70)).contains(&Timer::GiveWay));
    // After a pause of the process its answer may have come, and is read first.
    assert!(unread.put_off(Timer::GiveWay, at(70), || true));
    unread.shows_a_sign(at(70));
    assert!(!fired(&mut unread, at(72)).contains(&Timer::GiveWay));
    // Nor is it asked, as a Ping would take away what it has said.
    unread.read(at(73), Paused);
    assert!(!fired(&mut unread, at(100)).contains(&Timer::Ask));
    unread.read(at(101), Between);
    unread.received(at(105));
    assert!(!fired(&mut unread, at(114)).contains(&Timer::Ask));
    assert!(fired(&mut unread, at(125)).contains(&Timer::Ask));
    // Who is being closed has a deadline of its own.
    unread.closing();
    unread.awaited(at(130), true);
    assert!(!fired(&mut unread, at(200)).contains(&Timer::Ask));
}
