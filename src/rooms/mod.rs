//! The rules of the rooms: who is paired with whom, and what becomes of what they send.
//!
//! Pure state. Each call takes the time it happens at and appends to a list of [`Effect`]s what is
//! to be done about it; carrying them out is the registry's work. Nothing here knows of sockets,
//! actors, timers or rate limits.

mod assembly;
mod effect;
pub mod ended;
pub mod keyring;
mod outcome;
pub mod placement;
mod receiver;
mod resume;
mod room;
mod sight;
pub mod slot;
mod terms;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use relay_wire::{code::RoomCode, ending::Ending, reply::Reply};

pub use self::{
    assembly::most_charged,
    effect::{
        Away, BySession, Departure, Effect, Joined, Paired, Passed, Resumed, SessionId, Summary,
        Visit,
    },
    outcome::Outcome,
    receiver::Receiver,
    sight::Sight,
    terms::{Terms, Ticket, Whereabouts},
};
use self::{ended::Ended, room::Room};
use crate::flow::{
    credit::{Full, Pool, Share},
    data::Data,
    ledger::Dropped,
};

/// What bounds the rooms.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Receivers that may wait in one room.
    pub max_queue: usize,
    /// Time that a pair may move no data, to the eighth part of it.
    pub pair_idle: Duration,
}

/// What a member is in its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The one whose room it is.
    Sender,
    /// One of those that have joined it.
    Receiver,
}

/// All rooms of one worker.
#[derive(Debug)]
pub struct Rooms {
    limits: Limits,
    rooms: HashMap<RoomCode, Room>,
    members: BySession<(RoomCode, Role)>,
    /// Every room, by when it is to be looked at next; the number parts equals.
    looks: BTreeMap<(Instant, u64), RoomCode>,
    opened: u64,
    /// Rooms that have ended, and that nobody opens again.
    ended: Ended<RoomCode>,
}

