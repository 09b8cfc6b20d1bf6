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
