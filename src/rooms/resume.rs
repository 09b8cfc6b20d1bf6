//! Rooms that outlive their senders' connections: how one waits, and how its sender takes it up again.

use std::time::Instant;

use relay_wire::{
    code::RoomCode,
    ending::Ending,
    reply::{Reply, ResumeBy},
};

use super::{Departure, Effect, Role, Rooms, SessionId, Whereabouts, room::Room};

impl Rooms {
    /// Where the room of this code is that was opened then.
    pub fn whereabouts(&self, code: &RoomCode, opened: u64, now: Instant) -> Whereabouts {
        match self.rooms.get(code) {
            Some(room) if room.is_of(opened) => Whereabouts::Here,
            Some(_) => Whereabouts::Over,
            None if self.ended.has(code, now) => Whereabouts::Over,
            None => Whereabouts::Unknown,
        }
    }

    /// Gives the room of this code that was opened then to another session of its sender, which is told the code and this
    /// `token`. There is none for a client that another node brings: that node knows both and tells them, so that neither
    /// is on the way between the two.
    ///
    /// # Errors
    ///
    /// [`Ending::RoomNotFound`].
    pub fn resume(
        &mut self,
        code: RoomCode,
        opened: u64,
        sender: SessionId,
        token: Option<String>,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Ending> {
        let room = self.rooms.get_mut(&code).filter(|it| it.is_of(opened));
        let room = room.ok_or(Ending::RoomNotFound)?;
        for member in room.change_sender(code, sender, effects) {
            self.members.remove(&member);
        }
        self.members.insert(sender, (code, Role::Sender));
        let room_id = token.as_ref().map(|_| code.reveal());
        let resumed = Reply::RoomResumed {
            room_id: room_id.unwrap_or_default(),
            expires_in: room.life_left(now).as_secs(),
            resume: ResumeBy {
                token: token.unwrap_or_default(),
                within: room.grace().as_secs(),
            },
        };
        effects.push(Effect::Reply(sender, resumed));
        self.look_anew(code, now);
        self.progress(code, effects);
        Ok(())
    }

    /// Has a room wait for its sender, which has left like this at `now`; whether it does.
    pub(super) fn wait(
        &mut self,
        code: RoomCode,
        departure: Departure,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Some(room) = self.rooms.get_mut(&code) else {
            return false;
        };
        let Some(grace) = room.grace_for(departure) else {
            return false;
        };
        let receiver = room.wait(code, departure, grace, now, effects);
        if let Some(receiver) = receiver {
            self.members.remove(&receiver);
        }
        self.look_anew(code, now);
        self.progress(code, effects);
        true
    }

    /// Ends a room that waits for its sender, which may not come back for this reason.
    pub fn wait_no_more(&mut self, code: RoomCode, why: Ending, effects: &mut Vec<Effect>) {
        if self.rooms.get(&code).is_some_and(Room::is_away) {
            let ending = Ending::SenderDisconnected;
            self.close(code, ending, Some(why.into()), effects);
        }
    }

    /// Enters when a room is to be looked at next, which has changed.
    fn look_anew(&mut self, code: RoomCode, now: Instant) {
        if let Some(room) = self.rooms.get_mut(&code) {
            self.looks.remove(&room.look());
            let look = room.look_again(now, self.limits.pair_idle);
            self.looks.insert(look, code);
        }
    }
}
