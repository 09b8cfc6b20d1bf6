//! What was negotiated of compression, and what became of compressed messages.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::{Registry, Unit},
};
use relay_wire::extension::{Answer, Negotiated};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Handshake {
    offered: &'static str,
    accepted: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Purpose {
    purpose: &'static str,
}

/// Each pair of what a handshake can offer and what it is answered.
const HANDSHAKES: [Handshake; 5] = [
    Handshake::new("none", "none"),
    Handshake::new("other", "none"),
    Handshake::new("deflate", "none"),
    Handshake::new("deflate", "any_window"),
    Handshake::new("deflate", "small_window"),
];

impl Handshake {
    const fn new(offered: &'static str, accepted: &'static str) -> Self {
        Self { offered, accepted }
    }
}

/// The counters.
#[derive(Default)]
pub(super) struct Compression {
    handshakes: Family<Handshake, Counter>,
    passed: Counter,
    inflated: Family<Purpose, Counter>,
}

impl Compression {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let counted = Self::default();
        registry.register(
            "handshakes",
            "Handshakes that became sessions, by the extension that was offered and what was accepted: \
             compression with whatever window, or with one of 9 bits at most",
            counted.handshakes.clone(),
        );
        registry.register_with_unit(
            "compressed",
            "Payload of compressed messages that went to clients as it came, on the wire",
            Unit::Bytes,
            counted.passed.clone(),
        );
        registry.register_with_unit(
            "inflated",
            "What compressed messages were inflated to: for clients without compression (delivery), and to \
             see what a receiver sends (look)",
            Unit::Bytes,
            counted.inflated.clone(),
        );
        for handshake in &HANDSHAKES {
            drop(counted.handshakes.get_or_create(handshake));
        }
        counted.delivered(0);
        counted.looked_into(0);
        counted
    }

    pub(super) fn negotiated(&self, offered: Negotiated, accepted: Option<Answer>) {
        let offered = match offered {
            Negotiated::NotOffered => "none",
            Negotiated::Unknown => "other",
            Negotiated::Declined | Negotiated::Accepted(_) => "deflate",
        };
        let accepted = accepted.map_or("none", |answer| match answer.client_window {
            None => "any_window",
            Some(_) => "small_window",
        });
        let handshake = Handshake::new(offered, accepted);
        self.handshakes.get_or_create(&handshake).inc();
    }

    pub(super) fn passed(&self, bytes: usize) {
        self.passed.inc_by(bytes as u64);
    }

    pub(super) fn delivered(&self, bytes: usize) {
        self.inflated("delivery", bytes);
    }

    pub(super) fn looked_into(&self, bytes: usize) {
        self.inflated("look", bytes);
    }

    fn inflated(&self, purpose: &'static str, bytes: usize) {
        let purpose = Purpose { purpose };
        self.inflated.get_or_create(&purpose).inc_by(bytes as u64);
    }
}
