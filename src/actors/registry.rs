//! The `RoomRegistry` actor: who is here, what they may ask, and the way of every frame between
//! them.
//!
//! One for each worker thread, with the rooms of that worker and everybody in them: a session whose
//! request is about another worker's room is sent there with it, so that no frame has to change
//! threads. It asks [`Rooms`] what follows from a message, and carries that out through the sessions'
//! mailboxes. The rules themselves are in `rooms` and `limits`; `requests` are granted or refused, `resume` takes
//! up rooms again, `line` keeps the requests that may not be answered yet, `member` is what is kept of a session, `visits` who is in which queue
//! or pair, and `operator` what the operator asks.

mod effects;
mod line;
mod member;
mod operator;
mod requests;
mod resume;
mod visits;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, Addr, AsyncContext, Context, Handler, SpawnHandle};
use relay_wire::code::RoomCode;

use self::{
    line::Line,
    member::{Absent, Member},
    visits::Visits,
};
use super::{
    messages::{
        Alive, Ask, Attach, Cleared, Deliver, Fault, Forward, Leave, Moved, Parted, Shutdown,
        Sought,
    },
    now,
};
use crate::{
    config::Config,
    limits::budget::Spent,
    observe::logging,
    rooms::{BySession, Effect, Limits, Rooms, SessionId},
    state::State,
};

/// The longest that senders are to stay away once the relay has stopped, beside the first second.
const LONGEST_SPREAD: Duration = Duration::from_secs(14);

/// The sessions and rooms of one worker.
pub struct RoomRegistry {
    state: Arc<State>,
    worker: usize,
    rooms: Rooms,
    members: BySession<Member>,
    /// Those who have left, until the last of them is written or given up.
    leavers: BySession<Member>,
    /// The open rooms of checks, which are logged and counted apart.
    checks: HashSet<RoomCode>,
    /// The rooms that wait for their senders.
    away: HashMap<RoomCode, Absent>,
    line: Line,
    visits: Visits,
    draining: bool,
    alarm: Option<(Instant, SpawnHandle)>,
    /// Filled and emptied with every message; kept for its memory.
    effects: Vec<Effect>,
}

impl RoomRegistry {
    /// Starts the registry of one worker, on the thread it is called on.
    pub fn begin(state: Arc<State>, worker: usize) -> Addr<Self> {
        Self {
            state: Arc::clone(&state),
            worker,
            rooms: Rooms::new(limits(&state.live().config)),
            members: BySession::default(),
            leavers: BySession::default(),
            checks: HashSet::new(),
            away: HashMap::new(),
            line: Line::default(),
            visits: Visits::new(&state.pools),
            draining: false,
            alarm: None,
            effects: Vec::new(),
        }
        .start()
    }

    fn send(&self, id: SessionId, deliver: Deliver) {
        if let Some(member) = self.members.get(&id) {
            member.session.do_send(deliver);
        }
    }

    /// Looks again when the next room is to be looked at, a budget runs out, or a join has its turn.
    fn set_alarm(&mut self, ctx: &mut Context<Self>) {
        let all = [
            self.rooms.next_look(),
            self.state.admission.next_prune(),
            self.line.next_turn(),
        ];
        let Some(next) = all.into_iter().flatten().min() else {
            return;
        };
        match self.alarm {
            Some((set, _)) if set <= next => return,
            Some((_, alarm)) => {
                ctx.cancel_future(alarm);
            }
            None => {}
        }
        let wait = next.saturating_duration_since(now());
        let alarm = ctx.run_later(wait, |registry, ctx| {
            let now = now();
            registry.alarm = None;
            registry.state.admission.prune(now);
            registry
                .rooms
                .set_limits(limits(&registry.state.live().config));
            registry.rooms.look(now, &mut registry.effects);
            registry.carry_out();
            while let Some((id, (request, place))) = registry.line.pop(now) {
                registry.enter(id, request, Some(place), now);
            }
            registry.set_alarm(ctx);
        });
        self.alarm = Some((next, alarm));
    }
}

/// What the settings say of rooms. They may change, so they are asked with each request and each look.
fn limits(config: &Config) -> Limits {
    Limits {
        max_queue: config.max_queue,
        pair_idle: config.pair_idle,
    }
}

impl Actor for RoomRegistry {
    type Context = Context<Self>;
}

impl Handler<Attach> for RoomRegistry {
    type Result = ();

