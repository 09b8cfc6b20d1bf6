//! Carries out what follows in the rooms: through the sessions' mailboxes, in the counts and in the log.

use std::fmt::Display;

use relay_wire::code::RoomCode;

use super::RoomRegistry;
use crate::{
    actors::{messages::Deliver, now},
    limits::address::AddressKey,
    observe::logging::log_client,
    rooms::{Effect, SessionId},
};

/// Effects for which an empty list keeps its memory. One message seldom has more.
pub(super) const KEPT_EFFECTS: usize = 64;

impl RoomRegistry {
    pub(super) fn carry_out(&mut self) {
        self.carry_out_for(None);
    }

    /// The same where a client may have caused a room to open or to close.
    pub(super) fn carry_out_for(&mut self, cause: Option<AddressKey>) {
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Deliver(id, delivery) => self.send(id, Deliver::Data(delivery)),
                Effect::Reply(id, reply) => {
                    if let Some(ending) = reply.ending() {
                        self.state.metrics.refused(ending);
                    }
                    self.send(id, Deliver::Reply(reply));
                }
                Effect::Ping(id) => self.send(id, Deliver::Ping),
                Effect::Awaited(id, others) => self.send(id, Deliver::Awaited(others)),
                Effect::Close(id, departure) => self.send(id, Deliver::Close(departure)),
                Effect::Opened(id, code) => self.room_opened(id, code, cause),
                Effect::Joined(joined) => self.log_room(&joined.code, cause, &joined),
                Effect::Left(visit) => {
                    let member = self.members.get(&visit.receiver);
                    let client = member.map(|it| it.client).or(cause);
                    self.log_room(&visit.code, client, &visit.at(now()));
                }
                Effect::Closed(summary) => {
                    self.state.placement.closed(self.worker);
                    self.log_room(&summary.code, cause, &summary.at(now()));
                    if !self.checks.remove(&summary.code) {
                        self.state.metrics.room_closed(summary.ending);
                    }
                }
            }
        }
        // Closing many rooms at once makes a long list, once.
        effects.shrink_to(KEPT_EFFECTS);
        self.effects = effects;
    }

    fn room_opened(&mut self, sender: SessionId, code: RoomCode, cause: Option<AddressKey>) {
        self.state.placement.opened(self.worker);
        if self.members.get(&sender).is_some_and(|it| it.check) {
            self.checks.insert(code);
            self.state.metrics.check_room_opened();
        } else {
            self.state.metrics.room_opened();
        }
        let line = format_args!("room {code} opened by session {}", sender.0);
        self.log_room(&code, cause, &line);
    }

    /// Logs a line of a room that a client causes; those of checks matter to nobody else.
    fn log_room(&self, code: &RoomCode, client: Option<AddressKey>, line: &dyn Display) {
        if self.checks.contains(code) {
            log_client!(Debug, client, "{line}");
        } else {
            log_client!(Info, client, "{line}");
        }
    }
}
