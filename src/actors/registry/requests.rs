//! What clients ask of a registry: charged to their budgets, and granted or refused here, or taken to the worker
//! whose it is.

use std::{
    iter,
    time::{Duration, Instant},
};

use relay_wire::{
    code::RoomCode,
    ending::Ending,
    reply::{PeerId, Reply},
    request::{Join, Request},
};

use super::{RoomRegistry, limits, member::Member};
use crate::{
    actors::{
        messages::{Ask, Deliver, Moved},
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

impl RoomRegistry {
    pub(super) fn ask(&mut self, Ask { id, request }: Ask) {
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
    pub(super) fn answer(&mut self, id: SessionId, request: Request, now: Instant) {
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
    pub(super) fn join(&mut self, id: SessionId, join: Join, place: Option<Place>, now: Instant) {
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
}

/// What becomes of a request that is not granted.
fn rejected(request: &Request) -> Kind {
    match request {
        Request::Create => Kind::CreateRoomRejected,
        Request::Join(_) => Kind::JoinRoomRejected,
    }
}
