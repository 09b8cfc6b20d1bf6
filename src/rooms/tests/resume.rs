//! Rooms that outlive their senders' connections.

use super::*;
use crate::rooms::{
    effect::{Departure, Effect},
    ended::MOST,
};

pub(super) const GRACE: u64 = 20;
pub(super) const OPENED: u64 = 5;
/// The session in which the sender comes back.
const AGAIN: u64 = 100;

pub(super) fn terms() -> Terms {
    Terms {
        life: TTL,
        ticket: Some(Ticket {
            opened: OPENED,
            token: "token".to_owned(),
            grace: Duration::from_secs(GRACE),
        }),
        anew: false,
    }
}

/// A room that outlives its sender, with these receivers.
fn lasting(receivers: &[u64]) -> World {
    let mut world = World::new(10, 10, 1 << 20);
    world.create_on(S, &terms()).unwrap();
    for &receiver in receivers {
        world.join(receiver, S).unwrap();
    }
    world
}

impl World {
    pub(super) fn resume(
        &mut self,
        sender: u64,
        room: u64,
        opened: u64,
    ) -> Result<Vec<Seen>, Ending> {
        let mut effects = Vec::new();
        let (sender, token) = (SessionId(sender), Some("token".to_owned()));
        let now = self.now;
        self.rooms
            .resume(code(room), opened, sender, token, now, &mut effects)?;
        Ok(see(effects))
    }
}

const VANISHED: Ending = Ending::PeerVanished;

#[test]
fn a_sender_that_is_cut_off_is_waited_for_and_its_receivers_are_not_lost() {
    let mut world = lasting(&[1, 2]);
    world.send(S, Piece::First, b"half");
    assert_eq!(world.end(S, VANISHED), [Closed(1, "sender_away")]);
    assert_eq!(world.join(3, S).unwrap(), [Told(3, "joined")]);
    assert_eq!(world.send(2, Piece::Whole, b"early"), []);
    let resumed = [
        Told(AGAIN, "resumed"),
        Told(AGAIN, "peer_joined"),
        Got(AGAIN, whole(b"early")),
        Awaited(2, true),
    ];
    assert_eq!(world.resume(AGAIN, S, OPENED).unwrap(), resumed);
    // What it sends is a message of its own, though it has not ended the one before.
    let sent = world.send(AGAIN, Piece::Whole, b"news");
    assert_eq!(sent, [Got(2, whole(b"news"))]);
    assert_eq!(world.send(S, Piece::Whole, b"late"), [], "of the old line");
    world.leave(AGAIN);
    assert!(world.is_empty());
}

#[test]
fn a_sender_that_means_to_end_or_is_at_fault_ends_its_room() {
    let closed = |well| Departure {
        well,
        ..Ending::PeerClosed.into()
    };
    let (ends, waits) = (
        [Closed(1, "sender_disconnected")],
        [Closed(1, "sender_away")],
    );
    for (departure, expected) in [
        (closed(true), &ends),
        (closed(false), &waits),
        (Ending::PeerVanished.into(), &waits),
        (Ending::Stalled.into(), &waits),
        (Ending::PingTimeout.into(), &waits),
        (Ending::Panicked.into(), &waits),
        (Ending::UnmaskedFrame.into(), &ends),
        (Ending::InvalidUtf8.into(), &ends),
        (Ending::ControlFlood.into(), &ends),
        (Ending::Blocked.into(), &ends),
        (Ending::AccessKeyWithdrawn.into(), &ends),
    ] {
        let mut world = lasting(&[1]);
        let seen = world.depart(S, departure);
        assert_eq!(seen, expected, "{:?}", departure.ending);
        let is_known = world.resume(AGAIN, S, OPENED).is_ok();
        assert_eq!(is_known, expected == &waits, "{:?}", departure.ending);
    }
    let mut plain = room(&[1]);
    assert_eq!(plain.end(S, VANISHED), ends, "who has not asked for it");
    let mut lasting = lasting(&[1]);
    let departure = Ending::BadCompression.into();
    let seen =
        lasting.run(|rooms, _, effects| rooms.blame_sender(SessionId(1), departure, effects));
    assert_eq!(seen, [ends[0].clone(), Closed(S, "bad_compression")]);
}

