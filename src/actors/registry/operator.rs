//! What the operator asks of a registry, and what it decides of those that are here.

use actix::{AsyncContext, Context, Handler};
use jiff::Timestamp;
use relay_wire::ending::Ending;

use super::RoomRegistry;
use crate::{
    actors::{
        messages::{Decided, Deliver, EndRoom, Fellow, KeysChanged, Look, Seen},
        now,
    },
    flow::clocks::CLOSE_TIMEOUT,
    limits::{address::AddressKey, rules::Rule},
    rooms::SessionId,
};

impl RoomRegistry {
    /// Has a session that begins here meet what was decided of its client; whether it ends for it. One
    /// that was on its way here when that was decided was nowhere to be told.
    pub(super) fn apply_rule(&self, id: SessionId, client: AddressKey) -> bool {
        match self.state.rules.of(client, Timestamp::now()) {
            Rule::None => false,
            Rule::Blocked => {
                self.send(id, Deliver::Evict);
                true
            }
            Rule::Limited(pace) => {
                self.send(id, Deliver::Limit(Some(pace)));
                false
            }
        }
    }

    /// Ends those of these sessions that may not be here by the access keys of now; whether there are any. What waits
    /// for them may come before the Close, but no longer than a Close is waited for: who takes a byte now and then would
    /// stay for as long as it likes.
    pub(super) fn end_without_key(&self, ids: &[SessionId], ctx: &mut Context<Self>) -> bool {
        let members = ids.iter().filter_map(|id| self.members.get(id));
        let over = members.filter(|it| self.state.access.is_over_for(&it.visitor));
        let sessions: Vec<_> = over.map(|it| it.session.clone()).collect();
        for session in &sessions {
            session.do_send(Deliver::Close(Ending::AccessKeyWithdrawn.into()));
        }
        let any = !sessions.is_empty();
        if any {
            ctx.run_later(CLOSE_TIMEOUT, move |_, _| {
                for session in sessions {
                    session.do_send(Deliver::Evict);
                }
            });
        }
        any
    }
}

impl Handler<Look> for RoomRegistry {
    type Result = Vec<Seen>;

    fn handle(&mut self, _: Look, _: &mut Self::Context) -> Vec<Seen> {
        let now = now();
        let member = |id: SessionId| {
            let member = self.members.get(&id)?;
            Some(Fellow {
                client: member.visitor.network,
                fares: member.vitals.at(now),
            })
        };
        let seen = self.rooms.sights().map(|sight| Seen {
            check: self.checks.contains(&sight.code),
            sender: member(sight.sender),
            receiver: sight.receiver.and_then(member),
            sight,
        });
        seen.collect()
    }
}

impl Handler<EndRoom> for RoomRegistry {
    type Result = bool;

    fn handle(&mut self, EndRoom(code): EndRoom, _: &mut Self::Context) -> bool {
        let was_there = self.rooms.end_by_operator(code, &mut self.effects);
        self.carry_out();
        was_there
    }
}

impl Handler<Decided> for RoomRegistry {
    type Result = usize;

    fn handle(&mut self, Decided(network): Decided, _: &mut Self::Context) -> usize {
        let now = Timestamp::now();
        let mut ended = 0;
        for member in self.members.values() {
            if !network.covers(member.visitor.network) {
                continue;
            }
            member
                .session
                .do_send(match self.state.rules.of(member.visitor.network, now) {
                    Rule::Blocked => {
                        ended += 1;
                        Deliver::Evict
                    }
                    Rule::Limited(pace) => Deliver::Limit(Some(pace)),
                    Rule::None => Deliver::Limit(None),
                });
        }
        ended
    }
}

impl Handler<KeysChanged> for RoomRegistry {
    type Result = ();

    fn handle(&mut self, _: KeysChanged, ctx: &mut Self::Context) {
        let all: Vec<_> = self.members.keys().copied().collect();
        self.end_without_key(&all, ctx);
    }
}
