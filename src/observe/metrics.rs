//! What is counted, and how it reads in the formats of Prometheus.
//!
//! Every label is there from the start, at 0, and none is anything that a client chooses. What happens in
//! all of the relay is counted here, and what belongs to one topic in a module of its own.

mod compression;
mod ends;
mod events;
mod format;
mod gauges;
mod keys;
mod lasting;
mod payload;
mod process;
pub mod refusals;
mod resumes;
pub mod tally;
mod transfers;
mod waits;

use std::{
    fmt,
    sync::{Arc, LazyLock},
};

use prometheus_client::{
    collector::Collector,
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, info::Info},
    registry::{Registry, Unit},
};

use relay_wire::{
    ending::Ending,
    extension::{Answer, Negotiated},
};

use self::{
    compression::Compression, ends::Ends, events::OfEvents, gauges::Gauges, keys::Keys,
    payload::Payload, process::Process,
};
pub use self::{
    format::{Format, classic},
    gauges::{Limits, Snapshot},
    resumes::{NotResumed, Resumes},
    transfers::{Transfer, Transfers},
    waits::{Fault, Waits},
};
use super::events::Events;
use crate::{flow::ledger::Ledger, limits::access::Access, version};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    reason: &'static str,
}

/// Why a line is not in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// Standard error took no more.
    Full,
    /// Clients caused more lines than the log has room for.
    OverBudget,
}

impl LeftOut {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Full, Self::OverBudget];

    /// Its label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::OverBudget => "over_budget",
        }
    }
}

/// The log is the process's, and so is the count of what is missing in it.
static LOG_LINES_LEFT_OUT: LazyLock<Family<Why, Counter>> = LazyLock::new(Family::default);

/// Lines were left out of the log.
pub(super) fn log_lines_left_out(why: LeftOut, lines: u64) {
    count(&LOG_LINES_LEFT_OUT, why.name(), lines);
}

/// The counters of a relay.
pub struct Metrics {
    registry: Registry,
    sessions: Counter,
    ended: Family<Why, Counter>,
    refused: Family<Why, Counter>,
    handshakes_refused: Family<Why, Counter>,
    handshakes_abandoned: Counter,
    rooms: Counter,
    check_rooms: Counter,
    rooms_closed: Family<Why, Counter>,
    received: Counter,
    sent: Counter,
    arrived: Counter,
    compression: Compression,
    gauges: Gauges,
    /// Rooms that wait for their senders.
    pub resumes: Resumes,
    /// Rooms and transfers, by their ends.
    pub transfers: Transfers,
    /// Whom sessions wait for.
    pub waits: Waits,
}

impl Metrics {
    /// Nothing counted yet, in a relay with this ledger, these access keys and this event log.
    pub fn new(ledger: &Arc<Ledger>, access: &Arc<Access>, events: &Events) -> Self {
        let mut all = Registry::default();
        all.register_collector(Box::new(Process::starting()));
        let registry = all.sub_registry_with_prefix("relay");
        let build = [("version", version::VERSION), ("commit", version::COMMIT)];
        registry.register("build", "Which relay this is", Info::new(build));
        let mut metrics = Self {
            gauges: Gauges::register(registry),
            resumes: Resumes::register(registry),
            transfers: Transfers::register(registry),
            waits: Waits::register(registry),
            compression: Compression::register(registry),
            registry: Registry::default(),
            sessions: Counter::default(),
            ended: Family::default(),
            refused: Family::default(),
            handshakes_refused: Family::default(),
            handshakes_abandoned: Counter::default(),
            rooms: Counter::default(),
            check_rooms: Counter::default(),
            rooms_closed: Family::default(),
            received: Counter::default(),
            sent: Counter::default(),
            arrived: Counter::default(),
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
            "ERROR messages sent, by why: of requests, of what the relay had no use for, and of rooms that ended \
             (room_expired, sender_disconnected, ended_by_operator, server_shutdown)",
            metrics.refused.clone(),
        );
        registry.register(
            "handshakes_refused",
            "Requests that became no session and got no page, by why",
            metrics.handshakes_refused.clone(),
        );
        registry.register(
            "handshakes_abandoned",
            "Connections that ended before their request was whole",
            metrics.handshakes_abandoned.clone(),
        );
        registry.register(
            "rooms_opened",
            "Rooms that were opened",
            metrics.rooms.clone(),
        );
        registry.register(
            "check_rooms",
            "Rooms that checks on this machine opened; no other count of rooms has them but relay_rooms",
            metrics.check_rooms.clone(),
        );
        registry.register(
            "rooms_closed",
            "Rooms that were closed, by why",
            metrics.rooms_closed.clone(),
        );
        registry.register_with_unit(
            "received",
            "Bytes read from sessions, from behind the request for them",
            Unit::Bytes,
            metrics.received.clone(),
        );
        registry.register_with_unit(
            "sent",
            "Bytes written to sessions, with the answer to that request",
            Unit::Bytes,
            metrics.sent.clone(),
        );
        registry.register_with_unit(
            "payload_arrived",
            "Payload given to clients that has arrived, as their Pongs show; the last of a message is \
             known to have when a later Ping is answered, and never where the client leaves before",
            Unit::Bytes,
            metrics.arrived.clone(),
        );
        registry.register_collector(Box::new(Payload(Arc::clone(ledger))));
        registry.register_collector(Box::new(Ends::before()));
        registry.register_collector(Box::new(Keys(Arc::clone(access))));
        registry.register_collector(Box::new(OfEvents(events.clone())));
        registry.register(
            "log_lines_dropped",
            "Lines left out of the log, by why",
            LOG_LINES_LEFT_OUT.clone(),
        );
        metrics.registry = all;
        metrics.begin_at_zero();
        metrics
    }

