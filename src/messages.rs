//! What the actors say to each other: sessions to a [`RoomRegistry`] and back, and registries about
//! a session that goes from one to the other.

use std::{net::TcpStream, time::Duration};

use actix::{Addr, Message};

use crate::{
    client_addr::AddressKey,
    protocol::{Close, Reply, Request},
    rate_limit::Spent,
    registry::RoomRegistry,
    rooms::{RoomCode, SessionId},
    session::Session,
    transport::data::{Chunk, Data},
};

/// A session has begun.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Attach {
    /// Its name.
    pub id: SessionId,
    /// Where to reach it.
    pub session: Addr<Session>,
    /// Whose budget its requests are charged to.
    pub client: AddressKey,
}

/// A session asks for a room; `None` stands for a request nobody understands. It is answered by
/// [`Deliver::Granted`] or by a refusal, here or where [`Deliver::Move`] sends it, and does nothing
/// before that.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Ask {
    /// Who asks.
    pub id: SessionId,
    /// What for.
    pub request: Option<Request>,
}

/// What a session has asked for, and been charged for.
#[derive(Debug, Clone, Copy)]
pub enum Errand {
    /// Open a room.
    Create,
    /// Join the room of this code; what was typed may not have been one.
    Join(Option<RoomCode>),
}

/// Where a session is to go, and what for.
pub struct Ticket {
    /// The registry whose errand it is.
    pub to: Addr<RoomRegistry>,
    /// What it has spent of its budget.
    pub spent: Spent,
    /// What is to be done there.
    pub errand: Errand,
}

/// A session comes from another worker, which has forgotten it.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Arrive {
    /// All of it but what belongs to a thread.
    pub session: Box<Session>,
    /// Its socket.
    pub socket: TcpStream,
    /// What it has spent of its budget.
    pub spent: Spent,
    /// What it comes for.
    pub errand: Errand,
}

/// A member of a room sent something for the other side.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Forward {
    /// Who sent it.
    pub id: SessionId,
    /// What.
    pub data: Data,
}

/// A sender has answered the Ping of [`Deliver::Ping`].
#[derive(Message)]
#[rtype(result = "()")]
pub struct Cleared(pub SessionId);

/// A session is over, or about to be: it has sent its last.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Leave(pub SessionId);

/// Answered by a registry whose thread is not stuck.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Alive;

/// The relay stops.
#[derive(Message)]
#[rtype(result = "()")]
pub enum Shutdown {
    /// Pairs may finish; everybody else goes.
    Drain,
    /// Everybody goes.
    Now,
}

/// A registry's word to a session.
#[derive(Message)]
#[rtype(result = "()")]
pub enum Deliver {
    /// The request is granted: from here on everything is passed on, unread.
    Granted,
    /// The request is another worker's to answer: go there. Nothing comes after it.
    Move(Box<Ticket>),
    /// The request is refused. The client is told after this delay, and may try again if the
    /// reply does not say otherwise.
    Refused(Reply, Duration),
    /// Tell the client.
    Tell(Reply),
    /// Write this, which the peer sent.
    Data(Chunk),
    /// Ping the client, and say [`Cleared`] when it has answered.
    Ping,
    /// Close, after everything before.
    Close(Close),
    /// The relay stops: who is in no room closes now.
    Stopping,
}