#[test]
fn a_room_waits_for_so_long_and_no_longer_than_it_lives() {
    let mut world = lasting(&[1, 2]);
    world.at(10);
    world.end(S, VANISHED);
    assert_eq!(world.at(10 + GRACE - 1), []);
    let end = [
        Told(2, "sender_disconnected"),
        Closed(2, "sender_disconnected"),
    ];
    assert_eq!(world.at(10 + GRACE), end);
    assert_eq!(world.resume(AGAIN, S, OPENED), Err(Ending::RoomNotFound));
    assert!(world.is_empty());

    let mut world = lasting(&[1]);
    world.join(2, S).unwrap();
    world.at(90);
    world.end(S, VANISHED);
    let end = [Told(2, "room_expired"), Closed(2, "room_expired")];
    assert_eq!(world.at(100), end);
    assert!(world.is_empty());
}

#[test]
fn a_line_that_seems_alive_is_replaced_and_told_so() {
    let mut world = lasting(&[1, 2]);
    let resumed = [
        Closed(1, "sender_away"),
        Told(S, "replaced"),
        Closed(S, "replaced"),
        Told(AGAIN, "resumed"),
        Told(AGAIN, "peer_joined"),
    ];
    assert_eq!(world.resume(AGAIN, S, OPENED).unwrap(), resumed);
    assert_eq!(world.leave(S), [], "it is in no room any more");
    // And while the room waits for a Pong of the old line.
    world.leave(2);
    world.join(3, S).unwrap();
    let again = world.resume(AGAIN + 1, S, OPENED).unwrap();
    assert_eq!(again.last(), Some(&Told(AGAIN + 1, "peer_joined")));
    assert_eq!(world.cleared(AGAIN), []);
    world.leave(AGAIN + 1);
    assert!(world.is_empty());
}

#[test]
fn a_room_is_taken_up_only_by_what_was_given_for_it() {
    let mut world = lasting(&[1]);
    assert_eq!(
        world.resume(AGAIN, S, OPENED + 1),
        Err(Ending::RoomNotFound)
    );
    world.leave(S);
    let whereabouts = |world: &World| {
        let now = world.now;
        world.rooms.whereabouts(&code(S), OPENED, now)
    };
    assert_eq!(whereabouts(&world), Whereabouts::Over);
    assert!(!world.rooms.is_free(&code(S), world.now));
    // Until its token is dead, which counts whole seconds.
    world.at(101);
    assert_eq!(whereabouts(&world), Whereabouts::Unknown);
    assert!(world.rooms.is_free(&code(S), world.now));
    world.create(S).unwrap();
    assert_eq!(whereabouts(&world), Whereabouts::Over, "another room's");
    assert_eq!(world.resume(AGAIN, S, OPENED), Err(Ending::RoomNotFound));
}

#[test]
fn no_receiver_waits_where_the_queue_has_no_place() {
    let mut world = World::new(10, 0, 1 << 20);
    world.create_on(S, &terms()).unwrap();
    world.end(S, VANISHED);
    assert_eq!(world.join(1, S), Err(Ending::RoomFull));
    world.resume(AGAIN, S, OPENED).unwrap();
    assert!(world.join(1, S).is_ok());
}

#[test]
fn the_relay_stops_and_the_operator_ends_a_room_that_waits() {
    let told = |world: &mut World, ending| {
        let mut effects = Vec::new();
        match ending {
            Ending::EndedByOperator => {
                assert!(world.rooms.end_by_operator(code(S), &mut effects));
            }
            _ => world.rooms.drain(Duration::from_secs(10), &mut effects),
        }
        effects
    };
    for ending in [Ending::EndedByOperator, Ending::ServerShutdown] {
        let mut world = lasting(&[1, 2]);
        world.end(S, VANISHED);
        let seen = see(told(&mut world, ending));
        assert_eq!(seen, [Told(2, ending.name()), Closed(2, ending.name())]);
        assert!(world.is_empty());
        let whereabouts = world.rooms.whereabouts(&code(S), OPENED, world.now);
        // What the relay's stop has ended the next relay opens.
        let is_over = ending == Ending::EndedByOperator;
        assert_eq!(whereabouts == Whereabouts::Over, is_over);
    }
    let mut world = lasting(&[]);
    let effects = told(&mut world, Ending::ServerShutdown);
    let come_back = effects.iter().find_map(|effect| match effect {
        Effect::Reply(_, Reply::Error { reconnect_in, .. }) => *reconnect_in,
        _ => None,
    });
    let come_back = come_back.unwrap();
    let (first, last) = (Duration::from_secs(1), Duration::from_secs(11));
    assert!(come_back >= first && come_back < last, "{come_back:?}");
}

