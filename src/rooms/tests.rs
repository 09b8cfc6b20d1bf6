//! The rules one by one; any sequence of calls is in `promises`.

mod counts;
mod ends;
mod messages;
mod pairs;
mod promises;
mod resume;

use relay_wire::{
    frame::{self, Header, Opcode},
    reply::PeerId,
};

use super::*;
use crate::flow::{
    credit::Window,
    data::{Chunk, Delivery, Fragment, OVERHEAD},
    ledger::{Account, Ledger},
};

const TTL: Duration = Duration::from_secs(100);

/// Looked at each 1000 s, so that most tests never are.
const PAIR_IDLE: Duration = Duration::from_secs(8000);

struct World {
    rooms: Rooms,
    slots: Arc<Pool>,
    buffers: Arc<Pool>,
    start: Instant,
    now: Instant,
    /// One for each session, as in the relay.
    windows: HashMap<SessionId, Arc<Window>>,
    ledger: Arc<Ledger>,
}

impl World {
    fn new(max_rooms: usize, max_queue: usize, buffers: usize) -> Self {
        let start = Instant::now();
        Self {
            rooms: Rooms::new(Limits {
                max_queue,
                pair_idle: PAIR_IDLE,
            }),
            slots: Pool::new(max_rooms),
            buffers: Pool::new(buffers),
            start,
            now: start,
            windows: HashMap::new(),
            ledger: Arc::default(),
        }
    }

    /// The same, with another time that a pair may move no data.
    fn with_pair_idle(mut self, seconds: u64) -> Self {
        self.rooms.limits.pair_idle = Duration::from_secs(seconds);
        self
    }

    fn at(&mut self, seconds: u64) -> Vec<Seen> {
        self.now = self.start + Duration::from_secs(seconds);
        self.run(|rooms, now, effects| rooms.look(now, effects))
    }

    fn run(&mut self, call: impl FnOnce(&mut Rooms, Instant, &mut Vec<Effect>)) -> Vec<Seen> {
        let mut effects = Vec::new();
        call(&mut self.rooms, self.now, &mut effects);
        see(effects)
    }

    fn create(&mut self, sender: u64) -> Result<Vec<Seen>, Ending> {
        self.create_on(sender, &Terms::plain(TTL))
    }

    fn create_on(&mut self, sender: u64, terms: &Terms) -> Result<Vec<Seen>, Ending> {
        let mut effects = Vec::new();
        self.rooms.create(
            self.now,
            SessionId(sender),
            &self.slots,
            Some(code(sender)),
            terms,
            &mut effects,
        )?;
        Ok(see(effects))
    }

    fn join(&mut self, receiver: u64, room: u64) -> Result<Vec<Seen>, Ending> {
        let mut effects = Vec::new();
        let receiver = self.receiver(receiver);
        self.rooms.join(&code(room), receiver, &mut effects)?;
        Ok(see(effects))
    }

    fn receiver(&self, id: u64) -> Receiver {
        let (peer, buffers) = (PeerId::random(), Arc::clone(&self.buffers));
        Receiver::new(SessionId(id), peer, buffers, self.now)
    }

    fn send(&mut self, from: u64, piece: Piece, payload: &[u8]) -> Vec<Seen> {
        let data = piece.data(payload, &self.window(from));
        self.run(|rooms, _, effects| rooms.forward(SessionId(from), data, effects))
    }

    fn window(&mut self, session: u64) -> Arc<Window> {
        let window = self.windows.entry(SessionId(session));
        let window =
            window.or_insert_with(|| Window::part_of(&Pool::new(0), &self.ledger, 1 << 20));
        Arc::clone(window)
    }

    fn leave(&mut self, session: u64) -> Vec<Seen> {
        let well = Departure {
            well: true,
            ..Ending::PeerClosed.into()
        };
        self.depart(session, well)
    }

    fn end(&mut self, session: u64, ending: Ending) -> Vec<Seen> {
        self.depart(session, ending.into())
    }

    fn depart(&mut self, session: u64, departure: Departure) -> Vec<Seen> {
        self.run(|rooms, now, effects| rooms.leave(SessionId(session), departure, now, effects))
    }

    fn cleared(&mut self, sender: u64) -> Vec<Seen> {
        self.run(|rooms, _, effects| rooms.cleared(SessionId(sender), effects))
    }

    fn is_empty(&self) -> bool {
        self.rooms.rooms.is_empty()
            && self.rooms.members.is_empty()
            && self.rooms.looks.is_empty()
            && self.slots.used() == 0
            && self.buffers.used() == 0
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
            let frame = frame::encode(Opcode::Binary, payload);
            return Data::Messages(Chunk::of_payload(frame, payload.len(), window));
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
            chunk: Chunk::of_payload(frame, payload.len(), window),
            header_len,
        })
    }
}

/// What a receiver is told that is paired, next, or behind that one.
const PLACES: [&str; 3] = ["paired", "next", "second"];

/// An effect, as far as these tests care.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Told(u64, &'static str),
    Got(u64, Vec<u8>),
    Pinged(u64),
    Awaited(u64, bool),
    Closed(u64, &'static str),
}

impl Seen {
    fn from(effect: Effect) -> Option<Self> {
        Some(match effect {
            Effect::Reply(id, reply) => Self::Told(
                id.0,
                match reply {
                    Reply::RoomCreated { .. } => "created",
                    Reply::RoomResumed { .. } => "resumed",
                    Reply::RoomJoined { .. } => "joined",
                    Reply::Queued { position } => PLACES[position],
                    Reply::PeerJoined { .. } => "peer_joined",
                    Reply::PeerDisconnected { .. } => "peer_disconnected",
                    Reply::Error { reason, .. } => reason.name(),
                },
            ),
            Effect::Deliver(id, mut delivery) => {
                let bytes = bytes_of(&delivery);
                give(&mut delivery);
                Self::Got(id.0, bytes)
            }
            Effect::Ping(id) => Self::Pinged(id.0),
            Effect::Close(id, departure) => Self::Closed(id.0, departure.ending.name()),
            Effect::Awaited(id, others) => Self::Awaited(id.0, others),
            Effect::Opened(..)
            | Effect::Away(_)
            | Effect::Resumed(_)
            | Effect::Joined(_)
            | Effect::Paired(_)
            | Effect::Begun(_)
            | Effect::Left(_)
            | Effect::Closed(_) => return None,
        })
    }
}

fn see(effects: Vec<Effect>) -> Vec<Seen> {
    effects.into_iter().filter_map(Seen::from).collect()
}

/// Writes all of it, as an outbox does.
fn give(delivery: &mut Delivery) {
    match delivery {
        Delivery::Chunk(chunk) => chunk.credit.given(),
        Delivery::Chunks(parts) => parts.iter_mut().for_each(|part| part.credit.given()),
    }
}

fn bytes_of(delivery: &Delivery) -> Vec<u8> {
    match delivery {
        Delivery::Chunk(chunk) => chunk.bytes.to_vec(),
        Delivery::Chunks(parts) => parts.iter().flat_map(|part| part.bytes.to_vec()).collect(),
    }
}

use Seen::{Awaited, Closed, Got, Pinged, Told};

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
