//! What becomes of a receiver's message that comes in parts.

use super::*;

#[test]
fn a_receiver_that_dies_in_mid_message_leaves_nothing_half_said() {
    let mut world = room(&[1]);
    assert_eq!(world.send(1, Piece::First, &[1; 9000]), []);
    assert!(world.buffers.used() >= 9000);
    assert_eq!(
        world.windows[&SessionId(1)].used(),
        0,
        "it may go on sending"
    );
    assert_eq!(world.leave(1), [Told(S, "peer_disconnected"), Pinged(S)]);
    assert_eq!(world.buffers.used(), 0);
}

#[test]
fn an_assembled_message_counts_against_its_receiver_until_it_is_taken() {
    let mut world = room(&[1]);
    world.send(1, Piece::First, &[1; 9000]);
    let window = Arc::clone(&world.windows[&SessionId(1)]);
    let data = Piece::Last.data(&[2; 10], &window);
    let mut effects = Vec::new();
    world.rooms.forward(SessionId(1), data, &mut effects);
    assert!(window.used() >= 9010 && world.buffers.used() >= 9010);
    drop(effects);
    assert_eq!((window.used(), world.buffers.used()), (0, 0));
}

#[test]
fn a_message_there_is_no_memory_for_closes_its_receiver() {
    let mut world = World::new(10, 10, 20_000);
    world.create(S).unwrap();
    world.join(1, S).unwrap();
    world.join(2, S).unwrap();
    assert_eq!(world.send(1, Piece::First, &[1; 10_000]), []);
    let end = [
        Told(S, "peer_disconnected"),
        Pinged(S),
        Closed(1, "relay_buffers_full"),
    ];
    assert_eq!(world.send(1, Piece::Middle, &[1; 10_000]), end);
    assert_eq!(world.cleared(S), [Told(S, "peer_joined")]);
    world.leave(1);
    world.leave(2);
    world.leave(S);
    assert!(world.is_empty());
}

#[test]
fn a_short_message_in_two_parts_passes_however_little_memory_there_is() {
    let mut world = World::new(10, 10, 0);
    world.create(S).unwrap();
    world.join(1, S).unwrap();
    assert_eq!(world.send(1, Piece::First, b"hel"), []);
    assert!(!world.send(1, Piece::Last, b"lo").is_empty());
    assert_eq!(world.send(1, Piece::First, &[1; 4096]), []);
    let refused = world.send(1, Piece::Middle, b"x");
    assert_eq!(refused.last(), Some(&Closed(1, "relay_buffers_full")));
    world.leave(S);
    assert!(world.is_empty());
}

#[test]
fn the_beginning_of_a_long_message_is_counted_with_the_rest() {
    let mut world = room(&[1]);
    world.send(1, Piece::First, &[1; 4000]);
    assert_eq!(world.buffers.used(), 0);
    world.send(1, Piece::Middle, &[1; 1000]);
    assert_eq!(world.buffers.used(), 5000);
    world.send(1, Piece::Middle, &[1; 1]);
    assert_eq!(world.buffers.used(), 5001);
}

#[test]
fn held_data_there_is_no_memory_for_closes_its_receiver_too() {
    let mut world = World::new(10, 10, 10_000);
    world.create(S).unwrap();
    world.join(1, S).unwrap();
    world.join(2, S).unwrap();
    world.send(2, Piece::First, &[1; 10_000]);
    world.leave(1);
    let told = [
        Told(S, "peer_joined"),
        Told(S, "peer_disconnected"),
        Pinged(S),
    ];
    assert_eq!(
        world.cleared(S),
        [&told[..], &[Closed(2, "relay_buffers_full")]].concat()
    );
}

/// The lengths of the fragments in which the sender gets the message that ends with this data, and what
/// they are together.
fn parts(world: &mut World, data: Data) -> (Vec<usize>, Vec<u8>) {
    let mut effects = Vec::new();
    world.rooms.forward(SessionId(1), data, &mut effects);
    let [Effect::Deliver(SessionId(S), Delivery::Chunks(parts))] = &effects[..] else {
        panic!("{effects:?}");
    };
    let (mut lengths, mut message) = (Vec::new(), Vec::new());
    for (index, part) in parts.iter().enumerate() {
        let (header, len) = Header::parse(&part.bytes).unwrap().unwrap();
        let first = header.opcode == Opcode::Binary;
        assert!(first || header.opcode == Opcode::Continuation);
        assert_eq!((first, header.fin), (index == 0, index + 1 == parts.len()));
        assert_eq!(header.len as usize, part.credit.payload());
        lengths.push(part.credit.payload());
        message.extend_from_slice(&part.bytes[len..]);
    }
    (lengths, message)
}