    fn handle(&mut self, attach: Attach, ctx: &mut Self::Context) {
        let Attach {
            id,
            session,
            visitor,
            vitals,
            moved,
        } = attach;
        let has_moved = moved.is_some();
        let (request, spent) = match moved {
            Some(Moved { request, spent }) => (Some(request), spent),
            None => (None, Spent::default()),
        };
        let member = Member {
            session,
            visitor,
            vitals,
            spent,
        };
        self.members.insert(id, member);
        // Much may have been decided while it was on its way here.
        if self.end_without_key(&[id], ctx) || self.apply_rule(id, has_moved) {
            return;
        }
        if self.draining {
            self.send(id, Deliver::Stopping { must: false });
        } else if let Some(request) = request {
            self.take_up(id, request, now(), ctx);
            self.set_alarm(ctx);
        }
    }
}

impl Handler<Ask> for RoomRegistry {
    type Result = ();

    fn handle(&mut self, ask: Ask, ctx: &mut Self::Context) {
        if self.draining {
            self.send(ask.id, Deliver::Stopping { must: false });
            return;
        }
        if self.end_without_key(&[ask.id], ctx) {
            return;
        }
        self.ask(ask, ctx);
        self.set_alarm(ctx);
    }
}

impl Handler<Sought> for RoomRegistry {
    type Result = ();

    fn handle(&mut self, sought: Sought, ctx: &mut Self::Context) {
        self.sought(sought, ctx);
        self.set_alarm(ctx);
    }
}

impl Handler<Forward> for RoomRegistry {
    type Result = ();

    fn handle(&mut self, Forward { id, data }: Forward, _: &mut Self::Context) {
        self.rooms.forward(id, data, &mut self.effects);
        self.carry_out();
    }
}

impl Handler<Cleared> for RoomRegistry {
    type Result = ();

    fn handle(&mut self, Cleared(id): Cleared, _: &mut Self::Context) {
        self.rooms.cleared(id, &mut self.effects);
        self.carry_out();
    }
}

impl Handler<Fault> for RoomRegistry {
    type Result = ();

    fn handle(&mut self, Fault { id, departure }: Fault, _: &mut Self::Context) {
        let member = self.members.get(&id).cloned();
        self.rooms.blame_sender(id, departure, &mut self.effects);
        self.carry_out_for(member.as_ref());
    }
}

impl Handler<Leave> for RoomRegistry {
    type Result = ();

    fn handle(&mut self, Leave { id, departure }: Leave, ctx: &mut Self::Context) {
        let member = self.members.remove(&id);
        self.line.leave(id);
        self.rooms.leave(id, departure, now(), &mut self.effects);
        self.carry_out_for(member.as_ref());
        self.leavers.extend(member.map(|member| (id, member)));
        // Its room may wait for it.
        self.set_alarm(ctx);
    }
}

impl Handler<Parted> for RoomRegistry {
    type Result = ();

    fn handle(&mut self, Parted { id, given }: Parted, _: &mut Self::Context) {
        self.leavers.remove(&id);
        if let Some(transfer) = self.visits.parted(id, given) {
            self.state.metrics.transfers.ended(&transfer);
        }
    }
}

impl Handler<Shutdown> for RoomRegistry {
    type Result = ();

    fn handle(&mut self, shutdown: Shutdown, _: &mut Self::Context) {
        self.draining = true;
        self.line = Line::default();
        match shutdown {
            Shutdown::Drain => {
                // A thousand a second, as far as that is not too long to wait for anybody.
                let sessions = self.state.pools.sessions.whole().used() as u64;
                let spread = Duration::from_millis(sessions).min(LONGEST_SPREAD);
                self.rooms.drain(spread, &mut self.effects);
            }
            Shutdown::Now => self.rooms.shut_down(&mut self.effects),
        }
        self.carry_out();
        let must = matches!(shutdown, Shutdown::Now);
        for member in self.members.values() {
            member.session.do_send(Deliver::Stopping { must });
        }
    }
}

impl Handler<Alive> for RoomRegistry {
    type Result = ();

    fn handle(&mut self, _: Alive, _: &mut Self::Context) {}
}

impl Drop for RoomRegistry {
    fn drop(&mut self) {
        if std::thread::panicking() && !cfg!(test) {
            // Without it every session of this worker would wait for ever. A fresh process serves
            // them better, and whoever supervises this one will start it.
            self.state.events.end();
            logging::flush();
            std::process::abort();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