impl Rooms {
    /// No rooms yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            rooms: HashMap::new(),
            members: BySession::default(),
            looks: BTreeMap::new(),
            opened: 0,
            ended: Ended::default(),
        }
    }

    /// Bounds the rooms so from here on; a room that is open keeps the time it was given.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Whether a room has this code.
    pub fn has(&self, code: &RoomCode) -> bool {
        self.rooms.contains_key(code)
    }

    /// Whether a new room may have this code: none has it, and nobody has a token of one that had it.
    pub fn is_free(&self, code: &RoomCode, now: Instant) -> bool {
        !self.rooms.contains_key(code) && !self.ended.has(code, now)
    }

    /// Opens a room for `sender` on these terms, charged to `slots`, under `code` if that is not in use.
    ///
    /// # Errors
    ///
    /// [`Ending::TooManyRooms`], also where there is no code that is free, and [`Ending::AddressRooms`].
    pub fn create(
        &mut self,
        now: Instant,
        sender: SessionId,
        slots: &Arc<Pool>,
        code: Option<RoomCode>,
        terms: &Terms,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Ending> {
        let slot = Share::try_take(slots, 1).map_err(|full| match full {
            Full::Whole => Ending::TooManyRooms,
            Full::Part => Ending::AddressRooms,
        })?;
        let free = code.filter(|code| !self.rooms.contains_key(code));
        let code = free.ok_or(Ending::TooManyRooms)?;
        self.opened += 1;
        let mut room = Room::new(sender, now, terms, self.opened, slot);
        let look = room.look_again(now, self.limits.pair_idle);
        self.looks.insert(look, code);
        self.rooms.insert(code, room);
        self.members.insert(sender, (code, Role::Sender));
        effects.extend([
            Effect::Opened(sender, code, now + terms.life),
            Effect::Reply(sender, terms.told(&code)),
        ]);
        if terms.anew {
            effects.push(Effect::Resumed(Resumed {
                code,
                sender,
                anew: true,
            }));
        }
        Ok(())
    }

    /// Lets a receiver into the room of this code, to be paired now or in its turn.
    ///
    /// # Errors
    ///
    /// [`Ending::RoomNotFound`] and [`Ending::RoomFull`].
    pub fn join(
        &mut self,
        code: &RoomCode,
        receiver: Receiver,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Ending> {
        let open = self.rooms.get_mut(code).filter(|room| room.is_open());
        let room = open.ok_or(Ending::RoomNotFound)?;
        if room.must_wait() && room.queue_len() >= self.limits.max_queue {
            return Err(Ending::RoomFull);
        }
        self.members.insert(receiver.id, (*code, Role::Receiver));
        let room_id = match receiver.told_code {
            true => code.reveal(),
            false => String::new(),
        };
        effects.push(Effect::Reply(receiver.id, Reply::RoomJoined { room_id }));
        effects.push(room.admit(*code, receiver));
        self.progress(*code, effects);
        Ok(())
    }

    /// Takes what a member sent; from anybody else it is dropped.
    pub fn forward(&mut self, from: SessionId, data: Data, effects: &mut Vec<Effect>) {
        let member = self.members.get(&from);
        let room = member.and_then(|&(code, role)| Some((code, role, self.rooms.get_mut(&code)?)));
        let Some((code, role, room)) = room else {
            data.dropped(Dropped::RoomGone);
            return;
        };
        match role {
            Role::Sender => {
                room.sender_sent(data, effects);
                if !room.must_wait() {
                    self.progress(code, effects);
                }
            }
            Role::Receiver => {
                if let Err(full) = room.receiver_sent(from, data, effects) {
                    self.send_away(from, of_buffers(full), effects);
                }
            }
        }
    }

    /// The sender has answered the Ping that parts one receiver from the next.
    pub fn cleared(&mut self, sender: SessionId, effects: &mut Vec<Effect>) {
        if let Some(&(code, Role::Sender)) = self.members.get(&sender)
            && let Some(room) = self.rooms.get_mut(&code)
        {
            room.ponged();
            self.progress(code, effects);
        }
    }

    /// A receiver cannot be given what its sender has sent, which ends the sender.
    pub fn blame_sender(
        &mut self,
        receiver: SessionId,
        departure: Departure,
        effects: &mut Vec<Effect>,
    ) {
        if let Some((code, Role::Receiver)) = self.members.get(&receiver)
            && let code = *code
            && let Some(sender) = self.rooms.get(&code).and_then(|it| it.sender_of(receiver))
        {
            self.members.remove(&sender);
            self.close(code, Ending::SenderDisconnected, Some(departure), effects);
            effects.push(Effect::Close(sender, departure));
        }
    }

    /// A session is gone at `now`; one that is in no room changes nothing.
    pub fn leave(
        &mut self,
        session: SessionId,
        departure: Departure,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        match self.members.get(&session) {
            Some(&(code, Role::Sender)) => {
                self.members.remove(&session);
                if !self.wait(code, departure, now, effects) {
                    self.close(code, Ending::SenderDisconnected, Some(departure), effects);
                }
            }
            Some((_, Role::Receiver)) => self.lose(session, departure, effects),
            None => {}
        }
    }

    /// A receiver is gone.
    fn lose(&mut self, receiver: SessionId, departure: Departure, effects: &mut Vec<Effect>) {
        if let Some((code, _)) = self.members.remove(&receiver)
            && let Some(room) = self.rooms.get_mut(&code)
        {
            room.lose(code, receiver, departure, effects);
            self.progress(code, effects);
        }
    }

    /// Ends the rooms whose time is up, though a pair may finish, those that have waited for their senders in vain, and
    /// the pairs that have moved no data for so long; their rooms go on.
    pub fn look(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.ended.prune(now);
        while let Some((&(at, _), _)) = self.looks.first_key_value()
            && at <= now
            && let Some((_, code)) = self.looks.pop_first()
        {
            self.look_at(code, now, effects);
            if let Some(room) = self.rooms.get_mut(&code) {
                let again = room.look_again(now, self.limits.pair_idle);
                self.looks.insert(again, code);
            }
        }
    }

    /// When [`Rooms::look`] has something to do, if ever.
    pub fn next_look(&self) -> Option<Instant> {
        self.looks.first_key_value().map(|(&(at, _), _)| at)
    }

    fn look_at(&mut self, code: RoomCode, now: Instant, effects: &mut Vec<Effect>) {
        if self.rooms.get(&code).is_some_and(|room| room.is_due(now)) {
            self.end(code, Ending::RoomExpired, effects);
        }
        if let Some(departure) = self.rooms.get(&code).and_then(|it| it.has_waited(now)) {
            self.close(code, Ending::SenderDisconnected, Some(departure), effects);
        }
        if let Some(room) = self.rooms.get_mut(&code)
            && let Some(receiver) = room.quiet_receiver(now)
        {
            self.send_away(receiver, Ending::PairIdle, effects);
        }
    }

    /// Closes on a receiver, whose place in its room is free from here on.
    fn send_away(&mut self, receiver: SessionId, ending: Ending, effects: &mut Vec<Effect>) {
        self.lose(receiver, ending.into(), effects);
        effects.push(Effect::Close(receiver, ending.into()));
    }

    /// All rooms as they look from outside, in no order.
    pub fn sights(&self) -> impl Iterator<Item = Sight> {
        self.rooms.iter().map(|(&code, room)| room.sight(code))
    }

    /// Sends everybody in a room away, as the operator wants; whether there was one.
    pub fn end_by_operator(&mut self, code: RoomCode, effects: &mut Vec<Effect>) -> bool {
        let is_there = self.rooms.contains_key(&code);
        self.close(code, Ending::EndedByOperator, None, effects);
        is_there
    }

    /// Begins the end of every room, as the relay is to stop; a pair may finish. Senders that may take their rooms up
    /// again are told to come back within `spread`.
    pub fn drain(&mut self, spread: Duration, effects: &mut Vec<Effect>) {
        for (code, room) in &mut self.rooms {
            room.spread(code, spread);
        }
        let codes: Vec<_> = self.rooms.keys().copied().collect();
        for code in codes {
            self.end(code, Ending::ServerShutdown, effects);
        }
    }

    /// Ends what [`Rooms::drain`] has left.
    pub fn shut_down(&mut self, effects: &mut Vec<Effect>) {
        let codes: Vec<_> = self.rooms.keys().copied().collect();
        for code in codes {
            self.close(code, Ending::ServerShutdown, None, effects);
        }
    }

    fn end(&mut self, code: RoomCode, ending: Ending, effects: &mut Vec<Effect>) {
        let Some(room) = self.rooms.get_mut(&code) else {
            return;
        };
        for receiver in room.end(code, ending, effects) {
            self.members.remove(&receiver);
        }
        self.progress(code, effects);
    }

    /// What can follow now: the next pair, or the end of a room that only waited for its last.
    fn progress(&mut self, code: RoomCode, effects: &mut Vec<Effect>) {
        let Some(room) = self.rooms.get_mut(&code) else {
            return;
        };
        if let Some(ending) = room.is_over() {
            self.close(code, ending, None, effects);
            return;
        }
        // Held data may be more than the relay has memory for; then that receiver is closed, and
        // the room is clearing.
        if let Err((receiver, full)) = room.pair_next(code, effects) {
            self.send_away(receiver, of_buffers(full), effects);
        } else {
            room.tell_of_the_queue(effects);
        }
    }

    fn close(
        &mut self,
        code: RoomCode,
        ending: Ending,
        departure: Option<Departure>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(room) = self.rooms.remove(&code) else {
            return;
        };
        self.looks.remove(&room.look());
        if let Some(until) = room.void_until(ending) {
            self.ended.insert(code, until);
        }
        for member in room.close(code, ending, departure, effects) {
            self.members.remove(&member);
        }
    }
}

/// What it means for a receiver that there is no memory for its message.
fn of_buffers(full: Full) -> Ending {
    match full {
        Full::Whole => Ending::BuffersFull,
        Full::Part => Ending::AddressBuffers,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
