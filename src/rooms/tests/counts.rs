//! What is counted, for the metrics and for the line that ends a room in the log.

use std::collections::HashSet;

use super::*;

/// What of a sender's data went nowhere, and the last room that closed.
#[derive(Default)]
struct Counted {
    dropped: Vec<(Dropped, usize)>,
    closed: Option<Summary>,
}

fn counted(world: &mut World, call: impl FnOnce(&mut Rooms, &mut Vec<Effect>)) -> Counted {
    let mut effects = Vec::new();
    call(&mut world.rooms, &mut effects);
    let mut counted = Counted::default();
    for effect in effects {
        match effect {
            Effect::Dropped(why, bytes) => counted.dropped.push((why, bytes)),
            Effect::Closed(summary) => counted.closed = Some(summary),
            _ => {}
        }
    }
    counted
}

fn dropped(world: &mut World, piece: Piece, payload: &[u8]) -> Vec<(Dropped, usize)> {
    let data = piece.data(payload, &Window::new(1 << 20));
    counted(world, |rooms, effects| {
        rooms.forward(SessionId(S), data, effects);
    })
    .dropped
}

#[test]
fn what_goes_nowhere_is_counted_by_the_reason_with_its_header() {
    let mut world = room(&[]);
    let no_peer = [(Dropped::NoPeer, 2 + 3)];
    assert_eq!(dropped(&mut world, Piece::First, b"abc"), no_peer);
    assert_eq!(dropped(&mut world, Piece::Middle, b"def"), no_peer, "each");
    world.join(1, S).unwrap();
    let tail = [(Dropped::TailOfMessage, 2 + 4)];
    assert_eq!(dropped(&mut world, Piece::Last, b"tail"), tail);
    assert_eq!(dropped(&mut world, Piece::Whole, b"heard"), []);
    world.leave(1);
    let gone = [(Dropped::ReceiverGone, 2 + 5)];
    assert_eq!(dropped(&mut world, Piece::Whole, b"adieu"), gone);
}

#[test]
fn a_reason_to_drop_is_a_label_of_its_own() {
    let names: HashSet<_> = Dropped::ALL.iter().map(|why| why.name()).collect();
    assert_eq!(names.len(), Dropped::ALL.len());
}

#[test]
fn a_room_is_summed_up_when_it_closes() {
    let mut world = room(&[1, 2]);
    world.send(S, Piece::First, &[0; 10]);
    world.send(S, Piece::Last, &[0; 20]);
    world.send(1, Piece::First, &[0; 100]);
    world.send(1, Piece::Last, &[0; 100]);
    world.leave(1);
    world.send(S, Piece::Whole, b"for nobody");
    world.cleared(S);
    world.send(S, Piece::Whole, &[0; 30]);
    world.send(2, Piece::Whole, &[0; 50]);
    let closed = counted(&mut world, |rooms, effects| {
        rooms.leave(SessionId(S), effects);
    });
    let summary = closed.closed.unwrap();
    let (to_receivers, to_sender) = (12 + 22 + 32, 204 + 52);
    assert_eq!(
        summary.at(world.start + Duration::from_secs(7)).to_string(),
        format!(
            "room {} closed: sender_disconnected after 7 s, 2 receivers, {to_receivers} bytes to \
             them, {to_sender} bytes back",
            code(S)
        )
    );
}
