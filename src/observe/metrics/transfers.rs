//! Rooms and transfers as their ends show them: how long, how much, how fast, and how it came out.
//!
//! A transfer is what a sender has sent to one receiver, from when the two were paired until the receiver's
//! session was over: where its sender goes first, it is still given what waits. Those of checks on this machine are nobody's, and not counted.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::rooms::Outcome;

/// Seconds that rooms last: RELAY_ROOM_TTL is 1800 as it comes.
const LIFETIMES: [f64; 11] = [
    1.0, 5.0, 15.0, 60.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 28_800.0,
];
/// Bytes of a transfer, from a greeting to a gibibyte.
const SIZES: [f64; 11] = [
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
    268_435_456.0,
    1_073_741_824.0,
];
/// Seconds until the first byte. Today's senders take half a second for their key.
const FIRST_BYTES: [f64; 11] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0];
/// Bytes a second, from a bad telephone line to a local network.
const RATES: [f64; 11] = [3e3, 1e4, 3e4, 1e5, 3e5, 1e6, 3e6, 1e7, 3e7, 1e8, 1e9];
/// Places in a queue; 0 is no wait.
const PLACES: [f64; 6] = [0.0, 1.0, 2.0, 4.0, 8.0, 16.0];

/// Bytes of a transfer that has a rate. The time of a smaller one is that of its talk.
const LEAST_FOR_A_RATE: u64 = 64 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct How {
    outcome: &'static str,
}

/// A transfer that is over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Transfer {
    /// How it came out.
    pub outcome: Outcome,
    /// Bytes of payload that were given to its receiver.
    pub bytes: u64,
    /// From when the two were paired to the first of these.
    pub first_byte: Option<Duration>,
    /// From when the first of these came to when its system had taken the last.
    pub lasted: Duration,
}

/// The counters.
pub struct Transfers {
    lifetime: Histogram,
    place: Histogram,
    ended: Family<How, Counter>,
    size: Histogram,
    first_byte: Histogram,
    rate: Histogram,
}

impl Transfers {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let counted = Self {
            lifetime: Histogram::new(LIFETIMES),
            place: Histogram::new(PLACES),
            ended: Family::default(),
            size: Histogram::new(SIZES),
            first_byte: Histogram::new(FIRST_BYTES),
            rate: Histogram::new(RATES),
        };
        registry.register_with_unit(
            "room_lifetime",
            "How long rooms were open that are closed",
            Unit::Seconds,
            counted.lifetime.clone(),
        );
        registry.register(
            "queue_place",
            "The place in their room's queue that receivers got as they joined; 0 was paired at once",
            counted.place.clone(),
        );
        registry.register(
            "transfers",
            "Pairs that ended and whose receiver's session is over, by how it came out: the receiver, or the \
             sender, has closed well, and the receiver was given all (finished); the receiver went otherwise or \
             before that (receiver_gone), or the sender otherwise (sender_gone); a rule of the relay's ended it \
             (refused), nothing moved (idle), or the relay stopped (relay_gone)",
            counted.ended.clone(),
        );
        registry.register_with_unit(
            "transfer",
            "Payload that receivers were given, of pairs that ended and whose receiver's session is over",
            Unit::Bytes,
            counted.size.clone(),
        );
        registry.register_with_unit(
            "transfer_first_byte",
            "Time from the pairing to the first byte of payload for the receiver, of pairs that ended and \
             had one",
            Unit::Seconds,
            counted.first_byte.clone(),
        );
        registry.register_with_unit(
            "transfer_rate",
            "What receivers of pairs that ended were given in a second, from when their first byte came until \
             their system had taken the last, where that was 64 KiB or more",
            Unit::Other("bytes_per_second".to_owned()),
            counted.rate.clone(),
        );
        for outcome in Outcome::ALL {
            drop(counted.ended.get_or_create(&How::new(outcome)));
        }
        counted
    }

    /// A receiver has joined a room, at this place in its queue, or 0.
    pub fn joined(&self, place: usize) {
        self.place.observe(place as f64);
    }

    /// A room was open for so long.
    pub fn room_lasted(&self, time: Duration) {
        self.lifetime.observe(time.as_secs_f64());
    }

    /// A transfer is over.
    pub fn ended(&self, transfer: &Transfer) {
        let Transfer {
            outcome,
            bytes,
            first_byte,
            lasted,
        } = *transfer;
        self.ended.get_or_create(&How::new(outcome)).inc();
        self.size.observe(bytes as f64);
        if let Some(first_byte) = first_byte {
            self.first_byte.observe(first_byte.as_secs_f64());
        }
        if bytes >= LEAST_FOR_A_RATE && !lasted.is_zero() {
            self.rate.observe(bytes as f64 / lasted.as_secs_f64());
        }
    }
}

impl How {
    fn new(outcome: Outcome) -> Self {
        Self {
            outcome: outcome.name(),
        }
    }
}
