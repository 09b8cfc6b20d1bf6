//! The `RoomRegistry` actor: who is here, what they may ask, and the way of every frame between
//! them.
//!
//! One for each worker thread, with the rooms of that worker and everybody in them: a session whose
//! request is about another worker's room is sent there with it, so that no frame has to change
//! threads. It charges requests to their budgets, asks [`Rooms`] what follows from a message, and
//! carries that out through the sessions' mailboxes. The rules themselves are in `rooms` and
//! `limits`; `line` keeps the joins that may not be answered yet, `member` is what is kept of a session, `visits`
//! who is in which queue or pair, and `operator` what the operator asks.

mod effects;
mod line;
mod member;
mod operator;
mod visits;

use std::{
    collections::HashSet,
    iter,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, Addr, AsyncContext, Context, Handler, SpawnHandle};
use relay_wire::{
    code::RoomCode,
    ending::Ending,
    reply::{PeerId, Reply},
    request::{Join, Request},
};

use self::{line::Line, member::Member, visits::Visits};
use super::{
    messages::{
        Alive, Ask, Attach, Cleared, Deliver, Fault, Forward, Leave, Moved, Parted, Shutdown,
    },
    now,
};
use crate::{
    config::Config,
    limits::{
        address::AddressKey,
        admission::{Place, Tried},
        budget::Spent,
    },
    observe::{events::Kind, logging},
    rooms::{BySession, Effect, Limits, Receiver, Role, Rooms, SessionId},
    state::State,
};

/// Codes tried for a room before the relay counts as full. Half of all are free at least, as the settings
/// have it, and one in [`workers`](crate::config::Config::workers) of those is for a room of this worker.
const TRIES: usize = 1000;

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
            line: Line::default(),
            visits: Visits::new(&state.pools),
            draining: false,
            alarm: None,
            effects: Vec::new(),
        }
        .start()
    }

    fn ask(&mut self, Ask { id, request }: Ask) {
        let now = now();
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        let (client, admission) = (member.visitor.network, &self.state.admission);
        if let Err(wait) = admission.ask(&mut member.spent, client, now) {
            let kind = request.as_ref().map_or(Kind::RequestRejected, rejected);
            self.refuse(id, kind, Reply::rate_limited(wait), Duration::ZERO);
            return;
        }
        match request {
            None => {
                let reply = Ending::InvalidRequest.into();
                self.refuse(id, Kind::RequestRejected, reply, Duration::ZERO);
            }
            Some(request) => self.route(id, request, now),
        }
    }

    /// Grants or refuses a request here, or sends its session to the worker whose it is.
    fn route(&mut self, id: SessionId, request: Request, now: Instant) {
        let placement = &self.state.placement;
        let home = match request {
            Request::Create => placement.home_for_new(self.worker),
            // A worker that has not started has no rooms either.
            Request::Join(Join {
                code: Some(code), ..
            }) if placement.has_started(placement.home(&code)) => placement.home(&code),
            Request::Join(_) => self.worker,
        };
        if home == self.worker {
            self.answer(id, request, now);
        } else if let Some(Member { session, spent, .. }) = self.members.remove(&id) {
            session.do_send(Deliver::Move {
                worker: home,
                moved: Box::new(Moved { request, spent }),
            });
        }
    }

    /// Grants or refuses a request that is charged and this worker's.
    fn answer(&mut self, id: SessionId, request: Request, now: Instant) {
        let Some(client) = self.client(id) else {
            return;
        };
        let live = self.state.live();
        self.rooms.set_limits(limits(&live.config));
        match request {
            Request::Create => match self.create(id, client, live.config.room_code_length, now) {
                Ok(()) => self.grant(id, Role::Sender),
                Err(ending) => {
                    let kind = Kind::CreateRoomRejected;
                    self.refuse(id, kind, ending.into(), Duration::ZERO);
                }
            },
            Request::Join(join) => self.join(id, join, None, now),
        }
    }

    fn grant(&mut self, id: SessionId, role: Role) {
        self.send(id, Deliver::Granted(role));
        let member = self.members.get(&id).cloned();
        self.carry_out_for(member.as_ref());
    }

    /// Whose budget the requests of a session are charged to.
    fn client(&self, id: SessionId) -> Option<AddressKey> {
        self.members.get(&id).map(|it| it.visitor.network)
    }

    /// Tries a code, or has it wait for the next turn of its address, where it may have waited in
    /// this place already.
    fn join(&mut self, id: SessionId, join: Join, place: Option<Place>, now: Instant) {
        let Some(client) = self.client(id) else {
            return;
        };
        let comes_to_wait = place.is_none();
        let (admission, buffers) = (&self.state.admission, &self.state.pools.buffers);
        let tried = admission.try_code(client, place, now, || {
            let code = join.code.ok_or(Ending::RoomNotFound)?;
            let receiver = Receiver::new(id, PeerId::random(), buffers.of(client), now)
                .with_queue_updates(join.queue_updates);
            self.rooms.join(&code, receiver, &mut self.effects)
        });
        match tried {
            Tried::Granted => self.grant(id, Role::Receiver),
            Tried::Refused(reply, delay) => {
                self.refuse(id, Kind::JoinRoomRejected, reply, delay);
            }
            Tried::Later(turn, place) => {
                self.line.push(turn, id, (join, place));
                if comes_to_wait {
                    self.send(id, Deliver::Late);
                }
            }
        }
    }

    /// Opens a room whose code has so many characters.
    fn create(
        &mut self,
        id: SessionId,
        client: AddressKey,
        length: usize,
        now: Instant,
    ) -> Result<(), Ending> {
        let slots = self.state.pools.rooms.of(client);
        let codes = iter::from_fn(|| RoomCode::random(length).ok());
        let placement = &self.state.placement;
        let ours = codes.filter(|code| placement.home(code) == self.worker);
        let codes = ours.take(TRIES);
        self.rooms.create(now, id, &slots, codes, &mut self.effects)
    }

    fn refuse(&self, id: SessionId, kind: Kind, reply: Reply, delay: Duration) {
        if let Some(ending) = reply.ending() {
            let visitor = self.members.get(&id).map(|it| &it.visitor);
            self.state.refused(kind, id, visitor, ending);
        }
        self.send(id, Deliver::Refused(reply, delay));
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
            while let Some((id, (join, place))) = registry.line.pop(now) {
                registry.join(id, join, Some(place), now);
            }
            registry.set_alarm(ctx);
        });
        self.alarm = Some((next, alarm));
    }
}

