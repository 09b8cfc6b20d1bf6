//! How many events are in the event log, and how many are not.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter},
};

use crate::observe::events::{Events, Lost};

/// Reads the counts of the event log for each page.
#[derive(Debug)]
pub(super) struct OfEvents(pub(super) Events);

impl Collector for OfEvents {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (counts, counter) = (self.0.counts(), MetricType::Counter);
        let written = encoder.encode_descriptor(
            "events_written",
            "Events that are in the event log",
            None,
            counter,
        )?;
        ConstCounter::new(counts.written()).encode(written)?;
        let mut lost = encoder.encode_descriptor(
            "events_lost",
            "Events that are not in the event log, by why",
            None,
            MetricType::Counter,
        )?;
        for why in Lost::ALL {
            let reason = [("reason", why.name())];
            ConstCounter::new(counts.lost(why)).encode(lost.encode_family(&reason)?)?;
        }
        Ok(())
    }
}
