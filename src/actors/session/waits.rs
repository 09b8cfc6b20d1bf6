//! Whom a session waits for, as the metrics tell: by whose fault it is not read, and whether its client
//! takes what there is for it.

use std::time::Instant;

use super::socket::Pause;
use crate::{
    observe::metrics::{Fault, Metrics},
    rooms::Role,
};

/// The waits of one session. As long as they stay what they are, they cost nothing.
#[derive(Default)]
pub(super) struct Waits {
    /// What the session has become, once its request is granted.
    pub(super) role: Option<Role>,
    /// Whether it is a receiver whose turn has not come.
    pub(super) queued: bool,
    paused: Option<Fault>,
    untaken: Option<Role>,
}

impl Waits {
    /// From `now` on it is read, or is not for this reason.
    pub(super) fn read(&mut self, pause: Option<Pause>, now: Instant, metrics: &Metrics) {
        let fault = pause.and_then(|pause| self.fault(pause));
        if self.paused != fault {
            metrics.waits.paused(self.paused, fault, now);
            self.paused = fault;
        }
    }

    fn fault(&self, pause: Pause) -> Option<Fault> {
        match (pause, self.role) {
            (Pause::Until(_), _) => Some(Fault::Limit),
            (Pause::Full, Some(Role::Sender)) => Some(Fault::Receiver),
            (Pause::Full, Some(Role::Receiver)) if self.queued => Some(Fault::Queue),
            (Pause::Full, Some(Role::Receiver)) => Some(Fault::Sender),
            // It does not take the answers to what it asks, waits for one, or asks for nothing any more.
            (Pause::Full, None) | (Pause::Unwanted, _) => None,
            (Pause::Empty | Pause::More, _) => None,
        }
    }

    /// From `now` on something waits for its client, or nothing does.
    pub(super) fn write(&mut self, waits: bool, now: Instant, metrics: &Metrics) {
        let whom = self.role.filter(|_| waits);
        if self.untaken != whom {
            metrics.waits.untaken(self.untaken, whom, now);
            self.untaken = whom;
        }
    }
}
