//! The rules one by one; any sequence of calls is in `promises`.

mod promises;

use relay_wire::frame::{self, Header, Opcode};

use super::*;
use crate::flow::{
    credit::Window,
    data::{Chunk, Delivery, Fragment},
};

const TTL: Duration = Duration::from_secs(100);

struct World {
    rooms: Rooms,
    limits: Limits,
    start: Instant,
    now: Instant,
    /// One for each session, as in the relay.
    windows: HashMap<SessionId, Arc<Window>>,
}

impl World {
    fn new(max_rooms: usize, max_queue: usize, buffers: usize) -> Self {
        let limits = Limits {
            ttl: TTL,
            max_queue,
            rooms: Pool::new(max_rooms),
            buffers: Pool::new(buffers),
        };
        let start = Instant::now();
        Self {
            rooms: Rooms::new(limits.clone()),
            limits,
            start,
            now: start,
            windows: HashMap::new(),
        }
    }

    fn at(&mut self, seconds: u64) -> Vec<Seen> {
        self.now = self.start + Duration::from_secs(seconds);
        self.run(|rooms, now, effects| rooms.expire(now, effects))
    }

    fn run(&mut self, call: impl FnOnce(&mut Rooms, Instant, &mut Vec<Effect>)) -> Vec<Seen> {
        let mut effects = Vec::new();
        call(&mut self.rooms, self.now, &mut effects);
        effects.into_iter().filter_map(Seen::from).collect()
    }

    fn create(&mut self, sender: u64) -> Result<Vec<Seen>, Ending> {
        let mut effects = Vec::new();
        let codes = [code(sender)];
        self.rooms
            .create(self.now, SessionId(sender), codes, &mut effects)?;
        Ok(effects.into_iter().filter_map(Seen::from).collect())
    }

    fn join(&mut self, receiver: u64, room: u64) -> Result<Vec<Seen>, Ending> {
        let mut effects = Vec::new();
        let peer = PeerId::random();
        self.rooms
            .join(SessionId(receiver), peer, &code(room), &mut effects)?;
        Ok(effects.into_iter().filter_map(Seen::from).collect())
    }

    fn send(&mut self, from: u64, piece: Piece, payload: &[u8]) -> Vec<Seen> {
        let window = self
            .windows
            .entry(SessionId(from))
            .or_insert_with(|| Window::new(1 << 20));
        let data = piece.data(payload, window);
        self.run(|rooms, _, effects| rooms.forward(SessionId(from), data, effects))
    }

    fn leave(&mut self, session: u64) -> Vec<Seen> {
        self.run(|rooms, _, effects| rooms.leave(SessionId(session), effects))
    }

    fn cleared(&mut self, sender: u64) -> Vec<Seen> {
        self.run(|rooms, _, effects| rooms.cleared(SessionId(sender), effects))
    }

    fn is_empty(&self) -> bool {
        self.rooms.rooms.is_empty()
            && self.rooms.members.is_empty()
            && self.rooms.expiry.is_empty()
            && self.limits.rooms.used() == 0
            && self.limits.buffers.used() == 0
            && self.windows.values().all(|window| window.used() == 0)
    }
}

fn code(room: u64) -> RoomCode {
    RoomCode::from_typed(&format!("room{room}")).unwrap()
}

/// How a payload is cut into data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Whole,
    First,
    Middle,
    Last,
}

impl Piece {
    fn data(self, payload: &[u8], window: &Arc<Window>) -> Data {
        if self == Self::Whole {
            return Data::Messages(Chunk::new(frame::encode(Opcode::Binary, payload), window));
        }
        let (first, fin) = (self == Self::First, self == Self::Last);
        let opcode = if first {
            Opcode::Binary
        } else {
            Opcode::Continuation
        };
        let (header, header_len) = Header::new(opcode, fin, payload.len()).encode();
        let frame = [&header[..header_len], payload].concat();
        Data::Fragment(Fragment {
            first,
            fin,
            kind: Opcode::Binary,
            rsv: 0,
            chunk: Chunk::new(frame, window),
            header_len,
        })
    }
}

