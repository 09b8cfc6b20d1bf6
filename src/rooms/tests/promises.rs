//! Any sequence of calls, against what must hold after each.

use std::collections::{HashSet, VecDeque};

use proptest::prelude::*;

use super::{
    resume::{GRACE, OPENED, terms},
    *,
};

#[derive(Debug, Clone)]
enum Op {
    Create(u64),
    Join(u64, u64),
    Send(u64, bool),
    Leave(u64),
    Cut(u64),
    Resume(u64),
    Cleared(u64),
    Wait(u64),
    Drain,
}

fn any_op() -> impl Strategy<Value = Op> {
    let id = || 0..8u64;
    prop_oneof![
        2 => id().prop_map(Op::Create),
        6 => (id(), id()).prop_map(|(who, room)| Op::Join(who, room)),
        8 => (id(), any::<bool>()).prop_map(|(who, cut)| Op::Send(who, cut)),
        3 => id().prop_map(Op::Leave),
        2 => id().prop_map(Op::Cut),
        2 => id().prop_map(Op::Resume),
        4 => id().prop_map(Op::Cleared),
        2 => (0..60u64).prop_map(Op::Wait),
        1 => Just(Op::Drain),
    ]
}

/// What a client would know: its partner, what is between them, and whether it may still speak.
#[derive(Default)]
struct Model {
    /// Sessions in a room, with the room.
    member: HashMap<u64, u64>,
    /// The receiver each sender was last told of.
    paired: HashMap<u64, u64>,
    order: HashMap<u64, VecDeque<u64>>,
    /// Whole messages a receiver has sent and its sender has not got.
    unheard: HashMap<u64, VecDeque<Vec<u8>>>,
    /// Senders that have been pinged and have not answered.
    clearing: HashSet<u64>,
    /// Senders that are cut off from their rooms, which wait for them.
    away: HashSet<u64>,
}

impl Model {
    fn see(&mut self, seen: &[Seen]) {
        for seen in seen {
            match seen {
                Told(sender, "peer_joined") => {
                    assert!(!self.paired.contains_key(sender), "one pair at most");
                    assert!(!self.clearing.contains(sender), "not before the Pong");
                    let next = self.order.get_mut(sender).and_then(VecDeque::pop_front);
                    self.paired.insert(*sender, next.expect("somebody waits"));
                }
                Told(sender, "peer_disconnected") => {
                    assert!(self.paired.remove(sender).is_some());
                }
                Pinged(sender) => assert!(self.clearing.insert(*sender)),
                Closed(id, _) => self.forget(*id),
                Got(to, bytes) if self.member.get(to) == Some(to) => {
                    let from = self.paired[to];
                    let sent = self.unheard.get_mut(&from).and_then(VecDeque::pop_front);
                    assert_eq!(
                        sent.as_ref(),
                        Some(bytes),
                        "in order, whole, from its receiver"
                    );
                }
                Got(..) | Told(..) | Awaited(..) => {}
            }
        }
    }

    fn forget(&mut self, id: u64) {
        if let Some(room) = self.member.remove(&id) {
            if let Some(order) = self.order.get_mut(&room) {
                order.retain(|&waiting| waiting != id);
            }
            if room == id {
                self.paired.remove(&id);
                self.clearing.remove(&id);
                self.order.remove(&id);
            }
        }
        self.unheard.remove(&id);
    }

    /// A sender is cut off from its room, which may wait for it with its queue.
    fn cut(&mut self, id: u64, waits: bool) {
        let order = self.order.remove(&id).unwrap_or_default();
        self.forget(id);
        if waits {
            self.away.insert(id);
            self.order.insert(id, order);
        }
    }

