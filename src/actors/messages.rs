//! What the actors say to each other: sessions to a registry, and a registry to its sessions.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Message, Recipient};
use relay_wire::{code::RoomCode, ending::Ending, reply::Reply, request::Request};

use super::charge::Charge;
use crate::{
    cluster::visit::Upstream,
    flow::{
        data::{Data, Delivery},
        pace::SharedPace,
        vitals::{Fares, Vitals},
    },
    limits::{access::Visitor, address::AddressKey, budget::Spent, network::Network},
    rooms::{Departure, Role, SessionId, Sight},
};

/// A session has begun, or has come from another worker.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Attach {
    /// Its name.
    pub id: SessionId,
    /// Where to reach it.
    pub session: Recipient<Deliver>,
    /// Whose it is, and whose budget its requests are charged to. The room of a check is no user's.
    pub visitor: Visitor,
    /// How it fares.
    pub vitals: Arc<Vitals>,
    /// What it has come from another worker or another node for.
    pub moved: Option<Moved>,
}

/// A request that another worker or another node has charged, and left to the worker of its room.
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

/// What has come of a code that was tried on the other nodes.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Sought {
    /// Whose session has tried it.
    pub id: SessionId,
    /// What for.
    pub request: Request,
    /// What has come of it.
    pub came: Came,
    /// What it was charged.
    pub charge: Charge,
}

/// What has come of a code that was tried on the other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// The session is let in there.
    In,
    /// No node has a room of this code.
    Nowhere,
    /// The node that has it refuses it, or nobody can say.
    Refused(Ending),
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

/// A session is over, behind its [`Leave`]: it is given no more.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Parted {
    /// Which.
    pub id: SessionId,
    /// What it was given in all.
    pub given: Given,
}

/// Payload that a session's socket has taken.
#[derive(Debug, Clone, Copy)]
pub struct Given {
    /// Bytes.
    pub bytes: u64,
    /// When it took the last of them; when the session began, where there are none.
    pub last: Instant,
}

/// The access keys are others: sessions that may not be here by those end now.
#[derive(Message)]
#[rtype(result = "()")]
pub struct KeysChanged;

/// The operator looks at the rooms of a registry.
#[derive(Message)]
#[rtype(result = "Vec<Seen>")]
pub struct Look;

/// A room, and who is in it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When it was seen.
    pub at: Instant,
    /// The room.
    pub sight: Sight,
    /// Whether it is that of a check.
    pub check: bool,
    /// Its sender.
    pub sender: Option<Fellow>,
    /// The receiver that is paired with it.
    pub receiver: Option<Fellow>,
}

/// A member of a room, and how it fares.
#[derive(Debug, Clone, Copy)]
pub struct Fellow {
    /// Its address.
    pub client: AddressKey,
    /// How it fares.
    pub fares: Fares,
}

/// The operator ends a room. Answered by whether there is one of this code.
#[derive(Message)]
#[rtype(result = "bool")]
pub struct EndRoom(pub RoomCode);

/// The operator has decided something else of this network. Answered by how many of its sessions end.
#[derive(Message)]
#[rtype(result = "usize")]
pub struct Decided(pub Network);

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
    /// No room here has its code: try it on the other nodes, and say [`Sought`].
    Seek(Request, Charge),
    /// What has come of that: the way there, if a node has one.
    Visited(Request, Charge, Result<Option<Box<Upstream>>, Ending>),
    /// Its turn in its room's queue has come: it is a receiver, and paired.
    Paired,
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
    /// The client's address is blocked: end at once.
    Evict,
    /// Be read no faster than this, together with others, from here on.
    Limit(Option<Arc<SharedPace>>),
    /// The relay stops: who is in no room closes now, and who is in one on another node where all `must` go.
    Stopping {
        /// Whether pairs may not finish any more.
        must: bool,
    },
}
