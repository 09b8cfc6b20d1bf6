//! The way of a session from one worker to another.
//!
//! A room and everybody in it are on one thread. A session that asks for a room of another worker
//! goes there before it is answered, and takes all of itself along but what its thread's runtime
//! knows of: that, `wire` makes anew.

use std::{io, mem, net, sync::Arc};

use actix::Addr;
use actix_rt::net::TcpStream;
use log::warn;

use super::{Phase, Session};
use crate::{
    client_addr::AddressKey,
    messages::{Arrive, Ticket},
    registry::RoomRegistry,
    rooms::SessionId,
};

impl Session {
    /// Goes to where its ticket says; what is left here is over.
    pub(super) fn depart(&mut self, socket: io::Result<net::TcpStream>) {
        let phase = mem::replace(&mut self.phase, Phase::Done);
        let socket = socket.inspect_err(|error| self.log_loss(error));
        let (Phase::Moving { ticket }, Ok(socket)) = (phase, socket) else {
            return;
        };
        // What is left behind has no slot: it was no session of its own.
        let (registry, shared) = (self.registry.clone(), Arc::clone(&self.shared));
        let left = Self::new(self.id, self.client, registry, shared);
        let mut session = Box::new(mem::replace(self, left));
        session.phase = Phase::Waiting { refusal: None };
        let Ticket { to, spent, errand } = *ticket;
        to.do_send(Arrive {
            session,
            socket,
            spent,
            errand,
        });
    }

    /// Goes on here, having come from another worker.
    pub fn resume(mut self, socket: net::TcpStream, registry: Addr<RoomRegistry>) -> Addr<Self> {
        self.registry = registry;
        let socket = TcpStream::from_std(socket).inspect_err(|error| self.log_loss(error));
        self.start_on(socket.ok())
    }

    fn log_loss(&self, error: &io::Error) {
        warn!("session {} is lost on its way: {error}", self.id.0);
    }

    /// Its name.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Whose budget its requests are charged to.
    pub fn client(&self) -> AddressKey {
        self.client
    }
}
