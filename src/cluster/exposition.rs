//! The cluster's figures in the page of metrics. A relay that is no node has none of these lines.

use std::{fmt, sync::Arc, time::Instant};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

use super::Cluster;

/// Reads them for each page.
struct Exposition(Arc<Cluster>);

impl Cluster {
    /// The cluster's figures for the page of metrics.
    pub fn exposition(self: &Arc<Self>) -> Box<dyn Collector> {
        Box::new(Exposition(Arc::clone(self)))
    }
}

impl fmt::Debug for Exposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exposition")
    }
}

/// What is counted by a label: its name, its help, its unit, the label's name.
type Labelled = (&'static str, &'static str, Option<Unit>, &'static str);

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (cluster, counts) = (&self.0, &self.0.counts);
        let gauges = [
            (
                "cluster_joined",
                "Whether this relay takes part in its cluster now (1), or has its own rooms alone (0), as NATS is not \
                 reached or another node has its address",
                u64::from(cluster.is_joined()),
            ),
            (
                "cluster_pipes",
                "Clients of this relay now that are in rooms of other nodes",
                counts.pipes() as u64,
            ),
        ];
        for (name, help, value) in gauges {
            let gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(gauge)?;
        }
        let mut nodes = encoder.encode_descriptor(
            "cluster_nodes",
            "Other nodes that are known now, by how they are: heard of (heard), not heard of for 3 seconds (silent), or \
             behind with an answer, so that what no other node has may be theirs (doubtful)",
            None,
            MetricType::Gauge,
        )?;
        for (state, count) in cluster.known().peers.counts(Instant::now()) {
            ConstGauge::new(count).encode(nodes.encode_family(&[("state", state)])?)?;
        }
        let mut lookups = encoder.encode_descriptor(
            "cluster_lookup",
            "Time of the questions to all nodes where a code's room is that this relay does not have, for clients that \
             join, by what came of them: a node has it (found), none has (nowhere), or nobody can say so, as NATS or a \
             node is not reached (unknown)",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for (outcome, times) in counts.lookups() {
            times.encode(lookups.encode_family(&[("outcome", outcome)])?)?;
        }
        let visits: Labelled = (
            "cluster_visits",
            "Clients of this relay brought to rooms of other nodes, by how that went: they were let in (joined), the \
             room did not take them (refused), or its node was not reached (failed)",
            None,
            "result",
        );
        counters(&mut encoder, &visits, counts.visits())?;
        let [to_rooms, to_clients] = counts.bytes();
        let passed: Labelled = (
            "cluster_passed",
            "Bytes of this relay's clients that are in rooms of other nodes, by direction: read from them \
             (to_rooms), and written to them (to_clients); relay_received_bytes_total and relay_sent_bytes_total \
             have them too",
            Some(Unit::Bytes),
            "direction",
        );
        let bytes = [("to_rooms", to_rooms), ("to_clients", to_clients)];
        counters(&mut encoder, &passed, bytes)?;
        let lost: Labelled = (
            "cluster_words_lost",
            "Words between nodes that were not said or not understood, by why: too much to say (full), NATS not reached \
             (apart), NATS brought more than was read (slow, times that it did), none of this cluster's, or of another version \
             (foreign)",
            None,
            "reason",
        );
        counters(&mut encoder, &lost, counts.losses())
    }
}

/// Writes counters that differ by one label.
fn counters(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, unit, label): &Labelled,
    values: impl IntoIterator<Item = (&'static str, u64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Counter)?;
    for (value, count) in values {
        ConstCounter::new(count).encode(family.encode_family(&[(*label, value)])?)?;
    }
    Ok(())
}
