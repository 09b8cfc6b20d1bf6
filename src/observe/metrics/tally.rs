//! The counts that an operator is shown, as numbers.

use relay_wire::ending::Ending;

use super::{Metrics, refusals::reasons};

/// What a relay has counted since it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Bytes read from sessions.
    pub received: u64,
    /// Bytes written to sessions.
    pub sent: u64,
    /// What was refused, as far as anything was.
    pub refusals: Vec<Refusal>,
}

/// Handshakes or requests that were refused for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Which.
    pub ending: Ending,
    /// How many.
    pub count: u64,
}

impl Metrics {
    /// What is counted now.
    pub fn tally(&self) -> Tally {
        let refusals = reasons().zip(self.refusals());
        let refusals = refusals.map(|(ending, count)| Refusal { ending, count });
        Tally {
            received: self.received.get(),
            sent: self.sent.get(),
            refusals: refusals.filter(|refusal| refusal.count > 0).collect(),
        }
    }
}