/// What becomes of a request that is not granted.
fn rejected(request: &Request) -> Kind {
    match request {
        Request::Create => Kind::CreateRoomRejected,
        Request::Join(_) => Kind::JoinRoomRejected,
    }
}

/// What the settings say of rooms. They may change, so they are asked with each request and each look.
fn limits(config: &Config) -> Limits {
    Limits {
        ttl: config.room_ttl,
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
            self.send(id, Deliver::Stopping);
        } else if let Some(request) = request {
            self.answer(id, request, now());
            self.set_alarm(ctx);
        }
    }
}

impl Handler<Ask> for RoomRegistry {
    type Result = ();

    fn handle(&mut self, ask: Ask, ctx: &mut Self::Context) {
        if self.draining {
            self.send(ask.id, Deliver::Stopping);
            return;
        }
        if self.end_without_key(&[ask.id], ctx) {
            return;
        }
        self.ask(ask);
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

    fn handle(&mut self, Leave { id, departure }: Leave, _: &mut Self::Context) {
        let member = self.members.remove(&id);
        self.line.leave(id);
        self.rooms.leave(id, departure, &mut self.effects);
        self.carry_out_for(member.as_ref());
        self.leavers.extend(member.map(|member| (id, member)));
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
            Shutdown::Drain => self.rooms.drain(&mut self.effects),
            Shutdown::Now => self.rooms.shut_down(&mut self.effects),
        }
        self.carry_out();
        for member in self.members.values() {
            member.session.do_send(Deliver::Stopping);
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
