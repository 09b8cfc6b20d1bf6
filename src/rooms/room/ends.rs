//! How receivers leave a room, and how it ends for all who are in it.

use std::{
    mem,
    time::{Duration, Instant},
};

use relay_wire::{code::RoomCode, ending::Ending, reply::Reply};

use super::{Room, Stage};
use crate::rooms::{
    effect::{Departure, Effect, SessionId, Summary},
    outcome::Outcome,
};

/// How much longer than its room a token may live, as it counts whole seconds.
const TOKEN_MORE: Duration = Duration::from_secs(1);

impl Room {
    /// A receiver is gone, whether it was paired or queued.
    pub(in crate::rooms) fn lose(
        &mut self,
        code: RoomCode,
        receiver: SessionId,
        departure: Departure,
        effects: &mut Vec<Effect>,
    ) {
        let is_open = self.is_open();
        match &mut self.stage {
            Stage::Paired(pair) if pair.receiver == receiver => {
                let sent = pair.passed.down;
                pair.passed.down = departure.given.unwrap_or(sent);
                let done = departure.well && pair.passed.down == sent;
                let done = done && pair.is_complete(self.in_message);
                let outcome = Outcome::of(departure.ending, done, Outcome::ReceiverGone);
                let peer_id = pair.peer;
                let gone = Reply::PeerDisconnected { peer_id };
                effects.extend([
                    Effect::Reply(self.sender, gone),
                    pair.leave(code, departure, outcome),
                ]);
                if is_open {
                    effects.push(Effect::Ping(self.sender));
                }
                self.passed += pair.passed;
                self.stage = Stage::Clearing { ponged: false };
            }
            _ => {
                let place = self.queue.iter().position(|queued| queued.id == receiver);
                let queued = place.and_then(|place| self.queue.remove(place));
                effects.extend(queued.map(|queued| queued.leave(code, departure)));
            }
        }
    }

    /// Lets nobody in any more, and sends the queue away; returns who that was.
    pub(in crate::rooms) fn end(
        &mut self,
        code: RoomCode,
        ending: Ending,
        effects: &mut Vec<Effect>,
    ) -> Vec<SessionId> {
        self.ending.get_or_insert(ending);
        self.dismiss_queue(code, ending, effects)
    }

    fn dismiss_queue(
        &mut self,
        code: RoomCode,
        ending: Ending,
        effects: &mut Vec<Effect>,
    ) -> Vec<SessionId> {
        let queue = mem::take(&mut self.queue).into_iter();
        let dismissed = queue.map(|receiver| {
            let id = receiver.id;
            dismiss(id, ending, effects);
            effects.push(receiver.leave(code, ending.into()));
            id
        });
        dismissed.collect()
    }

    /// Until when its token lives, where it has one and may not be opened again by it once it has ended so.
    pub(in crate::rooms) fn void_until(&self, ending: Ending) -> Option<Instant> {
        // The relay after one that stops is to have it again.
        let is_void = self.resumable.is_some() && ending != Ending::ServerShutdown;
        is_void.then(|| self.due + TOKEN_MORE)
    }

    /// Sends everybody away; returns who that was.
    pub(in crate::rooms) fn close(
        mut self,
        code: RoomCode,
        ending: Ending,
        departure: Option<Departure>,
        effects: &mut Vec<Effect>,
    ) -> Vec<SessionId> {
        let mut members = self.dismiss_queue(code, ending, effects);
        let close = match (ending, departure.map(|departure| departure.ending)) {
            // What it waits for does not come, however often it asks.
            (_, Some(Ending::MessageTooBig)) => Ending::MessageTooBig,
            (Ending::RoomExpired, _) => Ending::SenderDisconnected,
            (other, _) => other,
        };
        let left = departure.unwrap_or(ending.into());
        members.extend(self.end_pair(code, close, left, effects));
        if ending != Ending::SenderDisconnected && !self.is_away() {
            let come_back = self
                .reconnect_in
                .filter(|_| ending == Ending::ServerShutdown);
            let told = come_back.map_or(ending.into(), Reply::come_back);
            effects.push(Effect::Reply(self.sender, told));
            effects.push(Effect::Close(self.sender, ending.into()));
            members.push(self.sender);
        }
        effects.push(Effect::Closed(Summary {
            code,
            sender: self.sender,
            opened: self.opened,
            ending,
            departure,
            receivers: self.receivers,
            passed: self.passed,
            void_until: self.void_until(ending),
        }));
        members
    }

    /// Ends the pair, if there is one, as its sender leaves like this. Its receiver, which is closed for `close`: by
    /// that alone it is told, as its stream is the sender's.
    pub(super) fn end_pair(
        &mut self,
        code: RoomCode,
        close: Ending,
        left: Departure,
        effects: &mut Vec<Effect>,
    ) -> Option<SessionId> {
        let Stage::Paired(pair) = &mut self.stage else {
            return None;
        };
        if let Some(given) = left.given {
            pair.passed.up = given.saturating_sub(self.passed.up - self.passed_up_before);
        }
        let done = left.well && pair.is_complete(self.in_message);
        let outcome = Outcome::of(left.ending, done, Outcome::SenderGone);
        let receiver = pair.receiver;
        effects.extend([
            Effect::Close(receiver, close.into()),
            pair.leave(code, close.into(), outcome),
        ]);
        self.passed += pair.passed;
        self.stage = Stage::Vacant { told: false };
        Some(receiver)
    }
}

/// Tells a session of the room's end, and closes it.
fn dismiss(session: SessionId, ending: Ending, effects: &mut Vec<Effect>) {
    effects.push(Effect::Reply(session, ending.into()));
    effects.push(Effect::Close(session, ending.into()));
}
