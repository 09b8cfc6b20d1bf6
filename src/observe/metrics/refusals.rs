//! What clients were refused, by why, as figures.

use relay_wire::ending::Ending;

use super::{Metrics, Why};

/// Every reason there is to refuse a request or a handshake, in one order.
pub fn reasons() -> impl Iterator<Item = Ending> {
    let all = Ending::ALL.iter().copied();
    all.filter(|ending| ending.is_error() || ending.is_of_handshake())
}

impl Metrics {
    /// How many requests and handshakes were refused so far, for each of [`reasons`].
    pub fn refusals(&self) -> Vec<u64> {
        let counted = |ending: Ending| {
            let why = Why {
                reason: ending.name(),
            };
            [&self.refused, &self.handshakes_refused]
                .into_iter()
                .filter_map(|family| family.get(&why).map(|counter| counter.get()))
                .sum()
        };
        reasons().map(counted).collect()
    }
}
