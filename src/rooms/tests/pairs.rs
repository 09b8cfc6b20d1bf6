//! Who is paired with whom, and when.

use super::*;

/// The first receiver hears that others wait.
const AWAITED: Seen = Awaited(1, true);

#[test]
fn the_first_receiver_is_paired_at_once_and_the_next_in_its_turn() {
    let mut world = room(&[]);
    let joined = [Told(1, "joined"), Told(S, "peer_joined")];
    assert_eq!(world.join(1, S).unwrap(), joined);
    assert_eq!(world.join(2, S).unwrap(), [Told(2, "joined"), AWAITED]);
    assert_eq!(world.leave(1), [Told(S, "peer_disconnected"), Pinged(S)]);
    assert_eq!(world.cleared(S), [Told(S, "peer_joined")]);
    assert_eq!(world.send(S, Piece::Whole, b"x"), [Got(2, whole(b"x"))]);
}

#[test]
fn what_was_sent_before_the_pong_reaches_nobody() {
    let mut world = room(&[1, 2]);
    world.send(S, Piece::First, b"a");
    world.leave(1);
    assert_eq!(world.send(S, Piece::Middle, b"b"), []);
    assert_eq!(world.cleared(S), [], "not in the middle of a message");
    assert_eq!(world.send(S, Piece::Middle, b"c"), []);
    assert_eq!(world.send(S, Piece::Last, b"c"), [Told(S, "peer_joined")]);
    assert_eq!(world.send(S, Piece::Whole, b"d"), [Got(2, whole(b"d"))]);
    assert_eq!(world.cleared(S), [], "an answer nobody waits for");
}

#[test]
fn a_sender_without_receiver_is_told_once() {
    let mut world = room(&[]);
    assert_eq!(world.send(S, Piece::First, b"a"), [Told(S, "no_peer")]);
    assert_eq!(world.send(S, Piece::Middle, b"b"), []);
    world.join(1, S).unwrap();
    assert_eq!(
        world.send(S, Piece::Last, b"c"),
        [],
        "its beginning was dropped"
    );
    world.leave(1);
    world.cleared(S);
    assert_eq!(world.send(S, Piece::Whole, b"d"), [Told(S, "no_peer")]);
}

#[test]
fn a_queued_receivers_data_is_held_and_follows_the_announcement() {
    let mut world = room(&[1, 2]);
    assert_eq!(world.send(2, Piece::Whole, b"hello"), []);
    assert_eq!(world.send(2, Piece::First, b"to"), []);
    world.leave(1);
    assert_eq!(
        world.cleared(S),
        [Told(S, "peer_joined"), Got(S, whole(b"hello"))]
    );
    let rest: Vec<_> = world.send(2, Piece::Last, b"day");
    let bytes: Vec<u8> = rest
        .iter()
        .flat_map(|seen| match seen {
            Got(S, bytes) => bytes.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(bytes, whole(b"today"));
}

#[test]
fn rooms_and_queues_are_bounded() {
    let mut world = World::new(1, 1, 0);
    world.create(S).unwrap();
    assert_eq!(world.create(5), Err(Ending::TooManyRooms));
    world.join(1, S).unwrap();
    world.join(2, S).unwrap();
    assert_eq!(world.join(3, S), Err(Ending::RoomFull));
    world.leave(2);
    world.join(3, S).unwrap();
    world.leave(S);
    assert!(world.create(5).is_ok());
}

#[test]
fn who_has_no_more_of_an_address_hears_another_reason_than_of_a_full_relay() {
    let mut world = World::new(1, 10, 6000);
    let (all_slots, all_buffers) = (Arc::clone(&world.slots), Arc::clone(&world.buffers));
    world.slots = Pool::part_of(&all_slots, 0);
    assert_eq!(world.create(S), Err(Ending::AddressRooms));
    world.slots = Pool::part_of(&all_slots, 2);
    world.create(S).unwrap();
    assert_eq!(world.create(5), Err(Ending::TooManyRooms));

    for (receiver, share, end) in [
        (1, 5000, "address_buffers"),
        (2, 7000, "relay_buffers_full"),
    ] {
        world.buffers = Pool::part_of(&all_buffers, share);
        world.join(receiver, S).unwrap();
        let sent = world.send(receiver, Piece::First, &[1; 6000]);
        assert_eq!(sent.last(), Some(&Closed(receiver, end)));
        world.cleared(S);
    }
    assert_eq!((world.buffers.used(), all_buffers.used()), (0, 0));
}

#[test]
fn a_code_in_use_is_not_given_again() {
    let mut world = room(&[]);
    let mut effects = Vec::new();
    for taken in [Some(code(S)), None] {
        let (sender, terms) = (SessionId(9), Terms::plain(TTL));
        let created =
            world
                .rooms
                .create(world.now, sender, &world.slots, taken, &terms, &mut effects);
        assert_eq!(created, Err(Ending::TooManyRooms));
    }
    assert!(!world.rooms.is_free(&code(S), world.now) && world.rooms.is_free(&code(9), world.now));
    assert!(world.create(9).is_ok());
}

#[test]
fn who_asks_for_it_hears_of_each_place_it_has_in_the_queue() {
    let mut world = room(&[1]);
    let mut join = |id, wanted| {
        let receiver = world.receiver(id).with_queue_updates(wanted);
        world.run(|rooms, _, effects| rooms.join(&code(S), receiver, effects).unwrap())
    };
    assert_eq!(join(2, false), [Told(2, "joined"), AWAITED]);
    assert_eq!(join(3, true), [Told(3, "joined"), Told(3, "second")]);
    assert_eq!(world.leave(2), [Told(3, "next")]);
    world.leave(1);
    assert_eq!(
        world.cleared(S),
        [Told(3, "paired"), Told(S, "peer_joined")],
        "before anything of its sender's"
    );
    let receiver = world.receiver(4).with_queue_updates(true);
    let joined = world.run(|rooms, _, effects| rooms.join(&code(S), receiver, effects).unwrap());
    assert_eq!(
        joined,
        [Told(4, "joined"), Told(4, "next"), Awaited(3, true)]
    );
    assert_eq!(world.leave(4), [Awaited(3, false)]);

    let mut world = room(&[]);
    let receiver = world.receiver(1).with_queue_updates(true);
    let joined = world.run(|rooms, _, effects| rooms.join(&code(S), receiver, effects).unwrap());
    let at_once = [Told(1, "joined"), Told(1, "paired"), Told(S, "peer_joined")];
    assert_eq!(joined, at_once);
}

#[test]
fn a_receiver_is_told_once_that_others_wait_for_its_place() {
    let mut world = room(&[1]);
    assert_eq!(world.join(2, S).unwrap(), [Told(2, "joined"), AWAITED]);
    assert_eq!(world.join(3, S).unwrap(), [Told(3, "joined")]);
    assert_eq!(world.leave(3), []);
    assert_eq!(world.leave(2), [Awaited(1, false)]);
    world.join(4, S).unwrap();
    world.join(5, S).unwrap();
    world.leave(1);
    let next = [Told(S, "peer_joined"), Awaited(4, true)];
    assert_eq!(world.cleared(S), next, "the next as well");
}
