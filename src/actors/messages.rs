//! What the actors say to each other: sessions to a registry, and a registry to its sessions.

use std::time::Duration;

use actix::{Message, Recipient};
use relay_wire::{reply::Reply, request::Request};

use crate::{
    flow::data::{Data, Delivery},
    limits::{address::AddressKey, budget::Spent},
    rooms::{Departure, Role, SessionId},
};

/// A session has begun, or has come from another worker.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Attach {
    /// Its name.
    pub id: SessionId,
    /// Where to reach it.
    pub session: Recipient<Deliver>,
    /// Whose budget its requests are charged to.
    pub client: AddressKey,
    /// Whether it is a check of this relay, whose room is no user's.
    pub check: bool,
    /// What it has come from another worker for.
    pub moved: Option<Moved>,
}

/// A request that another worker has charged, and left to the worker of its room.
#[derive(Debug)]
pub struct Moved {
    /// The request.
    pub request: Request,
    /// What its session has spent of its budget.
    pub spent: Spent,
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

/// A receiver's session cannot pass on what its sender has sent.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Fault {
    /// Whose session.
    pub id: SessionId,
    /// How its sender ends for it.
    pub departure: Departure,
}

/// A session is over, or about to be: it has sent its last.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Leave {
    /// Which.
    pub id: SessionId,
    /// How.
    pub departure: Departure,
}

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
    /// The request is granted, and has made the session this: from here on everything is passed on.
    Granted(Role),
    /// The request is for this worker to answer: go there with it. Nothing comes after it.
    Move {
        /// The worker's number.
        worker: usize,
        /// The request, and what is spent.
        moved: Box<Moved>,
    },
    /// The request waits: its answer is late.
    Late,
    /// The request is refused. The client is sent the reply after this delay, and may try again if
    /// the reply does not say otherwise.
    Refused(Reply, Duration),
    /// Send the client this.
    Reply(Reply),
    /// Write this, which the peer sent.
    Data(Delivery),
    /// Whether others wait for the place that its client has in its room.
    Awaited(bool),
    /// Ping the client, and say [`Cleared`] when it has answered.
    Ping,
    /// Close for this, after everything before.
    Close(Departure),
    /// The relay stops: who is in no room closes now.
    Stopping,
}
