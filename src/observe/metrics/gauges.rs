//! What is outstanding at one moment, and how much of it there may be.

use prometheus_client::{
    metrics::gauge::Gauge,
    registry::{Registry, Unit},
};

/// What is outstanding at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Sessions whose socket is open.
    pub sessions: usize,
    /// Rooms that are open.
    pub rooms: usize,
    /// Those of them that wait for their senders.
    pub away: usize,
    /// Connections on their way to becoming sessions.
    pub handshakes: usize,
    /// Receivers that are paired with their sender.
    pub pairs: usize,
    /// Receivers that wait in the queues of their rooms.
    pub queued: usize,
    /// Bytes of credit, over all sessions.
    pub in_flight: usize,
    /// Bytes held of messages for senders.
    pub buffered: usize,
    /// Bytes of payload that are neither given nor dropped.
    pub held: u64,
    /// Client addresses and networks with a budget.
    pub addresses: usize,
    /// Joins that wait for the next turn of their address.
    pub waiting: usize,
}

/// How much there may be, by the settings of now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Sessions.
    pub sessions: usize,
    /// Rooms.
    pub rooms: usize,
    /// Receivers in the queue of one room.
    pub queue: usize,
    /// Bytes held of messages for senders, and of those of senders whose receivers are slow.
    pub buffered: usize,
    /// Client addresses and networks with a budget.
    pub addresses: usize,
    /// Bytes of memory that clients can make the process take, as far as there are as many.
    pub memory: u64,
    /// Bytes of memory that clients can make the process take.
    pub memory_ceiling: u64,
}

/// The gauges of a page, set when it is asked for.
#[derive(Default)]
pub(super) struct Gauges {
    sessions: Level,
    rooms: Level,
    away: Gauge,
    handshakes: Gauge,
    pairs: Gauge,
    queued: Gauge,
    queue_limit: Gauge,
    in_flight: Gauge,
    buffered: Level,
    addresses: Level,
    waiting: Gauge,
    memory_limit: Gauge,
    memory_ceiling: Gauge,
}

/// How much there is, and how much there may be.
#[derive(Default)]
struct Level {
    now: Gauge,
    limit: Gauge,
}

impl Level {
    fn register(&self, registry: &mut Registry, name: &str, help: &str, limit: &str) {
        registry.register(name, help, self.now.clone());
        registry.register(format!("{name}_limit"), limit, self.limit.clone());
    }

    fn set(&self, now: usize, limit: usize) {
        set(&self.now, now);
        set(&self.limit, limit);
    }
}

impl Gauges {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let gauges = Self::default();
        let in_all = "How many there may be (RELAY_MAX_SESSIONS, or what open files there are for)";
        gauges
            .sessions
            .register(registry, "sessions", "Sessions now", in_all);
        let in_all = "How many there may be (RELAY_MAX_ROOMS)";
        gauges
            .rooms
            .register(registry, "rooms", "Rooms now", in_all);
        registry.register(
            "rooms_without_sender",
            "Rooms that wait for their senders now (RELAY_ROOM_GRACE); relay_rooms has them, too",
            gauges.away.clone(),
        );
        registry.register(
            "handshakes_in_progress",
            "Connections that are no sessions yet now, or ask for a page; who asks for this one is among them",
            gauges.handshakes.clone(),
        );
        registry.register(
            "pairs",
            "Receivers that are paired with their sender now",
            gauges.pairs.clone(),
        );
        registry.register(
            "queued_receivers",
            "Receivers that wait for their turn now, over all rooms",
            gauges.queued.clone(),
        );
        registry.register(
            "queue_limit",
            "Receivers that may wait in one room (RELAY_MAX_QUEUE)",
            gauges.queue_limit.clone(),
        );
        registry.register_with_unit(
            "in_flight",
            "Read and not yet written, overhead included",
            Unit::Bytes,
            gauges.in_flight.clone(),
        );
        registry.register_with_unit(
            "buffered",
            "Held of messages for senders, and of those of senders whose receivers are slow",
            Unit::Bytes,
            gauges.buffered.now.clone(),
        );
        registry.register_with_unit(
            "buffered_limit",
            "How much of that there may be (RELAY_MAX_BUFFERED)",
            Unit::Bytes,
            gauges.buffered.limit.clone(),
        );
        gauges.addresses.register(
            registry,
            "addresses",
            "Client addresses and networks with a budget",
            "How many are remembered",
        );
        registry.register(
            "joins_waiting",
            "Joins that wait, as their address has tried many wrong codes",
            gauges.waiting.clone(),
        );
        registry.register_with_unit(
            "memory_limit",
            "What process_resident_memory_bytes can come to: its ceiling, or what the machine or the control \
             group has, where that is less",
            Unit::Bytes,
            gauges.memory_limit.clone(),
        );
        registry.register_with_unit(
            "memory_ceiling",
            "What clients can make of process_resident_memory_bytes at most, whatever they send",
            Unit::Bytes,
            gauges.memory_ceiling.clone(),
        );
        gauges
    }

    pub(super) fn set(&self, now: &Snapshot, limits: &Limits) {
        self.sessions.set(now.sessions, limits.sessions);
        self.rooms.set(now.rooms, limits.rooms);
        set(&self.away, now.away);
        set(&self.handshakes, now.handshakes);
        set(&self.pairs, now.pairs);
        set(&self.queued, now.queued);
        set(&self.queue_limit, limits.queue);
        set(&self.in_flight, now.in_flight);
        self.buffered.set(now.buffered, limits.buffered);
        self.addresses.set(now.addresses, limits.addresses);
        set(&self.waiting, now.waiting);
        set(&self.memory_limit, limits.memory);
        set(&self.memory_ceiling, limits.memory_ceiling);
    }
}

fn set(gauge: &Gauge, value: impl TryInto<i64>) {
    gauge.set(value.try_into().unwrap_or(i64::MAX));
}
