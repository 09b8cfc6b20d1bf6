//! What is counted, and how it reads in the Prometheus text format.

use std::{fmt, sync::Arc};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use crate::{protocol::Reason, rooms::Dropped, transport::credit::Window};

/// What is outstanding in the whole relay, each counted by the credits taken from it.
#[derive(Debug)]
pub struct Totals {
    /// Connections on their way to becoming sessions.
    pub handshakes: Arc<Window>,
    /// Sessions; the limit is `RELAY_MAX_SESSIONS`.
    pub sessions: Arc<Window>,
    /// Rooms; the limit is `RELAY_MAX_ROOMS`.
    pub rooms: Arc<Window>,
    /// Bytes between one socket and another, overhead included, over all sessions' windows.
    pub in_flight: Arc<Window>,
    /// Bytes of messages being assembled for senders, or assembled and not taken; the limit is
    /// `RELAY_MAX_BUFFERED`.
    pub buffers: Arc<Window>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    reason: &'static str,
}

/// The counters of a relay.
pub struct Metrics {
    registry: Registry,
    sessions: Counter,
    ended: Family<Why, Counter>,
    refused: Family<Why, Counter>,
    rooms: Counter,
    received: Counter,
    sent: Counter,
    dropped: Family<Why, Counter>,
    open_sessions: Gauge,
    open_rooms: Gauge,
    in_flight: Gauge,
    buffers: Gauge,
    addresses: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("relay");
        let mut metrics = Self {
            registry: Registry::default(),
            sessions: Counter::default(),
            ended: Family::default(),
            refused: Family::default(),
            rooms: Counter::default(),
            received: Counter::default(),
            sent: Counter::default(),
            dropped: Family::default(),
            open_sessions: Gauge::default(),
            open_rooms: Gauge::default(),
            in_flight: Gauge::default(),
            buffers: Gauge::default(),
            addresses: Gauge::default(),
        };
        registry.register(
            "sessions_begun",
            "Sessions that began",
            metrics.sessions.clone(),
        );
        registry.register(
            "sessions_ended",
            "Sessions that ended, by why",
            metrics.ended.clone(),
        );
        registry.register(
            "refused",
            "Refusals and notices, by why",
            metrics.refused.clone(),
        );
        registry.register(
            "rooms_opened",
            "Rooms that were opened",
            metrics.rooms.clone(),
        );
        registry.register_with_unit(
            "received",
            "Bytes read",
            Unit::Bytes,
            metrics.received.clone(),
        );
        registry.register_with_unit("sent", "Bytes written", Unit::Bytes, metrics.sent.clone());
        registry.register_with_unit(
            "dropped",
            "Bytes of senders that were for nobody, by why",
            Unit::Bytes,
            metrics.dropped.clone(),
        );
        registry.register("sessions", "Sessions now", metrics.open_sessions.clone());
        registry.register("rooms", "Rooms now", metrics.open_rooms.clone());
        registry.register_with_unit(
            "in_flight",
            "Read and not yet written, overhead included",
            Unit::Bytes,
            metrics.in_flight.clone(),
        );
        registry.register_with_unit(
            "buffered",
            "Held of messages for senders",
            Unit::Bytes,
            metrics.buffers.clone(),
        );
        registry.register(
            "addresses",
            "Client addresses with a budget",
            metrics.addresses.clone(),
        );
        metrics.registry = registry;
        metrics
    }
}

impl Metrics {
    /// A session began.
    pub fn session_began(&self) {
        self.sessions.inc();
    }

    /// A session ended.
    pub fn session_ended(&self, reason: &'static str) {
        self.ended.get_or_create(&Why { reason }).inc();
    }

    /// A client was told no.
    pub fn refused(&self, reason: Reason) {
        let reason = reason.name();
        self.refused.get_or_create(&Why { reason }).inc();
    }

    /// A room was opened.
    pub fn room_opened(&self) {
        self.rooms.inc();
    }

    /// Bytes were read.
    pub fn received(&self, bytes: usize) {
        self.received.inc_by(bytes as u64);
    }

    /// Bytes were written.
    pub fn sent(&self, bytes: usize) {
        self.sent.inc_by(bytes as u64);
    }

    /// Bytes of a sender's went to nobody.
    pub fn dropped(&self, why: Dropped, bytes: usize) {
        let reason = why.name();
        let dropped = self.dropped.get_or_create(&Why { reason });
        dropped.inc_by(bytes as u64);
    }

    /// All of it as text, with what is outstanding at this moment.
    pub fn encode(&self, now: &Snapshot) -> Result<String, fmt::Error> {
        let set = |gauge: &Gauge, value: usize| gauge.set(value.try_into().unwrap_or(i64::MAX));
        set(&self.open_sessions, now.sessions);
        set(&self.open_rooms, now.rooms);
        set(&self.in_flight, now.in_flight);
        set(&self.buffers, now.buffered);
        set(&self.addresses, now.addresses);
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// What is outstanding at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Sessions whose socket is open.
    pub sessions: usize,
    /// Rooms that are open.
    pub rooms: usize,
    /// Bytes of credit, over all sessions.
    pub in_flight: usize,
    /// Bytes held of messages for senders.
    pub buffered: usize,
    /// Client addresses with a budget.
    pub addresses: usize,
}