    fn has_room(&self, id: u64) -> bool {
        self.member.get(&id) == Some(&id) || self.away.contains(&id)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_happens_the_rooms_keep_their_promises(
        ops in prop::collection::vec(any_op(), 1..120),
    ) {
        let mut world = World::new(4, 2, 1 << 20).with_pair_idle(40);
        let mut model = Model::default();
        let (mut clock, mut serial) = (0, 0u64);
        for op in ops {
            match op {
                Op::Create(id) if !model.member.contains_key(&id) => {
                    let open = (0..8).filter(|&id| model.has_room(id)).count();
                    // Half of them may be taken up again.
                    let result = match id % 2 {
                        0 => world.create_on(id, &terms()),
                        _ => world.create(id),
                    };
                    prop_assert_eq!(result.is_ok(), open < 4 && !model.away.contains(&id));
                    if let Ok(seen) = result {
                        model.member.insert(id, id);
                        model.order.insert(id, VecDeque::new());
                        model.see(&seen);
                    }
                }
                Op::Join(id, room) if !model.member.contains_key(&id) && !model.away.contains(&id) => {
                    if let Ok(seen) = world.join(id, room) {
                        prop_assert!(model.has_room(room));
                        model.member.insert(id, room);
                        model.order.get_mut(&room).unwrap().push_back(id);
                        model.see(&seen);
                    }
                }
                Op::Send(id, cut) => {
                    serial += 1;
                    let payload = serial.to_be_bytes();
                    let room = model.member.get(&id).copied();
                    let message = whole(&payload);
                    if room.is_some_and(|room| room != id) {
                        model.unheard.entry(id).or_default().push_back(message.clone());
                    }
                    let pieces = [(Piece::First, &payload[..3]), (Piece::Last, &payload[3..])];
                    let seen: Vec<_> = if cut && room == Some(id) {
                        pieces.iter().flat_map(|(piece, part)| world.send(id, *piece, part)).collect()
                    } else {
                        world.send(id, Piece::Whole, &payload)
                    };
                    model.see(&seen);
                    let heard = seen.iter().filter(|seen| matches!(seen, Got(..))).count();
                    match (room, model.paired.get(&id)) {
                        (Some(room), Some(receiver)) if room == id => {
                            prop_assert_eq!(heard, 1 + usize::from(cut), "nothing lost");
                            prop_assert!(seen.iter().all(|seen| matches!(seen, Got(to, _) if to == receiver)));
                        }
                        (Some(room), _) if room != id && model.paired.get(&room) == Some(&id) => {
                            prop_assert_eq!(seen, [Got(room, message)]);
                        }
                        _ => prop_assert_eq!(heard, 0, "nobody is there to hear it"),
                    }
                }
                Op::Leave(id) => {
                    let seen = world.leave(id);
                    if model.member.get(&id) == Some(&id) {
                        model.forget(id);
                    }
                    model.see(&seen);
                    model.forget(id);
                }
                Op::Cut(id) => {
                    let was_sender = model.member.get(&id) == Some(&id);
                    let seen = world.end(id, Ending::PeerVanished);
                    if was_sender {
                        model.cut(id, world.rooms.has(&code(id)));
                    }
                    model.see(&seen);
                    if !was_sender {
                        model.forget(id);
                    }
                }
                // A line that is alive is replaced by another session, never by itself.
                Op::Resume(id) if !model.member.contains_key(&id) => {
                    let result = world.resume(id, id, OPENED);
                    prop_assert_eq!(result.is_ok(), model.away.remove(&id));
                    if let Ok(seen) = result {
                        model.member.insert(id, id);
                        model.see(&seen);
                    }
                }
                Op::Cleared(id) => {
                    let was_clearing = model.clearing.remove(&id);
                    let seen = world.cleared(id);
                    prop_assert!(was_clearing || seen.is_empty());
                    model.see(&seen);
                }
                Op::Wait(seconds) => {
                    for _ in 0..seconds {
                        clock += 1;
                        let seen = world.at(clock);
                        model.see(&seen);
                        model.away.retain(|&id| world.rooms.has(&code(id)));
                    }
                }
                Op::Drain => {
                    let seen = world.run(|rooms, _, effects| rooms.drain(Duration::ZERO, effects));
                    model.see(&seen);
                    model.away.clear();
                }
                Op::Create(_) | Op::Join(..) | Op::Resume(_) => {}
            }
            let waiting: usize = model.order.values().map(VecDeque::len).sum();
            prop_assert_eq!(world.rooms.members.len(), model.member.len());
            prop_assert_eq!(
                world.rooms.rooms.values().map(Room::queue_len).sum::<usize>(),
                waiting
            );
        }
        for id in 0..8 {
            let seen = world.leave(id);
            model.see(&seen);
            model.forget(id);
        }
        let seen = world.at(clock + GRACE);
        model.see(&seen);
        prop_assert!(world.is_empty(), "{:?}", world.rooms);
    }
}
