//! The `Session` actor: one client's WebSocket.
//!
//! What it reads becomes a request for the registry, or, once a request is granted, goes there
//! unread; what the registry delivers waits in the outbox until the socket takes it. Rooms, peers
//! and budgets are the registry's.
//!
//! | module | contents |
//! |---|---|
//! | `across` | what it does where its room is on another node |
//! | `actor` | the actor itself, for those that drive it |
//! | `connection` | what a session has and does, whatever moves its bytes |
//! | `inflating` | what it does where its client has no compression, and its peer has |
//! | `leaving` | how it ends |
//! | `loan` | memory that a sender borrows whose receiver is slow |
//! | `phase` | how far it has come |
//! | `pings` | its client's Pings, and its own |
//! | `pump` | its turns, and the way of its peer's bytes to its socket |
//! | `reading` | the way of its client's bytes to the registry |
//! | `timers` | what follows when a timer fires |
//! | `waiting` | what it does while its request waits for an answer |
//! | `waits` | whom it waits for, as the metrics tell |
//! | `socket` | what it has of its thread: a socket to read and write, an alarm, a turn to read |
//! | `travel` | the way to another worker |

mod across;
mod actor;
mod connection;
mod inflating;
mod leaving;
mod loan;
mod phase;
mod pings;
mod pump;
mod reading;
mod socket;
mod timers;
mod travel;
mod waiting;
mod waits;

use std::sync::Arc;

use actix::{Actor, Addr, AsyncContext};
use actix_rt::net::TcpStream;
use bytes::Bytes;
use relay_wire::request::Request;

pub use self::actor::Session;
use self::{connection::Connection, phase::Phase, pump::Pump};
use super::{
    directory::Directory,
    messages::{Attach, Moved},
    now,
    registry::RoomRegistry,
};
use crate::{
    flow::{credit::Share, data::Chunk},
    limits::{access::Visitor, budget::Spent},
    observe::logging::log_client,
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
    /// Whose it is, and whose budget its requests are charged to.
    pub visitor: Visitor,
    /// Its place among `RELAY_MAX_SESSIONS`.
    pub slot: Share,
    /// Whether compression was negotiated.
    pub compression: bool,
    /// What another node brings this client for.
    pub brought: Option<Brought>,
}

/// A client that has come to another node, and whose room is here.
pub struct Brought {
    /// What it asks for, which that node has charged.
    pub request: Request,
    /// Pings that it was sent there, whose Pongs may still come.
    pub pings: u64,
}

impl Session {
    /// Starts the actor of a new connection, on the thread of `registry`.
    pub fn begin(
        upgraded: Upgraded,
        state: &Arc<State>,
        directory: &Arc<Directory>,
        registry: &Addr<RoomRegistry>,
    ) -> Addr<Self> {
        let (socket, head, now) = (upgraded.socket, upgraded.head, now());
        let client = upgraded.visitor.network;
        let mut connection = Connection::new(
            state.next_session(),
            upgraded.visitor,
            upgraded.slot,
            (state, directory, registry),
            now,
        );
        connection
            .outbox
            .push(Chunk::ours(head, &connection.window));
        connection.count_bytes(upgraded.unread.len(), now);
        connection.unread = upgraded.unread.into();
        if upgraded.compression {
            connection.reader.allow_compression();
        }
        log_client!(Debug, client, "session {} from {client}", connection.id.0);
        let moved = upgraded.brought.map(|Brought { request, pings }| {
            connection.reader.pinged_before(pings);
            connection.phase = Phase::Waiting { refusal: None };
            connection.clocks.requested();
            Moved {
                request,
                spent: Spent::default(),
            }
        });
        Self::start_on(socket, connection, moved)
    }

    /// Starts the actor of a connection, and makes it known to its registry.
    fn start_on(socket: TcpStream, connection: Connection, moved: Option<Moved>) -> Addr<Self> {
        let (id, visitor) = (connection.id, connection.visitor.clone());
        let (registry, vitals) = (connection.registry.clone(), Arc::clone(&connection.vitals));
        let session = Self::create(|ctx| {
            ctx.spawn(Pump::new(socket));
            Self(Some(connection))
        });
        registry.do_send(Attach {
            id,
            session: session.clone().recipient(),
            visitor,
            vitals,
            moved,
        });
        session
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
pub(crate) mod tests;
