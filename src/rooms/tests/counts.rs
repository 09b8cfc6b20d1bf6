//! What is counted, for the metrics and for the lines of the log.

use super::*;
use crate::{
    flow::{ledger::Dropped, reader::Oversize},
    rooms::{
        effect::{Departure, Effect},
        outcome::Outcome,
    },
};

/// The lines that the log has of this, where it happens at `now`.
fn lines(world: &mut World, call: impl FnOnce(&mut Rooms, &mut Vec<Effect>)) -> Vec<String> {
    let mut effects = Vec::new();
    call(&mut world.rooms, &mut effects);
    let lines = effects.into_iter().filter_map(|effect| match effect {
        Effect::Opened(id, code, _) => Some(format!("{} opened {code}", id.0)),
        Effect::Joined(joined) => Some(joined.to_string()),
        Effect::Left(visit) => Some(visit.at(world.now).to_string()),
        Effect::Closed(summary) => Some(summary.at(world.now).to_string()),
        _ => None,
    });
    lines.collect()
}

/// What is dropped of this, and why.
fn dropped(world: &mut World, call: impl FnOnce(&mut World)) -> Vec<(Dropped, u64)> {
    let before = world.ledger.account();
    call(world);
    let after = world.ledger.account();
    let more = Dropped::ALL.map(|why| (why, after.dropped(why) - before.dropped(why)));
    more.into_iter().filter(|&(_, bytes)| bytes > 0).collect()
}

#[test]
fn a_senders_bytes_that_go_nowhere_are_counted_by_the_reason() {
    let mut world = room(&[]);
    let send = |world: &mut World, piece, payload: &[u8]| {
        dropped(world, |world| {
            world.send(S, piece, payload);
        })
    };
    let no_peer = [(Dropped::NoPeer, 3)];
    assert_eq!(send(&mut world, Piece::First, b"abc"), no_peer);
    assert_eq!(send(&mut world, Piece::Middle, b"def"), no_peer, "each");
    world.join(1, S).unwrap();
    let tail = [(Dropped::TailOfMessage, 4)];
    assert_eq!(send(&mut world, Piece::Last, b"tail"), tail);
    assert_eq!(send(&mut world, Piece::Whole, b"heard"), []);
    world.leave(1);
    let gone = [(Dropped::ReceiverGone, 5)];
    assert_eq!(send(&mut world, Piece::Whole, b"adieu"), gone);
    world.leave(S);
    let late = [(Dropped::RoomGone, 2)];
    assert_eq!(send(&mut world, Piece::Whole, b"oh"), late);
    let expected = Account {
        taken: 3 + 3 + 4 + 5 + 5 + 2,
        given: 5,
        ..world.ledger.account()
    };
    assert_eq!(world.ledger.account(), expected);
    assert_eq!(expected.held, 0);
}

#[test]
fn a_receivers_bytes_that_go_nowhere_are_counted_by_the_reason() {
    let mut world = room(&[1, 2, 3]);
    world.send(2, Piece::Whole, b"held");
    world.send(3, Piece::First, b"also");
    world.send(1, Piece::First, &[0; 100]);
    assert_eq!(world.ledger.account().held, 108);
    let leave = |world: &mut World, id| {
        dropped(world, |world| {
            world.leave(id);
        })
    };
    assert_eq!(leave(&mut world, 2), [(Dropped::NotPaired, 4)]);
    assert_eq!(leave(&mut world, 1), [(Dropped::Unfinished, 100)]);
    assert_eq!(leave(&mut world, S), [(Dropped::NotPaired, 4)]);
    assert_eq!(world.ledger.account().held, 0);
    assert!(world.ledger.account().is_even());
}

#[test]
fn what_there_is_no_memory_for_is_counted() {
    let mut world = World::new(10, 10, 10_000);
    world.create(S).unwrap();
    world.join(1, S).unwrap();
    world.join(2, S).unwrap();
    world.send(1, Piece::First, &[0; 6000]);
    let send = |id: u64, piece| {
        move |world: &mut World| {
            world.send(id, piece, &[0; 6000]);
        }
    };
    let over = dropped(&mut world, send(1, Piece::Middle));
    assert_eq!(over, [(Dropped::Unfinished, 12_000)]);
    // What is held for a receiver's turn may be too much as well, and then its rest goes with it.
    for piece in [Piece::First, Piece::Middle, Piece::Last] {
        assert_eq!(dropped(&mut world, send(2, piece)), []);
    }
    let cleared = dropped(&mut world, |world| {
        world.cleared(S);
    });
    let expected = [(Dropped::NotPaired, 6000), (Dropped::Unfinished, 12_000)];
    assert_eq!(cleared, expected);
    assert_eq!(world.ledger.account().held, 0);
    assert!(world.ledger.account().is_even());
}

#[test]
fn a_receivers_message_of_many_parts_is_given_to_the_last_byte() {
    let mut world = room(&[1]);
    let sizes = [1, 5000, 70, 60_000, 3000, 66_000, 4];
    for (number, size) in sizes.into_iter().enumerate() {
        let piece = match number {
            0 => Piece::First,
            6 => Piece::Last,
            _ => Piece::Middle,
        };
        world.send(1, piece, &vec![0; size]);
    }
    let (account, all) = (world.ledger.account(), sizes.into_iter().sum::<usize>());
    assert_eq!((account.taken, account.given), (all as u64, all as u64));
}

