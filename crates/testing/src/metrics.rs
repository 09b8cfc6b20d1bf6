//! What a relay has counted, as its `/metrics` tell.

use std::{collections::BTreeMap, net::SocketAddr};

use crate::http;

/// The values of one moment, by name and labels.
#[derive(Debug)]
pub struct Metrics(BTreeMap<String, u64>);

impl Metrics {
    /// Asks the relay at this address.
    pub fn of(relay: SocketAddr) -> Self {
        let page = http::get(relay, "/metrics").expect("the metrics");
        assert_eq!(page.status, 200, "{page:?}");
        Self::parse(&page.body)
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

    /// One of them, such as `relay_sessions` or `relay_refused_total{reason="no_peer"}`. All are
    /// there from the start, so one that is not is a name that does not exist.
    pub fn get(&self, name: &str) -> u64 {
        let value = self.0.get(name);
        *value.unwrap_or_else(|| panic!("no {name} in {:#?}", self.0))
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
            # EOF\n";
        let metrics = Metrics::parse(page);
        assert_eq!(metrics.get(r#"relay_refused_total{reason="no_peer"}"#), 3);
        assert_eq!(metrics.get(r#"relay_refused_total{reason="room_full"}"#), 0);
        assert_eq!(metrics.get("relay_refused"), 7);
    }
}
