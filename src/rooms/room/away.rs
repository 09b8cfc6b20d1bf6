//! A sender that is away from its room, and takes it up again.

use std::time::{Duration, Instant};

use relay_wire::{code::RoomCode, ending::Ending};

use super::{Room, Stage};
use crate::rooms::effect::{Away, Departure, Effect, Resumed, SessionId};

impl Room {
    /// Whether this is the room that a token speaks of which was opened then, and it can be taken up.
    pub(in crate::rooms) fn is_of(&self, opened: u64) -> bool {
        self.is_open() && self.resumable.is_some_and(|it| it.opened == opened)
    }

    /// How long it waits for a sender that leaves like this, if it does. Where the relay stops, the next is to have the
    /// room: it is over here at once, and may be taken up there.
    pub(in crate::rooms) fn grace_for(&self, departure: Departure) -> Option<Duration> {
        let goes_on = self.ending.is_none_or(|it| it == Ending::ServerShutdown);
        let resumable = self.resumable.filter(|_| goes_on)?;
        departure.may_come_back().then_some(resumable.grace)
    }

    /// Waits so long from `now` on for its sender, which has left like this. Its receiver, which has to join again: it
    /// may have got a part of a message whose end never comes.
    pub(in crate::rooms) fn wait(
        &mut self,
        code: RoomCode,
        departure: Departure,
        grace: Duration,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> Option<SessionId> {
        let close = self.ending.unwrap_or(Ending::SenderAway);
        let receiver = self.end_pair(code, close, departure, effects);
        self.stage = Stage::Away {
            until: now + grace,
            since: departure,
        };
        effects.push(Effect::Away(Away {
            code,
            sender: self.sender,
            departure,
            grace,
        }));
        receiver
    }

    /// Whether it waits for its sender.
    pub(in crate::rooms) fn is_away(&self) -> bool {
        matches!(self.stage, Stage::Away { .. })
    }

    /// How its sender left, if the room has waited for it in vain.
    pub(in crate::rooms) fn has_waited(&self, now: Instant) -> Option<Departure> {
        match self.stage {
            Stage::Away { until, since } if until <= now => Some(since),
            _ => None,
        }
    }

    /// Has a new sender. The one before, if it is not away, is told and closed, and its receiver has to join again;
    /// returns who that was.
    pub(in crate::rooms) fn change_sender(
        &mut self,
        code: RoomCode,
        sender: SessionId,
        effects: &mut Vec<Effect>,
    ) -> Vec<SessionId> {
        let mut gone = Vec::new();
        if !self.is_away() {
            let replaced = Ending::Replaced;
            gone.extend(self.end_pair(code, Ending::SenderAway, replaced.into(), effects));
            effects.extend([
                Effect::Reply(self.sender, replaced.into()),
                Effect::Close(self.sender, replaced.into()),
            ]);
            gone.push(self.sender);
        }
        self.sender = sender;
        self.passed_up_before = self.passed.up;
        // Nothing can come any more of what the one before has said.
        self.in_message = false;
        self.stage = Stage::Vacant { told: false };
        effects.push(Effect::Resumed(Resumed {
            code,
            sender,
            anew: false,
        }));
        gone
    }

    /// How long it waits for its sender.
    pub(in crate::rooms) fn grace(&self) -> Duration {
        self.resumable.map(|it| it.grace).unwrap_or_default()
    }

    /// How long it still lives.
    pub(in crate::rooms) fn life_left(&self, now: Instant) -> Duration {
        self.due.saturating_duration_since(now)
    }

    /// When its sender, where that may come back, is to do so once the relay has stopped: after a second, and then
    /// within `spread`, so that not all come at once. Where in that follows from the code, which is random.
    pub(in crate::rooms) fn spread(&mut self, code: &RoomCode, spread: Duration) {
        const PARTS: u128 = 10_007;
        let part = (code.number() % PARTS) as f64 / PARTS as f64;
        let after = Duration::from_secs(1) + spread.mul_f64(part);
        self.reconnect_in = self.resumable.map(|_| after);
    }
}
