//! What a client pays for a code that is tried on the other nodes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use relay_wire::ending::Ending;

use super::now;
use crate::{flow::credit::Share, limits::address::AddressKey, state::State};

/// How long a code is looked for where nothing is wrong. Whoever leaves sooner has tried it.
const LOOKED_FOR: Duration = Duration::from_millis(200);

/// The charge for a wrong code, until it is known what the code is. It is settled by the registry; where the client has
/// not waited for an answer that took long, it is given back.
pub struct Charge {
    state: Arc<State>,
    client: AddressKey,
    since: Instant,
    is_settled: bool,
    /// Its part of what is tried just now.
    _share: Share,
}

impl Charge {
    /// What this client was charged at `now`.
    pub(super) fn new(state: &Arc<State>, client: AddressKey, share: Share, now: Instant) -> Self {
        Self {
            state: Arc::clone(state),
            client,
            since: now,
            is_settled: false,
            _share: share,
        }
    }

    /// Who is charged.
    pub(super) fn client(&self) -> AddressKey {
        self.client
    }

    /// Settles it by what came of the code. Returns how long the answer is to be held back.
    pub(super) fn settle(mut self, came: Result<(), Ending>, now: Instant) -> Duration {
        self.is_settled = true;
        self.state.admission.sought(self.client, came, now)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let waited = now().saturating_duration_since(self.since);
        if !self.is_settled && waited >= LOOKED_FOR {
            self.state.admission.take_back(self.client);
        }
    }
}
