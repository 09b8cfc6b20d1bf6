//! A session, and what the registry of its worker keeps of it.

use std::sync::Arc;

use actix::Recipient;

use crate::{
    actors::messages::Deliver,
    flow::vitals::Vitals,
    limits::{access::Visitor, budget::Spent},
};

#[derive(Clone)]
pub(super) struct Member {
    pub(super) session: Recipient<Deliver>,
    pub(super) visitor: Visitor,
    pub(super) vitals: Arc<Vitals>,
    pub(super) spent: Spent,
}
