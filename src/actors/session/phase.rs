//! How far a session has come.

use std::sync::Arc;

use relay_wire::{
    ending::Ending,
    reply::Reply,
    request::{MAX_REQUEST, Request},
};

use super::loan::Borrower;
use crate::{
    actors::messages::Moved,
    cluster::{Cluster, pipe::Pipe},
    flow::{credit::Share, data::Fragment, inflate},
};

/// How far a session has come. What is due in a phase, and when, is in its clocks.
pub(super) enum Phase {
    /// A request is due.
    Asking(Collected),
    /// A request is with the registry, or its refusal is due. What follows it is kept for
    /// later: it may be data or another.
    Waiting {
        /// What the client is to be sent when it is due.
        refusal: Option<Reply>,
    },
    /// Its request is for another worker to answer.
    Moving { worker: usize, moved: Box<Moved> },
    /// In a room: everything is passed on.
    Piping {
        /// A sender's, for when its receiver is slow.
        borrower: Option<Borrower>,
    },
    /// In a room of another node: everything is passed on to there, and back.
    Across(Box<Across>),
    /// We have said Close, and wait for the client's.
    Closing,
    /// The client broke the protocol: its stream means nothing any more. It is told, and left to
    /// hang up, since closing on bytes unread would take our Close from it.
    Lingering,
    /// The client has said Close: when what waits is written, the socket is shut.
    Finishing,
    /// Nothing is left to do.
    Done,
}

/// A session whose room is on another node.
pub(super) struct Across {
    pub(super) pipe: Pipe,
    pub(super) cluster: Arc<Cluster>,
    /// It is one of those that are across.
    pub(super) _counted: Share,
    /// How it ends, where this node ends it.
    pub(super) ending: Ending,
}

/// A request on its way in.
#[derive(Default)]
pub(super) struct Collected {
    message: Vec<u8>,
    too_long: bool,
}

impl Collected {
    /// Adds a fragment; the request, once it is whole (`Some(None)` for one nobody understands).
    pub(super) fn add(&mut self, fragment: &Fragment) -> Option<Option<Request>> {
        if self.message.len() + fragment.payload().len() > MAX_REQUEST {
            self.too_long = true;
            self.message = Vec::new();
        } else if !self.too_long {
            self.message.extend_from_slice(fragment.payload());
        }
        let understood = || match fragment.rsv {
            _ if self.too_long => None,
            0 => Request::parse(&self.message),
            _ => {
                let inflated = inflate::whole(&self.message, fragment.kind, MAX_REQUEST)?;
                Request::parse(&inflated)
            }
        };
        fragment.fin.then(understood)
    }
}
