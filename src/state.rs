//! What all workers of a relay share: its configuration, its counts, and whether it stops.
//!
//! No actor in it, and no rule: who asks these things decides what follows.

use std::sync::{
    Arc, Once,
    atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
};

use relay_wire::ending::Ending;

use crate::{
    config::{Config, Sites},
    flow::{clocks::Timeouts, credit::Pool, ledger::Ledger},
    limits::{
        address::{AddressKey, Trust},
        admission::Admission,
        shares::Shares,
    },
    observe::{
        logging::log_client,
        metrics::{Metrics, Snapshot},
    },
    rooms::{self, SessionId, placement::Placement},
};

/// Sessions that one address may have in any relay that has as many, unless its operator says less.
const LEAST_SESSIONS: usize = 1000;
/// Rooms, in the same way.
const LEAST_ROOMS: usize = 100;

/// What all workers of a relay have in common.
pub struct State {
    /// How it is configured.
    pub config: Config,
    /// How long its sessions may take over what.
    pub timeouts: Arc<Timeouts>,
    /// Whose word is taken for a client's address.
    pub trust: Trust,
    /// Whose web pages may connect.
    pub sites: Sites,
    /// Which worker keeps which room.
    pub placement: Placement,
    /// The budgets of client addresses.
    pub admission: Admission,
    /// What is outstanding.
    pub pools: Pools,
    /// What becomes of the payload.
    pub ledger: Arc<Ledger>,
    /// What is counted.
    pub metrics: Metrics,
    stopping: AtomicBool,
    refusing: AtomicBool,
    sessions: AtomicU64,
    unnamed: Once,
}

/// What is outstanding in the whole relay.
#[derive(Debug)]
pub struct Pools {
    /// Connections on their way to becoming sessions.
    pub handshakes: Arc<Pool>,
    /// Sessions; the limit is `RELAY_MAX_SESSIONS`, and `RELAY_ADDRESS_SESSIONS` for an address.
    pub sessions: Shares,
    /// Rooms; the limit is `RELAY_MAX_ROOMS`, and `RELAY_ADDRESS_ROOMS` for a sender's address.
    pub rooms: Shares,
    /// Bytes between one socket and another, overhead included, over all sessions' windows.
    pub in_flight: Arc<Pool>,
    /// Bytes of messages being assembled for senders, or assembled and not taken; the limit is
    /// `RELAY_MAX_BUFFERED`, and `RELAY_ADDRESS_BUFFERED` for a receiver's address.
    pub buffers: Shares,
}

impl Pools {
    fn new(config: &Config) -> Self {
        let message = usize::try_from(config.max_msg_size).unwrap_or(usize::MAX);
        Self {
            handshakes: Pool::new(usize::MAX),
            sessions: Shares::chosen(config.max_sessions, config.address_sessions, LEAST_SESSIONS),
            rooms: Shares::chosen(config.max_rooms, config.address_rooms, LEAST_ROOMS),
            in_flight: Pool::new(usize::MAX),
            buffers: Shares::chosen(
                config.max_buffered,
                config.address_buffered,
                rooms::most_charged(message),
            ),
        }
    }
}

impl State {
    /// What a relay of this configuration begins with.
    pub fn new(config: Config) -> Self {
        let ledger = Arc::default();
        Self {
            timeouts: Arc::new(Timeouts {
                request: config.request_timeout,
                ping_interval: config.ping_interval,
                ping: config.ping_timeout,
                stall: config.stall_timeout,
            }),
            trust: Trust {
                proxies: config.trusted_proxies.clone(),
                header: config.client_ip_header.clone(),
            },
            sites: config.allowed_origins.clone(),
            placement: Placement::new(config.workers),
            admission: Admission::new(&config),
            pools: Pools::new(&config),
            metrics: Metrics::new(&ledger),
            ledger,
            stopping: AtomicBool::new(false),
            refusing: AtomicBool::new(false),
            sessions: AtomicU64::new(0),
            unnamed: Once::new(),
            config,
        }
    }

    /// Begins the relay's stop; from here on new sessions are turned away if `refusing`.
    pub fn stop(&self, refusing: bool) {
        self.stopping.store(true, SeqCst);
        self.refusing.store(refusing, SeqCst);
    }

    /// Whether the relay has been told to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(SeqCst)
    }

    /// Whether new sessions are turned away, as the relay is about to stop.
    pub fn is_refusing(&self) -> bool {
        self.refusing.load(SeqCst)
    }

    /// A name for a new session.
    pub fn next_session(&self) -> SessionId {
        SessionId(self.sessions.fetch_add(1, SeqCst))
    }

    /// Does this the first time a trusted proxy names no client, and never again.
    pub fn warn_unnamed(&self, warn: impl FnOnce()) {
        self.unnamed.call_once(warn);
    }

    /// Counts and logs that a session of this client is refused something.
    pub fn refused(&self, id: SessionId, client: impl Into<Option<AddressKey>>, ending: Ending) {
        self.metrics.refused(ending);
        log_client!(Info, client, "session {} refused: {}", id.0, ending.name());
    }

    /// What is outstanding now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            sessions: self.pools.sessions.whole().used(),
            rooms: self.pools.rooms.whole().used(),
            in_flight: self.pools.in_flight.used(),
            buffered: self.pools.buffers.whole().used(),
            held: self.ledger.account().held(),
            waiting: self.admission.waiting(),
            addresses: self.admission.addresses(),
        }
    }
}