/// An effect, as far as these tests care.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Told(u64, &'static str),
    Got(u64, Vec<u8>),
    Pinged(u64),
    Closed(u64, &'static str),
}

impl Seen {
    fn from(effect: Effect) -> Option<Self> {
        Some(match effect {
            Effect::Reply(id, reply) => Self::Told(
                id.0,
                match reply {
                    Reply::RoomCreated { .. } => "created",
                    Reply::RoomJoined { .. } => "joined",
                    Reply::PeerJoined { .. } => "peer_joined",
                    Reply::PeerDisconnected { .. } => "peer_disconnected",
                    Reply::Error { reason, .. } => reason.name(),
                },
            ),
            Effect::Deliver(id, delivery) => Self::Got(id.0, bytes_of(&delivery)),
            Effect::Ping(id) => Self::Pinged(id.0),
            Effect::Close(id, ending) => Self::Closed(id.0, ending.name()),
            Effect::Dropped(..) | Effect::Opened(_) | Effect::Closed(_) => return None,
        })
    }
}

fn bytes_of(delivery: &Delivery) -> Vec<u8> {
    match delivery {
        Delivery::Chunk(chunk) => chunk.bytes.to_vec(),
        Delivery::Parts(parts) => parts.iter().flat_map(|part| part.bytes.to_vec()).collect(),
    }
}

use Seen::{Closed, Got, Pinged, Told};

const S: u64 = 0;

/// A room of sender 0 with these receivers, the first of them paired.
fn room(receivers: &[u64]) -> World {
    let mut world = World::new(10, 10, 1 << 20);
    world.create(S).unwrap();
    for &receiver in receivers {
        world.join(receiver, S).unwrap();
    }
    world
}

fn whole(payload: &[u8]) -> Vec<u8> {
    frame::encode(Opcode::Binary, payload)
}

#[test]
fn the_first_receiver_is_paired_at_once_and_the_next_in_its_turn() {
    let mut world = room(&[]);
    let joined = [Told(1, "joined"), Told(S, "peer_joined")];
    assert_eq!(world.join(1, S).unwrap(), joined);
    assert_eq!(world.join(2, S).unwrap(), [Told(2, "joined")]);
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
fn a_receiver_that_dies_in_mid_message_leaves_nothing_half_said() {
    let mut world = room(&[1]);
    assert_eq!(world.send(1, Piece::First, &[1; 9000]), []);
    assert!(world.limits.buffers.used() >= 9000);
    assert_eq!(
        world.windows[&SessionId(1)].used(),
        0,
        "it may go on sending"
    );
    assert_eq!(world.leave(1), [Told(S, "peer_disconnected"), Pinged(S)]);
    assert_eq!(world.limits.buffers.used(), 0);
}

#[test]
fn an_assembled_message_counts_against_its_receiver_until_it_is_taken() {
    let mut world = room(&[1]);
    world.send(1, Piece::First, &[1; 9000]);
    let window = Arc::clone(&world.windows[&SessionId(1)]);
    let data = Piece::Last.data(&[2; 10], &window);
    let mut effects = Vec::new();
    world.rooms.forward(SessionId(1), data, &mut effects);
    assert!(window.used() >= 9010 && world.limits.buffers.used() >= 9010);
    drop(effects);
    assert_eq!((window.used(), world.limits.buffers.used()), (0, 0));
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
    assert_eq!(world.limits.buffers.used(), 0);
    world.send(1, Piece::Middle, &[1; 1000]);
    assert_eq!(world.limits.buffers.used(), 5000);
    world.send(1, Piece::Middle, &[1; 1]);
    assert_eq!(world.limits.buffers.used(), 5001);
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
fn a_code_in_use_is_not_given_again() {
    let mut world = room(&[]);
    let mut effects = Vec::new();
    let codes = [code(S), code(S), code(9)];
    world
        .rooms
        .create(world.now, SessionId(9), codes, &mut effects)
        .unwrap();
    assert!(world.join(1, 9).is_ok());
}
