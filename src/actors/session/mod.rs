//! The `Session` actor: one client's WebSocket.
//!
//! What it reads becomes a request for the registry, or, once a request is granted, goes there
//! unread; what the registry delivers waits in the outbox until the socket takes it. Rooms, peers
//! and budgets are the registry's.
//!
//! | module | contents |
//! |---|---|
//! | `actor` | the actor itself, for those that drive it |
//! | `connection` | what a session has and does, whatever moves its bytes |
//! | `phase` | how far it has come |
//! | `pump` | the way of its bytes, from and to the socket |
//! | `timers` | what follows when a timer fires |
//! | `socket` | the socket, its wake-ups, and its turn to read |
//! | `travel` | the way to another worker |

mod actor;
mod connection;
mod phase;
mod pump;
mod socket;
mod timers;
mod travel;

use std::sync::Arc;

use actix::{Actor, Addr, AsyncContext, Handler};
use actix_rt::net::TcpStream;
use bytes::Bytes;
use log::debug;
use relay_wire::ending::Ending;

pub use self::actor::Session;
use self::{connection::Connection, phase::Phase, pump::Pump};
use super::{
    directory::Directory,
    messages::{Attach, Deliver, Moved},
    now,
    registry::RoomRegistry,
};
use crate::{
    flow::{credit::Share, data::Chunk},
    limits::address::AddressKey,
    state::State,
};

/// A connection that has just become a WebSocket.
pub struct Upgraded {
    /// The socket, with nothing sent on it yet.
    pub socket: TcpStream,
    /// The answer to the handshake.
    pub head: Bytes,
    /// What the client sent behind its handshake.
    pub unread: Bytes,
    /// Whose budget its requests are charged to.
    pub client: AddressKey,
    /// Its place among `RELAY_MAX_SESSIONS`.
    pub slot: Share,
}

impl Session {
    /// Starts the actor of a new connection, on the thread of `registry`.
    pub fn begin(
        upgraded: Upgraded,
        state: &Arc<State>,
        directory: &Arc<Directory>,
        registry: &Addr<RoomRegistry>,
    ) -> Addr<Self> {
        let (socket, head) = (upgraded.socket, upgraded.head);
        let mut connection = Connection::new(
            state.next_session(),
            upgraded.client,
            upgraded.slot,
            (state, directory, registry),
            now(),
        );
        connection.outbox.push(Chunk::new(head, &connection.window));
        connection.unread = upgraded.unread;
        debug!("session {} from {}", connection.id.0, upgraded.client);
        Self::start_on(socket, connection, None)
    }

    /// Starts the actor of a connection, and makes it known to its registry.
    fn start_on(socket: TcpStream, connection: Connection, moved: Option<Moved>) -> Addr<Self> {
        let (id, client) = (connection.id, connection.client);
        let registry = connection.registry.clone();
        let session = Self::create(|ctx| {
            ctx.spawn(Pump::new(socket));
            Self(Some(connection))
        });
        registry.do_send(Attach {
            id,
            session: session.clone().recipient(),
            client,
            moved,
        });
        session
    }
}

impl Handler<Deliver> for Session {
    type Result = ();

    /// Whatever it brings is written by the pump, which runs in the same task and behind the
    /// mailbox: a message wakes both.
    fn handle(&mut self, deliver: Deliver, _: &mut Self::Context) {
        if let Some(connection) = &mut self.0 {
            connection.on_deliver(deliver);
        }
    }
}

impl Connection {
    fn on_deliver(&mut self, deliver: Deliver) {
        let waiting = matches!(self.phase, Phase::Waiting { .. });
        match deliver {
            Deliver::Data(delivery) => self.deliver(delivery),
            Deliver::Reply(reply) => self.say(reply.encode()),
            Deliver::Granted if waiting => {
                self.reader.join_messages();
                self.phase = Phase::Piping;
            }
            Deliver::Move { worker, moved } if waiting => {
                self.phase = Phase::Moving { worker, moved };
            }
            Deliver::Refused(reply, delay) if waiting => {
                self.phase = Phase::Waiting {
                    refusal: Some(reply),
                };
                self.clocks.refusal_due(now(), delay);
            }
            Deliver::Ping => self.barrier = Some(self.ping(now())),
            Deliver::Close(ending) => self.close(ending),
            Deliver::Stopping if waiting || matches!(self.phase, Phase::Asking(_)) => {
                self.dismiss(Ending::ServerShutdown, now());
            }
            Deliver::Granted | Deliver::Move { .. } | Deliver::Refused(..) | Deliver::Stopping => {}
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
pub(crate) mod tests;