#[test]
fn the_log_tells_of_a_room_and_of_each_of_its_receivers() {
    let mut world = room(&[]);
    let code = code(S);
    let join = |world: &mut World, id| {
        let receiver = world.receiver(id);
        lines(world, |rooms, effects| {
            rooms.join(&code, receiver, effects).unwrap();
        })
    };
    assert_eq!(
        join(&mut world, 1),
        [format!("session 1 joined room {code}")]
    );
    let second = format!("session 2 joined room {code}, number 1 in its queue");
    assert_eq!(join(&mut world, 2), [second]);
    join(&mut world, 3);

    world.send(S, Piece::First, &[0; 10]);
    world.send(S, Piece::Last, &[0; 20]);
    world.send(1, Piece::First, &[0; 100]);
    world.send(1, Piece::Last, &[0; 100]);
    world.at(7);
    let end = |world: &mut World, id, departure: Departure| {
        lines(world, |rooms, effects| {
            rooms.leave(SessionId(id), departure, Instant::now(), effects);
        })
    };
    let timeout = Departure {
        given: Some(26),
        arrived: 20,
        ..Ending::PingTimeout.into()
    };
    let first = end(&mut world, 1, timeout);
    assert_eq!(
        first,
        [format!(
            "session 1 left room {code} after 7 s with ping_timeout; 26 bytes down, 200 bytes up; \
             it has shown that 20 arrived"
        )]
    );
    world.send(S, Piece::Whole, b"for nobody");
    world.cleared(S);
    world.send(S, Piece::Whole, &[0; 31]);
    world.send(2, Piece::Whole, &[0; 1]);
    world.at(9);
    let too_big = Departure {
        arrived: 0,
        ending: Ending::MessageTooBig,
        well: false,
        oversize: Some(Oversize {
            size: 1001,
            limit: 1000,
        }),
        given: Some(201),
    };
    let last = end(&mut world, S, too_big);
    assert_eq!(
        last,
        [
            format!("session 3 left the queue of room {code} after 9 s with sender_disconnected"),
            format!(
                "session 2 left room {code} after 9 s with message_too_big; 31 bytes down, 1 byte up"
            ),
            format!(
                "room {code} of session 0 closed after 9 s: its sender ended with message_too_big \
                 (1001 bytes of 1000 allowed); 2 receivers, 57 bytes down, 201 bytes up"
            ),
        ]
    );
}

/// What is told of transfers while this happens.
fn transfers(call: impl FnOnce(&mut Vec<Effect>)) -> Vec<String> {
    let mut effects = Vec::new();
    call(&mut effects);
    let told = effects.into_iter().filter_map(|effect| match effect {
        Effect::Paired(paired) => Some(format!("{} paired", paired.receiver.0)),
        Effect::Begun(id) => Some(format!("{} begun", id.0)),
        Effect::Left(visit) => {
            let outcome = visit.outcome.map(Outcome::name);
            Some(format!(
                "{} {}",
                visit.receiver.0,
                outcome.unwrap_or("left")
            ))
        }
        _ => None,
    });
    told.collect()
}

#[test]
fn a_transfer_begins_with_its_first_byte_and_comes_out_by_its_end() {
    let mut world = room(&[]);
    let join = |world: &mut World, id| {
        let receiver = world.receiver(id);
        transfers(|effects| world.rooms.join(&code(S), receiver, effects).unwrap())
    };
    let send = |world: &mut World, piece: Piece, payload: &[u8]| {
        let data = piece.data(payload, &world.window(S));
        transfers(|effects| world.rooms.forward(SessionId(S), data, effects))
    };
    let close = |world: &mut World, id, given| {
        let well = Departure {
            well: true,
            given: Some(given),
            ..Ending::PeerClosed.into()
        };
        let now = world.now;
        transfers(|effects| world.rooms.leave(SessionId(id), well, now, effects))
    };
    let next = |world: &mut World| transfers(|effects| world.rooms.cleared(SessionId(S), effects));
    assert_eq!(join(&mut world, 1), ["1 paired"]);
    for waiting in 2..=6 {
        assert!(join(&mut world, waiting).is_empty());
    }
    assert!(send(&mut world, Piece::Whole, b"").is_empty(), "no byte");
    assert_eq!(send(&mut world, Piece::Whole, b"all"), ["1 begun"]);
    assert!(send(&mut world, Piece::Whole, b"more").is_empty());
    assert_eq!(close(&mut world, 1, 7), ["1 finished"]);
    assert_eq!(next(&mut world), ["2 paired"]);
    assert_eq!(close(&mut world, 2, 0), ["2 receiver_gone"], "with nothing");
    assert_eq!(
        close(&mut world, 3, 0),
        ["3 left"],
        "its place in the queue"
    );
    assert_eq!(next(&mut world), ["4 paired"]);
    send(&mut world, Piece::Whole, b"all");
    assert_eq!(close(&mut world, 4, 2), ["4 receiver_gone"], "not with all");
    assert_eq!(next(&mut world), ["5 paired"]);
    assert_eq!(send(&mut world, Piece::First, b"a part"), ["5 begun"]);
    assert_eq!(close(&mut world, 5, 6), ["5 receiver_gone"], "in a message");
    assert!(next(&mut world).is_empty(), "the sender is in it still");
    assert_eq!(send(&mut world, Piece::Last, b"the rest"), ["6 paired"]);
    send(&mut world, Piece::Whole, b"all");
    assert_eq!(close(&mut world, S, 0), ["6 finished"]);
}

#[test]
fn a_room_that_ends_by_itself_says_so() {
    let mut world = room(&[1]);
    world.leave(1);
    world.cleared(S);
    world.at(99);
    let expired = lines(&mut world, |rooms, effects| {
        rooms.shut_down(effects);
    });
    let code = code(S);
    let expected = format!(
        "room {code} of session 0 closed after 99 s: server_shutdown; 1 receiver, 0 bytes down, \
         0 bytes up"
    );
    assert_eq!(expired, [expected]);
}