#[test]
fn short_fragments_are_copied_together_and_long_ones_are_kept() {
    let mut world = room(&[1]);
    let window = world.window(1);
    world.send(1, Piece::First, &[1; 4000]);
    for _ in 1..40 {
        world.send(1, Piece::Middle, &[1; 4000]);
    }
    assert_eq!(world.buffers.used(), 40 * 4000);
    world.send(1, Piece::Middle, &[1; 4096]);
    let kept = 4096 + OVERHEAD;
    assert_eq!(world.buffers.used(), 40 * 4000 + kept);
    world.send(1, Piece::Middle, &[1; 4095]);
    assert_eq!(world.buffers.used(), 40 * 4000 + kept + 4095);
    // Copies are a part once they reach 64 KiB, and where a fragment is kept after them.
    let expected = [17 * 4000, 17 * 4000, 6 * 4000, 4096, 4095];
    let (parts, message) = parts(&mut world, Piece::Last.data(b"", &window));
    assert_eq!(parts, expected);
    assert_eq!(message, vec![1; 40 * 4000 + 4096 + 4095]);
}

fn fragment(piece: Piece, payload: &[u8], window: &Arc<Window>) -> Fragment {
    match piece.data(payload, window) {
        Data::Fragment(fragment) => fragment,
        Data::Messages(_) => panic!("a piece of a message"),
    }
}

#[test]
fn a_message_that_came_in_one_fragment_passes_however_long_and_little_memory_there_is() {
    let mut world = World::new(10, 10, 0);
    world.create(S).unwrap();
    world.join(1, S).unwrap();
    let (payload, window) = ([1; 10_000], Window::new(1 << 20));
    let data = Data::Fragment(Fragment {
        fin: true,
        chunk: Chunk::new(whole(&payload), &window),
        ..fragment(Piece::First, &payload, &window)
    });
    let seen = world.run(|rooms, _, effects| rooms.forward(SessionId(1), data, effects));
    assert_eq!(seen, [Got(S, whole(&payload))]);
}

#[test]
fn a_message_that_is_put_together_stays_what_it_was() {
    let mut world = room(&[1]);
    let window = Window::new(1 << 20);
    let mut deliveries = Vec::new();
    for piece in [Piece::First, Piece::Last] {
        let text = Data::Fragment(Fragment {
            kind: Opcode::Text,
            rsv: 4,
            ..fragment(piece, b"abc", &window)
        });
        deliveries.extend(world.run(|rooms, _, effects| {
            rooms.forward(SessionId(1), text, effects);
        }));
    }
    let header = Header {
        rsv: 4,
        ..Header::new(Opcode::Text, true, 6)
    };
    assert_eq!(deliveries, [Got(S, header.frame(b"abcabc"))]);
}

/// It may begin with a fragment that has no byte, and go on with one that is passed on as it is.
#[test]
fn a_message_begins_with_its_own_kind_however_little_comes_first() {
    for (first, middle) in [(&b""[..], &b""[..]), (b"", b"x"), (b"x", b"")] {
        let mut world = room(&[1]);
        let window = world.window(1);
        let (mut effects, long) = (Vec::new(), [1; 5000]);
        for (piece, payload) in [
            (Piece::First, first),
            (Piece::Middle, middle),
            (Piece::Last, &long),
        ] {
            let data = piece.data(payload, &window);
            world.rooms.forward(SessionId(1), data, &mut effects);
        }
        let [Effect::Deliver(_, Delivery::Chunks(chunks))] = &effects[..] else {
            panic!("{effects:?}");
        };
        let frames = chunks.iter().map(|chunk| chunk.bytes[0]);
        // A start that is no end, and one end that is no start.
        assert_eq!(frames.collect::<Vec<_>>(), [0x02, 0x80]);
    }
}