#[test]
fn a_pair_that_the_relay_lets_finish_is_told_to_come_back_when_its_line_is_cut() {
    let mut world = lasting(&[1]);
    world.run(|rooms, _, effects| rooms.drain(Duration::from_secs(10), effects));
    assert_eq!(world.end(S, VANISHED), [Closed(1, "server_shutdown")]);
    assert!(world.is_empty());
    let whereabouts = world.rooms.whereabouts(&code(S), OPENED, world.now);
    assert_eq!(whereabouts, Whereabouts::Unknown, "the next relay opens it");
    // One that means to leave ends it.
    let mut world = lasting(&[1]);
    world.run(|rooms, _, effects| rooms.drain(Duration::from_secs(10), effects));
    assert_eq!(world.leave(S), [Closed(1, "sender_disconnected")]);
    let whereabouts = world.rooms.whereabouts(&code(S), OPENED, world.now);
    assert_eq!(whereabouts, Whereabouts::Over);
}

#[test]
fn a_sender_that_may_not_come_back_is_waited_for_no_more() {
    let forsake = |world: &mut World| {
        world.run(|rooms, _, effects| rooms.wait_no_more(code(S), Ending::Blocked, effects))
    };
    let mut world = lasting(&[1, 2]);
    assert_eq!(forsake(&mut world), [], "it is there");
    world.end(S, VANISHED);
    let end = ["sender_disconnected"; 2];
    assert_eq!(forsake(&mut world), [Told(2, end[0]), Closed(2, end[1])]);
    assert!(world.is_empty());
}

#[test]
fn rooms_that_have_ended_are_remembered_up_to_a_bound() {
    let mut world = World::new(10, 10, 1 << 20);
    let codes: Vec<_> = (0..=MOST).map(|_| RoomCode::random(8).unwrap()).collect();
    for &code in &codes {
        let slots = Arc::clone(&world.slots);
        world.run(|rooms, now, effects| {
            let created = rooms.create(now, SessionId(S), &slots, Some(code), &terms(), effects);
            created.unwrap();
        });
        world.leave(S);
    }
    let whereabouts = |room: usize| world.rooms.whereabouts(&codes[room], OPENED, world.now);
    assert_eq!(whereabouts(0), Whereabouts::Unknown, "the first of them");
    assert_eq!(whereabouts(1), Whereabouts::Over);
    assert_eq!(whereabouts(MOST), Whereabouts::Over);
    world.at(101);
    assert!(
        codes
            .iter()
            .all(|code| world.rooms.is_free(code, world.now))
    );
}

#[test]
fn what_passed_is_counted_for_each_of_a_rooms_lines() {
    let mut world = lasting(&[1]);
    world.send(1, Piece::Whole, b"four");
    world.depart(
        S,
        Departure {
            given: Some(4),
            ..VANISHED.into()
        },
    );
    world.resume(AGAIN, S, OPENED).unwrap();
    world.join(2, S).unwrap();
    world.send(2, Piece::Whole, b"sixsix");
    let sight = world.rooms.sights().next().unwrap();
    assert_eq!(
        (sight.sender, sight.passed.up),
        (Some(SessionId(AGAIN)), 10)
    );
    let departure = Departure {
        given: Some(3),
        ..VANISHED.into()
    };
    world.depart(AGAIN, departure);
    let sight = world.rooms.sights().next().unwrap();
    assert_eq!((sight.sender, sight.passed.up), (None, 7));
}
