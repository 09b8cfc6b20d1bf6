//! How rooms end.

use super::*;

#[test]
fn when_the_sender_leaves_everybody_goes() {
    let mut world = room(&[1, 2]);
    let end = [
        Told(2, "sender_disconnected"),
        Closed(2, "sender_disconnected"),
        Closed(1, "sender_disconnected"),
    ];
    assert_eq!(world.leave(S), end);
    assert_eq!(world.join(3, S), Err(Ending::RoomNotFound));
    assert!(world.is_empty());
}

#[test]
fn an_expired_room_ends_at_once_or_with_its_pair() {
    let mut world = room(&[]);
    assert_eq!(world.at(99), []);
    assert_eq!(
        world.at(100),
        [Told(S, "room_expired"), Closed(S, "room_expired")]
    );
    assert!(world.is_empty());

    let mut world = room(&[1, 2]);
    assert_eq!(
        world.at(100),
        [
            Told(2, "room_expired"),
            Closed(2, "room_expired"),
            Awaited(1, false)
        ]
    );
    assert_eq!(world.join(3, S), Err(Ending::RoomNotFound));
    assert_eq!(world.send(S, Piece::Whole, b"x"), [Got(1, whole(b"x"))]);
    let end = [
        Told(S, "peer_disconnected"),
        Told(S, "room_expired"),
        Closed(S, "room_expired"),
    ];
    assert_eq!(world.leave(1), end);
    assert!(world.is_empty());
}

#[test]
fn a_drain_lets_pairs_finish_and_the_end_does_not() {
    let mut world = room(&[1, 2]);
    world.create(7).unwrap();
    let mut drained = world.run(|rooms, _, effects| rooms.drain(Duration::ZERO, effects));
    drained.sort_by_key(|seen| matches!(seen, Told(7, _) | Closed(7, _)));
    let away = |id| [Told(id, "server_shutdown"), Closed(id, "server_shutdown")];
    let nobody_waits = [Awaited(1, false)];
    assert_eq!(drained, [&away(2)[..], &nobody_waits, &away(7)].concat());
    assert_eq!(world.send(S, Piece::Whole, b"x"), [Got(1, whole(b"x"))]);
    let end = world.run(|rooms, _, effects| rooms.shut_down(effects));
    assert_eq!(
        end,
        [&[Closed(1, "server_shutdown")], &away(S)[..]].concat()
    );
    assert!(world.is_empty());
}

#[test]
fn an_operator_ends_a_room_whoever_is_in_it() {
    let mut world = room(&[1, 2]);
    world.create(7).unwrap();
    let mut was_there = false;
    let end = world.run(|rooms, _, effects| was_there = rooms.end_by_operator(code(S), effects));
    let away = |id| {
        [
            Told(id, "ended_by_operator"),
            Closed(id, "ended_by_operator"),
        ]
    };
    let paired = [Closed(1, "ended_by_operator")];
    assert_eq!(end, [&away(2)[..], &paired, &away(S)].concat());
    assert!(was_there);
    assert_eq!(world.join(3, S), Err(Ending::RoomNotFound));
    let again = world.run(|rooms, _, effects| was_there = rooms.end_by_operator(code(S), effects));
    assert!(again.is_empty() && !was_there);
    world.join(3, 7).unwrap();
}

#[test]
fn a_room_shows_who_is_in_it_and_what_has_passed() {
    let mut world = room(&[1, 2]);
    world.send(S, Piece::Whole, b"12345");
    world.send(1, Piece::Whole, b"123");
    let sight = |world: &World| world.rooms.sights().next().unwrap();
    let passed = |down, up| Passed { down, up };
    let seen = sight(&world);
    assert_eq!(
        (seen.sender, seen.receiver),
        (Some(SessionId(S)), Some(SessionId(1)))
    );
    assert_eq!((seen.waiting, seen.receivers, seen.is_open), (1, 1, true));
    assert_eq!((seen.passed, seen.passed_now), (passed(5, 3), passed(5, 3)));

    world.leave(1);
    let seen = sight(&world);
    assert_eq!((seen.receiver, seen.waiting), (None, 1));
    assert_eq!((seen.passed, seen.passed_now), (passed(5, 3), passed(0, 0)));
    world.cleared(S);
    world.send(S, Piece::Whole, b"1");
    let seen = sight(&world);
    assert_eq!((seen.receiver, seen.receivers), (Some(SessionId(2)), 2));
    assert_eq!((seen.passed, seen.passed_now), (passed(6, 3), passed(1, 0)));
    world.at(100);
    assert!(!sight(&world).is_open);
}

#[test]
fn the_next_look_is_known_until_no_room_is_left() {
    let mut world = World::new(10, 10, 0);
    assert_eq!(world.rooms.next_look(), None);
    world.create(S).unwrap();
    world.at(60);
    world.create(7).unwrap();
    assert_eq!(world.rooms.next_look(), Some(world.start + TTL));
    world.join(1, S).unwrap();
    world.at(100);
    let second = world.start + Duration::from_secs(60) + TTL;
    assert_eq!(world.rooms.next_look(), Some(second));
    world.leave(7);
    let at_the_pair = world.start + PAIR_IDLE / 8;
    assert_eq!(world.rooms.next_look(), Some(at_the_pair));
    world.leave(S);
    assert_eq!(world.rooms.next_look(), None);
}

