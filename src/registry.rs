//! The `RoomRegistry` actor: who is here, what they may ask, and the way of every frame between
//! them.
//!
//! One for each worker thread, with the rooms of that worker. It charges requests to their
//! budgets, asks [`Rooms`] what follows from a message, and carries that out through the sessions'
//! mailboxes. The rules themselves are in `rooms` and `rate_limit`.

use std::{
    collections::HashMap,
    iter,
    sync::{Arc, OnceLock},
    time::Instant,
};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, SpawnHandle};
use log::info;

use crate::{
    client_addr::AddressKey,
    messages::{Alive, Ask, Attach, Cleared, Deliver, Forward, Leave, Shutdown},
    protocol::{PeerId, Reason, Reply, Request},
    rate_limit::Spent,
    rooms::{Effect, Limits, RoomCode, Rooms, SessionId},
    server::Shared,
    session::Session,
};

/// Codes tried for a room before the relay counts as full: with the fewest characters and the most
/// rooms allowed, more than half of all codes are in use.
const TRIES: usize = 1000;

/// Where does this room live? In the registry of the worker its code names.
///
/// The one place that knows: a relay of several machines would answer here.
#[derive(Debug)]
pub struct Directory(Vec<OnceLock<Addr<RoomRegistry>>>);

impl Directory {
    /// A directory of as many registries as there are workers, none of them known yet.
    pub fn new(workers: usize) -> Self {
        Self(iter::repeat_with(OnceLock::new).take(workers).collect())
    }

    fn home(&self, code: &RoomCode) -> Option<&Addr<RoomRegistry>> {
        self.0.get(code.worker(self.0.len()))?.get()
    }

    /// Every registry that has started.
    pub fn registries(&self) -> impl Iterator<Item = &Addr<RoomRegistry>> {
        self.0.iter().filter_map(OnceLock::get)
    }
}

/// A session, and what the registry keeps of it.
struct Member {
    session: Addr<Session>,
    client: AddressKey,
    spent: Spent,
    /// The registry it went to with its last request, if not this one.
    away: Option<Addr<RoomRegistry>>,
}

impl Member {
    fn new(session: Addr<Session>, client: AddressKey) -> Self {
        Self {
            session,
            client,
            spent: Spent::default(),
            away: None,
        }
    }
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

/// A session of another worker asks to join a room of this one.
#[derive(Message)]
#[rtype(result = "()")]
struct Visit {
    id: SessionId,
    session: Addr<Session>,
    client: AddressKey,
    code: RoomCode,
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
        if let Some(place) = shared.directory.0.get(worker) {
            place.get_or_init(|| registry.clone());
        }
        registry
    }

    fn ask(&mut self, Ask { id, request }: Ask, ctx: &mut Context<Self>) {
        let now = Instant::now();
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        let (client, admission) = (member.client, &self.shared.admission);
        if let Err(wait) = admission.ask(&mut member.spent, client, now) {
            self.refuse(id, Reply::rate_limited(wait), now);
            return;
        }
        match request {
            None => self.refuse(id, Reason::InvalidRequest.into(), now),
            Some(Request::Create) => self.create(id, now, ctx),
            Some(Request::Join(typed)) => match admission.may_join(client, now) {
                Ok(()) => self.route_join(id, &typed, now, ctx),
                Err(wait) => self.refuse(id, Reply::rate_limited(wait), now),
            },
        }
    }

    fn create(&mut self, id: SessionId, now: Instant, ctx: &mut Context<Self>) {
        let (length, workers) = (
            self.shared.config.room_code_length,
            self.shared.config.workers,
        );
        let codes = iter::from_fn(|| RoomCode::random(length).ok());
        let ours = codes.filter(|code| code.worker(workers) == self.worker);
        match self
            .rooms
            .create(now, id, ours.take(TRIES), &mut self.effects)
        {
            Ok(()) => self.grant(id, ctx),
            Err(reason) => self.refuse(id, reason.into(), now),
        }
    }

    /// Joins a room of ours, or sends the request on to where the room lives.
    fn route_join(&mut self, id: SessionId, typed: &str, now: Instant, ctx: &mut Context<Self>) {
        let code = RoomCode::from_typed(typed);
        let home = code.and_then(|code| Some((code, self.shared.directory.home(&code)?)));
        let Some((code, home)) = home else {
            self.refuse(id, Reason::RoomNotFound.into(), now);
            return;
        };
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        if *home == ctx.address() {
            member.away = None;
            self.join(id, &code, now, ctx);
        } else {
            member.away = Some(home.clone());
            home.do_send(Visit {
                id,
                session: member.session.clone(),
                client: member.client,
                code,
            });
        }
    }

    fn join(&mut self, id: SessionId, code: &RoomCode, now: Instant, ctx: &mut Context<Self>) {
        match self
            .rooms
            .join(id, PeerId::random(), code, &mut self.effects)
        {
            Ok(()) => self.grant(id, ctx),
            Err(reason) => self.refuse(id, reason.into(), now),
        }
    }

    fn grant(&mut self, id: SessionId, ctx: &mut Context<Self>) {
        self.send(id, Deliver::Granted(ctx.address()));
        self.carry_out();
    }

    fn refuse(&mut self, id: SessionId, reply: Reply, now: Instant) {
        let Some(member) = self.members.get(&id) else {
            return;
        };
        let mut delay = std::time::Duration::ZERO;
        if let Reply::Error { reason, .. } = reply {
            self.shared.metrics.refused(reason);
            info!("session {} refused: {}", id.0, reason.name());
            if reason == Reason::RoomNotFound {
                delay = self.shared.admission.join_refused(member.client, now);
            }
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
                    self.shared.metrics.room_opened();
                    info!("room {code} opened");
                }
                Effect::Closed(summary) => info!("{}", summary.at(Instant::now())),
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
        let member = Member::new(attach.session, attach.client);
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
        self.ask(ask, ctx);
        self.set_alarm(ctx);
    }
}

impl Handler<Visit> for RoomRegistry {
    type Result = ();

    fn handle(&mut self, visit: Visit, ctx: &mut Self::Context) {
        let Visit {
            id,
            session,
            client,
            code,
        } = visit;
        if self.draining {
            session.do_send(Deliver::Stopping);
            return;
        }
        self.members.insert(id, Member::new(session, client));
        self.join(id, &code, Instant::now(), ctx);
        if !self.rooms.contains(id) {
            // It may go elsewhere next, and nobody would tell us when it ends.
            self.members.remove(&id);
        }
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
        let Some(member) = self.members.remove(&id) else {
            return;
        };
        if let Some(registry) = member.away {
            registry.do_send(Leave(id));
        }
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
