//! What is counted under the name of each access key.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

use crate::limits::access::{Access, Count};

/// Reads the keys of now for each page: names come and go with the settings.
#[derive(Debug)]
pub(super) struct Keys(pub(super) Arc<Access>);

/// A counter: its name, its help, its unit, and its value.
type Counter = (&'static str, &'static str, Option<Unit>, fn(&Count) -> u64);

/// What is told of each key.
const COUNTERS: [Counter; 4] = [
    (
        "key_sessions_begun",
        "Sessions that began, by the name of their access key",
        None,
        |count| count.sessions,
    ),
    (
        "key_refused",
        "Handshakes and requests that were refused, by the name of their access key",
        None,
        |count| count.refused,
    ),
    (
        "key_received",
        "Bytes read from sessions, by the name of their access key",
        Some(Unit::Bytes),
        |count| count.received,
    ),
    (
        "key_sent",
        "Bytes written to sessions, by the name of their access key",
        Some(Unit::Bytes),
        |count| count.sent,
    ),
];

impl Collector for Keys {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counts = self.0.counts();
        // A relay without keys has no lines of them.
        if counts.is_empty() {
            return Ok(());
        }
        let mut open = encoder.encode_descriptor(
            "key_sessions",
            "Sessions now, by the name of their access key",
            None,
            MetricType::Gauge,
        )?;
        for count in &counts {
            let sessions = i64::try_from(count.open).unwrap_or(i64::MAX);
            let key = [("key", count.name.as_str())];
            ConstGauge::new(sessions).encode(open.encode_family(&key)?)?;
        }
        for (name, help, unit, value) in &COUNTERS {
            let counter = MetricType::Counter;
            let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), counter)?;
            for count in &counts {
                let key = [("key", count.name.as_str())];
                ConstCounter::new(value(count)).encode(family.encode_family(&key)?)?;
            }
        }
        Ok(())
    }
}
