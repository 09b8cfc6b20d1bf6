//! What the operator asks of a registry, and what it decides of those that are here.

use actix::{AsyncContext, Context, Handler};
use relay_wire::ending::Ending;

use super::RoomRegistry;
use crate::{
    actors::{
        messages::{Decided, Deliver, EndRoom, Fellow, KeysChanged, Look, Seen},
        now,
    },
    flow::clocks::CLOSE_TIMEOUT,
    limits::{access::Visitor, rules::Rule},
    rooms::SessionId,
};

impl RoomRegistry {
    /// Has a session that comes here meet what was decided of its client; whether it ends for it. One
    /// that was on its way here when that was decided was nowhere to be told; and of a limit's end neither, where it
    /// has `moved` here from another worker. One that is new has no limit that could have ended.
    pub(super) fn apply_rule(&self, id: SessionId, moved: bool) -> bool {
        let Some(member) = self.members.get(&id) else {
            return false;
        };
        let rule = self.state.rule(&member.visitor);
        if matches!(rule, Rule::None) && !moved {
            return false;
        }
        let word = word(rule);
        let ends = matches!(word, Deliver::Evict);
        member.session.do_send(word);
        ends
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

    /// Ends the rooms that wait for a sender whom this holds, as it may not come back.
    fn end_waiting(&mut self, ending: Ending, holds: impl Fn(&Self, &Visitor) -> bool) {
        let absent = self.away.iter().filter_map(|(&code, absent)| {
            let visitor = absent.visitor.as_ref()?;
            holds(self, visitor).then_some(code)
        });
        for code in absent.collect::<Vec<_>>() {
            self.rooms.wait_no_more(code, ending, &mut self.effects);
        }
        self.carry_out();
    }
}

/// What a session is told of whom this holds.
fn word(rule: Rule) -> Deliver {
    match rule {
        Rule::Blocked => Deliver::Evict,
        Rule::Limited(pace) => Deliver::Limit(Some(pace)),
        Rule::None => Deliver::Limit(None),
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
            at: now,
            check: self.checks.contains(&sight.code),
            sender: sight.sender.and_then(member),
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
        let mut ended = 0;
        // Who has left may still be written to for hours, a little at a time.
        for member in self.members.values().chain(self.leavers.values()) {
            if network.covers(member.visitor.network) {
                let word = word(self.state.rule(&member.visitor));
                ended += usize::from(matches!(word, Deliver::Evict));
                member.session.do_send(word);
            }
        }
        self.end_waiting(Ending::Blocked, |registry, visitor| {
            let is_blocked = || matches!(registry.state.rule(visitor), Rule::Blocked);
            network.covers(visitor.network) && is_blocked()
        });
        ended
    }
}

impl Handler<KeysChanged> for RoomRegistry {
    type Result = ();

    fn handle(&mut self, _: KeysChanged, ctx: &mut Self::Context) {
        let all: Vec<_> = self.members.keys().copied().collect();
        self.end_without_key(&all, ctx);
        self.end_waiting(Ending::AccessKeyWithdrawn, |registry, visitor| {
            registry.state.access.is_over_for(visitor)
        });
    }
}
