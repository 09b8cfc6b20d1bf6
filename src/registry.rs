//! The `RoomRegistry` actor: who is here, what they may ask, and the way of every frame between
//! them.
//!
//! One for each worker thread, with the rooms of that worker and everybody in them: a session whose
//! request is about another worker's room is sent there with it, so that no frame has to change
//! threads. It charges requests to their budgets, asks [`Rooms`] what follows from a message, and
//! carries that out through the sessions' mailboxes. The rules themselves are in `rooms` and
//! `rate_limit`; which room is whose is in `directory`.

use std::{
    collections::HashMap,
    iter,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, Addr, AsyncContext, Context, Handler, SpawnHandle};
use log::info;

use crate::{
    client_addr::AddressKey,
    messages::{
        Alive, Arrive, Ask, Attach, Cleared, Deliver, Errand, Forward, Leave, Shutdown, Ticket,
    },
    protocol::{PeerId, Reason, Reply, Request},
    rate_limit::Spent,
    rooms::{Effect, Limits, RoomCode, Rooms, SessionId},
    server::Shared,
    session::Session,
};

/// Codes tried for a room before the relay counts as full: with the fewest characters and the most
/// rooms allowed, more than half of all codes are in use.
const TRIES: usize = 1000;

/// A session, and what the registry keeps of it.
struct Member {
    session: Addr<Session>,
    client: AddressKey,
    spent: Spent,
}

/// The sessions and rooms of one worker.
pub struct RoomRegistry {
    shared: Arc<Shared>,
    worker: usize,
    rooms: Rooms,
    members: HashMap<SessionId, Member>,
    draining: bool,
    alarm: Option<(Instant, SpawnHandle)>,
    /// Filled and emptied with every message; kept for its memory.
    effects: Vec<Effect>,
}

impl RoomRegistry {
    /// Starts the registry of one worker, on the thread it is called on.
    pub fn begin(shared: Arc<Shared>, worker: usize) -> Addr<Self> {
        let limits = Limits {
            ttl: shared.config.room_ttl,
            max_queue: shared.config.max_queue,
            rooms: Arc::clone(&shared.totals.rooms),
            buffers: Arc::clone(&shared.totals.buffers),
        };
        let registry = Self {
            shared: Arc::clone(&shared),
            worker,
            rooms: Rooms::new(limits),
            members: HashMap::new(),
            draining: false,
            alarm: None,
            effects: Vec::new(),
        }
        .start();
        shared.directory.enter(worker, registry.clone());
        registry
    }

    fn ask(&mut self, Ask { id, request }: Ask) {
        let now = Instant::now();
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        let (client, admission) = (member.client, &self.shared.admission);
        if let Err(wait) = admission.ask(&mut member.spent, client, now) {
            self.refuse(id, Reply::rate_limited(wait), Duration::ZERO);
            return;
        }
        match request {
            None => self.refuse(id, Reason::InvalidRequest.into(), Duration::ZERO),
            Some(Request::Create) => self.route(id, Errand::Create, now),
            Some(Request::Join(typed)) => {
                self.route(id, Errand::Join(RoomCode::from_typed(&typed)), now);
            }
        }
    }

    /// Runs an errand here, or sends the session to the worker whose it is.
    fn route(&mut self, id: SessionId, errand: Errand, now: Instant) {
        let directory = &self.shared.directory;
        let home = match errand {
            Errand::Create => directory.home_for_new(self.worker),
            Errand::Join(Some(code)) => directory.home(&code),
            Errand::Join(None) => self.worker,
        };
        match directory.registry(home) {
            Some(to) if home != self.worker => {
                let to = to.clone();
                if let Some(Member { session, spent, .. }) = self.members.remove(&id) {
                    session.do_send(Deliver::Move(Box::new(Ticket { to, spent, errand })));
                }
            }
            // A worker that has not started has no rooms either.
            _ => self.run(id, errand, now),
        }
    }

    fn run(&mut self, id: SessionId, errand: Errand, now: Instant) {
        let Some(&Member { client, .. }) = self.members.get(&id) else {
            return;
        };
        let done = match errand {
            Errand::Create => self
                .create(id, now)
                .map_err(|reason| (reason.into(), Duration::ZERO)),
            Errand::Join(code) => self.shared.admission.try_code(client, now, || {
                let code = code.ok_or(Reason::RoomNotFound)?;
                let peer = PeerId::random();
                self.rooms.join(id, peer, &code, &mut self.effects)
            }),
        };
        match done {
            Ok(()) => {
                self.send(id, Deliver::Granted);
                self.carry_out();
            }
            Err((reply, delay)) => self.refuse(id, reply, delay),
        }
    }

