//! A session, and what the registry of its worker keeps of it; and of the sender of a room that waits for it.

use std::sync::Arc;

use actix::Recipient;

use crate::{
    actors::messages::Deliver,
    flow::{credit::Share, vitals::Vitals},
    limits::{access::Visitor, budget::Spent},
};

#[derive(Clone)]
pub(super) struct Member {
    pub(super) session: Recipient<Deliver>,
    pub(super) visitor: Visitor,
    pub(super) vitals: Arc<Vitals>,
    pub(super) spent: Spent,
}

/// A sender that may come back, counted for as long as its room waits.
pub(super) struct Absent {
    /// Who it was.
    pub(super) visitor: Option<Visitor>,
    pub(super) _counted: Share,
}