/// Moves the time on, second by second, to the end of a pair; when that was, and what was seen.
fn until_seen(world: &mut World, from: u64) -> (u64, Vec<Seen>) {
    for second in from.. {
        let seen = world.at(second);
        if !seen.is_empty() {
            return (second, seen);
        }
    }
    unreachable!()
}

#[test]
fn a_pair_that_moves_no_data_ends_and_its_room_is_the_next_receivers() {
    let mut world = World::new(10, 10, 0).with_pair_idle(40);
    world.create(S).unwrap();
    for receiver in [1, 2] {
        world.join(receiver, S).unwrap();
    }
    let (time, seen) = until_seen(&mut world, 0);
    let end = [
        Told(S, "peer_disconnected"),
        Pinged(S),
        Closed(1, "pair_idle"),
    ];
    assert_eq!(seen, end);
    assert!((40..=45).contains(&time), "{time}");
    // The next has all of its time, from when it is paired.
    world.at(time + 3);
    assert_eq!(world.cleared(S), [Told(S, "peer_joined")]);
    let (later, seen) = until_seen(&mut world, time + 4);
    assert_eq!(seen.last(), Some(&Closed(2, "pair_idle")));
    assert!((time + 43..=time + 48).contains(&later), "{later}");
    // Nobody is paired: the room has its own time, and no other.
    world.cleared(S);
    let expired = [Told(S, "room_expired"), Closed(S, "room_expired")];
    assert_eq!(until_seen(&mut world, later), (100, expired.into()));
    assert!(world.is_empty());
}

#[test]
fn whatever_data_either_side_moves_keeps_a_pair() {
    let mut world = World::new(10, 10, 0).with_pair_idle(40);
    world.create(S).unwrap();
    world.join(1, S).unwrap();
    let mut time = 0;
    for (from, piece) in [
        (S, Piece::Whole),
        (1, Piece::Whole),
        (S, Piece::First),
        (1, Piece::First),
        (S, Piece::Last),
        (1, Piece::Middle),
    ] {
        for _ in 0..39 {
            time += 1;
            let seen = world.at(time);
            assert_eq!(seen, [], "at {time}");
        }
        world.send(from, piece, b"x");
    }
    let (end, seen) = until_seen(&mut world, time);
    // Its room's time had passed long before.
    let all = [
        Told(S, "peer_disconnected"),
        Told(S, "room_expired"),
        Closed(S, "room_expired"),
        Closed(1, "pair_idle"),
    ];
    assert_eq!(seen, all);
    assert!((time + 40..=time + 45).contains(&end), "{end}");
    assert!(world.is_empty());
}

#[test]
fn the_end_of_a_rooms_time_takes_nothing_from_a_pair_that_is_quiet_around_it() {
    // Looked at each 8 s; the room's time is up between two looks.
    let mut world = World::new(10, 10, 0).with_pair_idle(64);
    world.create(S).unwrap();
    world.join(1, S).unwrap();
    for time in (0..95).step_by(8) {
        world.at(time);
        world.send(S, Piece::Whole, b"x");
    }
    world.at(95);
    world.send(S, Piece::Whole, b"the last");
    let (end, _) = until_seen(&mut world, 95);
    assert_eq!(end, 96 + 64);
    assert!(world.is_empty());
}

#[test]
fn a_relay_that_was_stopped_for_a_while_ends_no_pair_for_it() {
    let mut world = World::new(10, 10, 0).with_pair_idle(40);
    world.create(S).unwrap();
    world.join(1, S).unwrap();
    assert_eq!(world.at(5000), []);
    assert_eq!(world.at(9000), []);
    assert_eq!(world.send(S, Piece::Whole, b"x"), [Got(1, whole(b"x"))]);
}

#[test]
fn rooms_opened_at_one_moment_all_expire() {
    let mut world = World::new(10, 10, 0);
    let senders = [3, 5, 7];
    for sender in senders {
        world.create(sender).unwrap();
    }
    let away = |id| [Told(id, "room_expired"), Closed(id, "room_expired")];
    assert_eq!(world.at(100), senders.map(away).concat());
    assert!(world.is_empty());
}

#[test]
fn a_sender_ends_for_what_its_receiver_cannot_be_given_and_for_nobody_else() {
    let mut world = room(&[1, 2]);
    let blame = |world: &mut World, receiver| {
        let ending = Ending::BadCompression.into();
        world.run(|rooms, _, effects| rooms.blame_sender(SessionId(receiver), ending, effects))
    };
    for nobodys in [S, 2, 9] {
        assert_eq!(blame(&mut world, nobodys), []);
    }
    let end = [
        Told(2, "sender_disconnected"),
        Closed(2, "sender_disconnected"),
        Closed(1, "sender_disconnected"),
        Closed(S, "bad_compression"),
    ];
    assert_eq!(blame(&mut world, 1), end);
    assert!(world.is_empty());
}
