//! What a relay has counted, as its `/metrics` tell.

use std::{collections::BTreeMap, net::SocketAddr};

use claude_distill_relay::flow::ledger::Dropped;

use crate::http;

/// The values of one moment, by name and labels.
#[derive(Debug)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Asks the relay at this address.
    pub fn of(relay: SocketAddr) -> Self {
        let page = http::get(relay, "/metrics").expect("the metrics");
        assert_eq!(page.status, 200, "{page:?}");
        Self::parse(&page.body)
    }

    /// What several relays have counted together.
    pub fn sum(all: impl IntoIterator<Item = Self>) -> Self {
        let mut sum = BTreeMap::new();
        for (name, value) in all.into_iter().flat_map(|it| it.0) {
            *sum.entry(name).or_default() += value;
        }
        Self(sum)
    }

    /// Reads such a page: a line for each value, and comments.
    pub fn parse(page: &str) -> Self {
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        let values = lines.map(|line| {
            let value = line.rsplit_once(' ');
            let value =
                value.and_then(|(name, value)| Some((name.to_owned(), value.parse().ok()?)));
            value.unwrap_or_else(|| panic!("{line:?} is no metric"))
        });
        Self(values.collect())
    }

    /// One of them that is a whole number, such as `relay_sessions` or
    /// `relay_refused_total{reason="no_peer"}`. All are there from the start, so one that is not is a
    /// name that does not exist.
    pub fn get(&self, name: &str) -> u64 {
        let value = self.real(name);
        assert!(value >= 0.0 && value.fract() == 0.0, "{name} is {value}");
        value as u64
    }

    /// One that may be any number, such as `relay_room_lifetime_seconds_sum`.
    pub fn real(&self, name: &str) -> f64 {
        let value = self.0.get(name);
        *value.unwrap_or_else(|| panic!("no {name} in {:#?}", self.0))
    }

    /// The names of all of them, with their labels.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// What became of the payload that a relay has taken from its clients, in bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Account {
    /// Taken from clients.
    pub taken: u64,
    /// Given to their peers.
    pub given: u64,
    /// Dropped, by why; those reasons for which nothing was are left out.
    pub dropped: Vec<(&'static str, u64)>,
    /// On their way.
    pub held: u64,
}

impl Account {
    /// As the metrics tell it.
    pub fn of(metrics: &Metrics) -> Self {
        let dropped = Dropped::ALL.map(|why| {
            let name = format!("relay_dropped_bytes_total{{reason=\"{}\"}}", why.name());
            (why.name(), metrics.get(&name))
        });
        let way = |way| metrics.get(&format!("relay_payload_bytes_total{{direction=\"{way}\"}}"));
        let dropped = dropped.into_iter().filter(|(_, bytes)| *bytes > 0);
        Self {
            taken: way("in"),
            given: way("out"),
            dropped: dropped.collect(),
            held: metrics.get("relay_held_bytes"),
        }
    }

    /// Whether each byte that was taken is in one of the other columns, as it is when nothing moves.
    pub fn is_even(&self) -> bool {
        let dropped: u64 = self.dropped.iter().map(|(_, bytes)| bytes).sum();
        self.taken == self.given + dropped + self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_apart_by_their_labels() {
        let page = "# HELP relay_refused ERROR messages sent, by why.\n\
            relay_refused_total{reason=\"no_peer\"} 3\n\
            relay_refused_total{reason=\"room_full\"} 0\n\
            relay_refused 7\n\
            process_cpu_seconds_total 1.5e-2\n\
            # EOF\n";
        let metrics = Metrics::parse(page);
        assert_eq!(metrics.get(r#"relay_refused_total{reason="no_peer"}"#), 3);
        assert_eq!(metrics.get(r#"relay_refused_total{reason="room_full"}"#), 0);
        assert_eq!(metrics.get("relay_refused"), 7);
        assert_eq!(metrics.real("process_cpu_seconds_total"), 0.015);
    }
}
