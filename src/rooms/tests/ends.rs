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
        [Told(2, "room_expired"), Closed(2, "room_expired")]
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
    let mut drained = world.run(|rooms, _, effects| rooms.drain(effects));
    drained.sort_by_key(|seen| matches!(seen, Told(7, _) | Closed(7, _)));
    let away = |id| [Told(id, "server_shutdown"), Closed(id, "server_shutdown")];
    assert_eq!(drained, [away(2), away(7)].concat());
    assert_eq!(world.send(S, Piece::Whole, b"x"), [Got(1, whole(b"x"))]);
    let end = world.run(|rooms, _, effects| rooms.shut_down(effects));
    assert_eq!(
        end,
        [&[Closed(1, "server_shutdown")], &away(S)[..]].concat()
    );
    assert!(world.is_empty());
}

#[test]
fn the_next_to_expire_is_known_until_none_is_left() {
    let mut world = World::new(10, 10, 0);
    assert_eq!(world.rooms.next_expiry(), None);
    world.create(S).unwrap();
    world.at(60);
    world.create(7).unwrap();
    assert_eq!(world.rooms.next_expiry(), Some(world.start + TTL));
    world.join(1, S).unwrap();
    world.at(100);
    let second = world.start + Duration::from_secs(60) + TTL;
    assert_eq!(world.rooms.next_expiry(), Some(second), "not of the pair");
    world.leave(7);
    assert_eq!(world.rooms.next_expiry(), None);
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
