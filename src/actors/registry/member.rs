//! A session, and what the registry of its worker keeps of it.

use std::sync::Arc;

use actix::Recipient;
use relay_wire::ending::Ending;

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

impl Member {
    /// Ends it if its access key is withdrawn.
    pub(super) fn end_without_key(&self) {
        let key = self.visitor.key.as_ref();
        if key.is_some_and(|key| key.is_withdrawn()) {
            let close = Deliver::Close(Ending::AccessKeyWithdrawn.into());
            self.session.do_send(close);
        }
    }
}