    /// Has the page show what this reads, too.
    pub fn collect(&mut self, collector: Box<dyn Collector>) {
        let relay = self.registry.sub_registry_with_prefix("relay");
        relay.register_collector(collector);
    }

    /// Gives every label its counter, so that the first of its kind is seen as a change.
    fn begin_at_zero(&self) {
        for &ending in Ending::ALL {
            for (family, belongs) in [
                (&self.ended, ending.ends_session()),
                (&self.refused, ending.is_error()),
                (&self.handshakes_refused, ending.is_of_handshake()),
                (&self.rooms_closed, ending.ends_room()),
            ] {
                if belongs {
                    count(family, ending.name(), 0);
                }
            }
        }
        for why in LeftOut::ALL {
            log_lines_left_out(why, 0);
        }
    }

    /// A session began.
    pub fn session_began(&self) {
        self.sessions.inc();
    }

    /// A session ended.
    pub fn session_ended(&self, ending: Ending) {
        count(&self.ended, ending.name(), 1);
    }

    /// A client was sent an `ERROR`.
    pub fn refused(&self, ending: Ending) {
        count(&self.refused, ending.name(), 1);
    }

    /// A handshake was refused.
    pub fn handshake_refused(&self, ending: Ending) {
        count(&self.handshakes_refused, ending.name(), 1);
    }

    /// A connection ended before its request was whole.
    pub fn handshake_abandoned(&self) {
        self.handshakes_abandoned.inc();
    }

    /// A room was opened.
    pub fn room_opened(&self) {
        self.rooms.inc();
    }

    /// A check of this relay opened a room.
    pub fn check_room_opened(&self) {
        self.check_rooms.inc();
    }

    /// A room was closed.
    pub fn room_closed(&self, ending: Ending) {
        count(&self.rooms_closed, ending.name(), 1);
    }

    /// Bytes were read.
    pub fn received(&self, bytes: usize) {
        self.received.inc_by(bytes as u64);
    }

    /// Bytes were written.
    pub fn sent(&self, bytes: usize) {
        self.sent.inc_by(bytes as u64);
    }

    /// A client has shown that so much more payload has arrived.
    pub fn arrived(&self, bytes: u64) {
        self.arrived.inc_by(bytes);
    }

    /// A handshake has offered this, and was answered so.
    pub fn negotiated(&self, offered: Negotiated, accepted: Option<Answer>) {
        self.compression.negotiated(offered, accepted);
    }

    /// Compressed payload goes to a client as it came.
    pub fn passed_compressed(&self, bytes: usize) {
        self.compression.passed(bytes);
    }

    /// Compressed payload was inflated to so many bytes, for a client that has no compression.
    pub fn inflated(&self, bytes: usize) {
        self.compression.delivered(bytes);
    }

    /// Compressed payload was inflated to so many bytes, to look into it.
    pub fn looked_into(&self, bytes: usize) {
        self.compression.looked_into(bytes);
    }

    /// All of it as text, with what is outstanding at this moment and may be.
    ///
    /// # Errors
    ///
    /// None that the formatter of a `String` could cause.
    pub fn encode(
        &self,
        format: Format,
        now: &Snapshot,
        limits: &Limits,
    ) -> Result<String, fmt::Error> {
        self.gauges.set(now, limits);
        let mut page = String::new();
        text::encode(&mut page, &self.registry)?;
        match format {
            Format::OpenMetrics => Ok(page),
            Format::Classic => classic(&page),
        }
    }
}

fn count(family: &Family<Why, Counter>, reason: &'static str, more: u64) {
    family.get_or_create(&Why { reason }).inc_by(more);
}
