//! What clients ask of a registry: charged to their budgets, and granted or refused here, or taken to the worker
//! whose it is.

use std::{
    iter,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use relay_wire::{
    code::RoomCode,
    ending::Ending,
    reply::{PeerId, Reply},
    request::{Create, Join, Request},
};

use super::{RoomRegistry, limits, member::Member};
use crate::{
    actors::{
        charge::Charge,
        messages::{Ask, Came, Deliver, Moved, Sought},
        now,
    },
    limits::{
        address::AddressKey,
        admission::{Place, Tried},
    },
    observe::events::Kind,
    rooms::{Receiver, Role, SessionId},
};

/// Codes tried for a room before the relay counts as full. Half of all are free at least, as the settings
/// have it, and one in [`workers`](crate::config::Config::workers) of those is for a room of this worker.
const TRIES: usize = 1000;
/// Codes tried that no room here has, before the relay counts as full, as other nodes have rooms of all of them.
const TRIES_ELSEWHERE: usize = 10;

impl RoomRegistry {
    pub(super) fn ask(&mut self, Ask { id, request }: Ask, ctx: &mut Context<Self>) {
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
            Some(request) => self.route(id, request, now, ctx),
        }
    }

    /// Grants or refuses a request that was charged elsewhere. One that another worker has sent is for this one; one
    /// that another node has sent may be for any.
    pub(super) fn take_up(
        &mut self,
        id: SessionId,
        request: Request,
        now: Instant,
        ctx: &mut Context<Self>,
    ) {
        match self.is_brought(id) {
            true => self.route(id, request, now, ctx),
            false => self.answer(id, request, now, ctx),
        }
    }

    /// Whether another node brings the client of a session.
    fn is_brought(&self, id: SessionId) -> bool {
        self.members.get(&id).is_some_and(|it| it.visitor.brought)
    }

    /// Grants or refuses a request here, or sends its session to the worker whose it is.
    fn route(&mut self, id: SessionId, request: Request, now: Instant, ctx: &mut Context<Self>) {
        let placement = &self.state.placement;
        let home = match request {
            Request::Create(_) => placement.home_for_new(self.worker),
            Request::Join(_) | Request::Resume(_) => {
                let home = request.code().map(|code| placement.home(&code));
                // What is no code is nobody's.
                home.unwrap_or(self.worker)
            }
        };
        if home == self.worker {
            self.answer(id, request, now, ctx);
        } else if let Some(Member { session, spent, .. }) = self.members.remove(&id) {
            session.do_send(Deliver::Move {
                worker: home,
                moved: Box::new(Moved { request, spent }),
            });
        }
    }

    /// Grants or refuses a request that is charged and this worker's.
    fn answer(&mut self, id: SessionId, request: Request, now: Instant, ctx: &mut Context<Self>) {
        match request {
            Request::Create(create) => self.create(id, create, TRIES_ELSEWHERE, now, ctx),
            Request::Join(_) | Request::Resume(_) => self.enter(id, request, None, now),
        }
    }

    pub(super) fn grant(&mut self, id: SessionId, role: Role) {
        self.send(id, Deliver::Granted(role));
        let member = self.members.get(&id).cloned();
        self.carry_out_for(member.as_ref());
    }

    /// Whose budget the requests of a session are charged to.
    pub(super) fn client(&self, id: SessionId) -> Option<AddressKey> {
        self.members.get(&id).map(|it| it.visitor.network)
    }

    /// Tries a code, or has it wait for the next turn of its address, where it may have waited in
    /// this place already. One that no room here has is tried on the other nodes, if there are any.
    pub(super) fn enter(
        &mut self,
        id: SessionId,
        request: Request,
        place: Option<Place>,
        now: Instant,
    ) {
        let Some(client) = self.client(id) else {
            return;
        };
        self.rooms.set_limits(limits(&self.state.live().config));
        if self.is_brought(id) {
            return self.enter_for_node(id, client, request, now);
        }
        let comes_to_wait = place.is_none();
        let elsewhere = self.state.cluster.is_some() && self.may_be_elsewhere(&request, now);
        let state = Arc::clone(&self.state);
        let tried = state.admission.try_code(client, place, elsewhere, now, || {
            self.let_in(id, client, request, now)
        });
        match tried {
            Tried::Granted => self.grant(id, role(&request)),
            Tried::Refused(reply, delay) => {
                self.refuse_entry(id, client, &request, reply, delay);
            }
            Tried::Later(turn, place) => {
                self.line.push(turn, id, (request, place));
                if comes_to_wait {
                    self.send(id, Deliver::Late);
                }
            }
            Tried::Elsewhere(share) => {
                let charge = Charge::new(&self.state, client, share, now);
                self.send(id, Deliver::Seek(request, charge));
            }
        }
    }

    /// Whether a room of this code may be on another node, where none is here. What is no code is nowhere.
    fn may_be_elsewhere(&self, request: &Request, now: Instant) -> bool {
        match request {
            Request::Resume(resume) => self.is_unknown(resume, now),
            other => other.code().is_some(),
        }
    }

    /// Lets a session into a room that is here, or that may be opened anew here.
    fn let_in(
        &mut self,
        id: SessionId,
        client: AddressKey,
        request: Request,
        now: Instant,
    ) -> Result<(), Ending> {
        match request {
            Request::Join(Join {
                code,
                queue_updates,
            }) => {
                let code = code.ok_or(Ending::RoomNotFound)?;
                let buffers = self.state.pools.buffers.of(client);
                let receiver = Receiver::new(id, PeerId::random(), buffers, now)
                    .with_queue_updates(queue_updates);
                self.rooms.join(&code, receiver, &mut self.effects)
            }
            Request::Resume(resume) => self.resume(id, client, &resume, now),
            // It asks for no room that is there.
            Request::Create(_) => Err(Ending::RoomNotFound),
        }
    }

    /// Lets in a client that another node brings. That node has charged it, and charges it for a code that turns out to
    /// be wrong; and it looks no further, so that nobody is sent round in a circle.
    fn enter_for_node(
        &mut self,
        id: SessionId,
        client: AddressKey,
        request: Request,
        now: Instant,
    ) {
        let entered = match request {
            Request::Resume(resume) => self.resume_here(id, &resume, now),
            Request::Join(Join {
                code,
                queue_updates,
            }) => {
                let buffers = self.state.pools.buffers.of(client);
                let receiver = Receiver::new(id, PeerId::random(), buffers, now)
                    .with_queue_updates(queue_updates)
                    .without_code();
                let code = code.ok_or(Ending::RoomNotFound);
                code.and_then(|code| self.rooms.join(&code, receiver, &mut self.effects))
            }
            Request::Create(_) => Err(Ending::RoomNotFound),
        };
        match entered {
            Ok(()) => self.grant(id, role(&request)),
            Err(ending) => self.refuse(id, rejected(&request), ending.into(), Duration::ZERO),
        }
    }

    /// Settles what a code cost that was tried on the other nodes. A room that none of them has, and that may be taken up
    /// again, is opened anew here.
    pub(super) fn sought(&mut self, sought: Sought, ctx: &mut Context<Self>) {
        let Sought {
            id,
            request,
            came,
            charge,
        } = sought;
        let client = charge.client();
        let came = match (request, came) {
            (Request::Resume(resume), Came::Nowhere) => {
                charge.settle(Ok(()), now());
                return self.open_anew(id, resume, ctx);
            }
            (_, Came::In) => Ok(()),
            (_, Came::Nowhere) => Err(Ending::RoomNotFound),
            (_, Came::Refused(ending)) => Err(ending),
        };
        let delay = charge.settle(came, now());
        if let Err(ending) = came {
            let reply = match ending {
                Ending::ClusterUnavailable => Reply::until(ending, again_in()),
                other => other.into(),
            };
            self.refuse_entry(id, client, &request, reply, delay);
        }
    }

    /// Refuses a code; the other nodes hear of a wrong one.
    pub(super) fn refuse_entry(
        &self,
        id: SessionId,
        client: AddressKey,
        request: &Request,
        reply: Reply,
        delay: Duration,
    ) {
        if let (Some(cluster), Some(Ending::RoomNotFound)) = (&self.state.cluster, reply.ending()) {
            cluster.wrong_code(client);
        }
        self.refuse(id, rejected(request), reply, delay);
    }

    /// Opens a room for a session, once no other node has one of its code.
    fn create(
        &mut self,
        id: SessionId,
        create: Create,
        tries: usize,
        now: Instant,
        ctx: &mut Context<Self>,
    ) {
        let code = self.free_code(now).filter(|_| tries > 0);
        let Some(cluster) = self.state.cluster.clone() else {
            return self.open(id, create, code, now);
        };
        let taking = async move {
            match code {
                Some(code) if cluster.take(&code).await => Some(code),
                Some(code) => {
                    cluster.closed(&code, None);
                    None
                }
                None => None,
            }
        };
        let opening = taking.into_actor(self).map(move |taken, registry, ctx| {
            match taken {
                // Another node has it, which is rare.
                None if code.is_some() => {
                    registry.create(id, create, tries - 1, self::now(), ctx);
                }
                taken => registry.open(id, create, taken, self::now()),
            }
            registry.set_alarm(ctx);
        });
        ctx.spawn(opening);
    }

    /// Opens a room under this code.
    fn open(&mut self, id: SessionId, create: Create, code: Option<RoomCode>, now: Instant) {
        let terms = self.terms(create, code.as_ref());
        let opened = match self.client(id) {
            Some(client) if !self.draining => {
                self.rooms.set_limits(limits(&self.state.live().config));
                let slots = self.state.pools.rooms.of(client);
                self.rooms
                    .create(now, id, &slots, code, &terms, &mut self.effects)
            }
            // It has left meanwhile, or is told that the relay stops.
            Some(_) | None => Err(Ending::ServerShutdown),
        };
        match opened {
            Ok(()) => self.grant(id, Role::Sender),
            Err(ending) => {
                if let (Some(cluster), Some(code)) = (&self.state.cluster, code) {
                    cluster.closed(&code, None);
                }
                if ending != Ending::ServerShutdown {
                    let kind = Kind::CreateRoomRejected;
                    self.refuse(id, kind, ending.into(), Duration::ZERO);
                }
            }
        }
    }

    /// A code for a room of this worker's that is free, if there is one: one that the last starts of this relay have
    /// not given out, if there is one of those.
    fn free_code(&self, now: Instant) -> Option<RoomCode> {
        let length = self.state.live().config.room_code_length;
        let placement = &self.state.placement;
        let ours = || {
            let codes = iter::from_fn(|| RoomCode::random(length).ok());
            codes
                .filter(|code| placement.home(code) == self.worker)
                .take(TRIES)
        };
        let is_free = |code: &RoomCode| self.rooms.is_free(code, now);
        let preferred = ours().find(|code| self.state.tokens.prefers(code) && is_free(code));
        preferred.or_else(|| ours().find(is_free))
    }

    pub(super) fn refuse(&self, id: SessionId, kind: Kind, reply: Reply, delay: Duration) {
        if let Some(ending) = reply.ending() {
            let visitor = self.members.get(&id).map(|it| &it.visitor);
            self.state.refused(kind, id, visitor, ending);
        }
        self.send(id, Deliver::Refused(reply, delay));
    }
}

/// After what time a client may try again where not all nodes are reached: not all clients at once.
pub(super) fn again_in() -> Duration {
    let random = getrandom::u32().unwrap_or_default();
    Duration::from_secs(u64::from(1 + random % 4))
}

/// What becomes of a request that is not granted.
fn rejected(request: &Request) -> Kind {
    match request {
        Request::Create(_) => Kind::CreateRoomRejected,
        Request::Join(_) => Kind::JoinRoomRejected,
        Request::Resume(_) => Kind::ResumeRoomRejected,
    }
}

/// What a session becomes whose request is granted.
fn role(request: &Request) -> Role {
    match request {
        Request::Create(_) | Request::Resume(_) => Role::Sender,
        Request::Join(_) => Role::Receiver,
    }
}
