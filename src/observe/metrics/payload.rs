//! The ledger of the payload as metrics: what was taken from clients is what was given to their peers,
//! dropped and held, whenever nothing moves.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

use crate::flow::ledger::{Dropped, Ledger};

/// Reads the ledger once for each page, so that its figures belong together.
#[derive(Debug)]
pub(super) struct Payload(pub(super) Arc<Ledger>);

impl Collector for Payload {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let account = self.0.account();
        let mut ways = encoder.encode_descriptor(
            "payload",
            "Payload of clients in a room: taken from them (in), and given to their peers (out); in = \
             out + dropped + held",
            Some(&Unit::Bytes),
            MetricType::Counter,
        )?;
        for (direction, bytes) in [("in", account.taken), ("out", account.given)] {
            let way = [("direction", direction)];
            ConstCounter::new(bytes).encode(ways.encode_family(&way)?)?;
        }
        let mut dropped = encoder.encode_descriptor(
            "dropped",
            "Payload that went to nobody, by why",
            Some(&Unit::Bytes),
            MetricType::Counter,
        )?;
        for reason in Dropped::ALL {
            let why = [("reason", reason.name())];
            ConstCounter::new(account.dropped(reason)).encode(dropped.encode_family(&why)?)?;
        }
        let held = encoder.encode_descriptor(
            "held",
            "Payload that was taken, and neither given nor dropped yet",
            Some(&Unit::Bytes),
            MetricType::Gauge,
        )?;
        let held_now = i64::try_from(account.held).unwrap_or(i64::MAX);
        ConstGauge::new(held_now).encode(held)
    }
}