    fn create(&mut self, id: SessionId, now: Instant) -> Result<(), Reason> {
        let length = self.shared.config.room_code_length;
        let codes = iter::from_fn(|| RoomCode::random(length).ok());
        let directory = &self.shared.directory;
        let ours = codes.filter(|code| directory.home(code) == self.worker);
        self.rooms
            .create(now, id, ours.take(TRIES), &mut self.effects)
    }

    fn refuse(&self, id: SessionId, reply: Reply, delay: Duration) {
        if let Reply::Error { reason, .. } = reply {
            self.shared.metrics.refused(reason);
            info!("session {} refused: {}", id.0, reason.name());
        }
        self.send(id, Deliver::Refused(reply, delay));
    }

    fn send(&self, id: SessionId, deliver: Deliver) {
        if let Some(member) = self.members.get(&id) {
            member.session.do_send(deliver);
        }
    }

    fn carry_out(&mut self) {
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Deliver(id, chunk) => self.send(id, Deliver::Data(chunk)),
                Effect::Tell(id, reply) => {
                    if let Reply::Error { reason, .. } = reply {
                        self.shared.metrics.refused(reason);
                    }
                    self.send(id, Deliver::Tell(reply));
                }
                Effect::Dropped(why, bytes) => self.shared.metrics.dropped(why, bytes),
                Effect::Ping(id) => self.send(id, Deliver::Ping),
                Effect::Close(id, close) => self.send(id, Deliver::Close(close)),
                Effect::Opened(code) => {
                    self.shared.directory.opened(self.worker);
                    self.shared.metrics.room_opened();
                    info!("room {code} opened");
                }
                Effect::Closed(summary) => {
                    self.shared.directory.closed(self.worker);
                    info!("{}", summary.at(Instant::now()));
                }
            }
        }
        self.effects = effects;
    }

    /// Looks again when the next room or budget runs out.
    fn set_alarm(&mut self, ctx: &mut Context<Self>) {
        let next_prune = self.shared.admission.next_prune();
        let Some(next) = self.rooms.next_expiry().into_iter().chain(next_prune).min() else {
            return;
        };
        match self.alarm {
            Some((set, _)) if set <= next => return,
            Some((_, alarm)) => {
                ctx.cancel_future(alarm);
            }
            None => {}
        }
        let wait = next.saturating_duration_since(Instant::now());
        let alarm = ctx.run_later(wait, |registry, ctx| {
            let now = Instant::now();
            registry.alarm = None;
            registry.shared.admission.prune(now);
            registry.rooms.expire(now, &mut registry.effects);
            registry.carry_out();
            registry.set_alarm(ctx);
        });
        self.alarm = Some((next, alarm));
    }
}

impl Actor for RoomRegistry {
    type Context = Context<Self>;
}

impl Handler<Attach> for RoomRegistry {
    type Result = ();

    fn handle(&mut self, attach: Attach, _: &mut Self::Context) {
        if self.draining {
            attach.session.do_send(Deliver::Stopping);
        }
        let member = Member {
            session: attach.session,
            client: attach.client,
            spent: Spent::default(),
        };
        self.members.insert(attach.id, member);
    }
}

impl Handler<Ask> for RoomRegistry {
    type Result = ();

    fn handle(&mut self, ask: Ask, ctx: &mut Self::Context) {
        if self.draining {
            self.send(ask.id, Deliver::Stopping);
            return;
        }
        self.ask(ask);
        self.set_alarm(ctx);
    }
}

impl Handler<Arrive> for RoomRegistry {
    type Result = ();

    fn handle(&mut self, arrive: Arrive, ctx: &mut Self::Context) {
        let Arrive {
            session,
            socket,
            spent,
            errand,
        } = arrive;
        let (id, client) = (session.id(), session.client());
        let session = session.resume(socket, ctx.address());
        let member = Member {
            session,
            client,
            spent,
        };
        self.members.insert(id, member);
        if self.draining {
            self.send(id, Deliver::Stopping);
            return;
        }
        self.run(id, errand, Instant::now());
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

impl Handler<Leave> for RoomRegistry {
    type Result = ();

    fn handle(&mut self, Leave(id): Leave, _: &mut Self::Context) {
        self.members.remove(&id);
        self.rooms.leave(id, &mut self.effects);
        self.carry_out();
    }
}

impl Handler<Shutdown> for RoomRegistry {
    type Result = ();

    fn handle(&mut self, shutdown: Shutdown, _: &mut Self::Context) {
        self.draining = true;
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
            std::process::abort();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
