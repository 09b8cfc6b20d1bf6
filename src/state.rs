//! What all workers of a relay share: its configuration, its counts, and whether it stops.
//!
//! No actor in it, and no rule: who asks these things decides what follows.

use std::sync::{
    Arc, Once,
    atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
};

use crate::{
    config::Config,
    flow::{clocks::Timeouts, credit::Pool},
    limits::{address::Trust, admission::Admission},
    observe::metrics::{Metrics, Snapshot},
    rooms::{SessionId, placement::Placement},
};

/// What all workers of a relay have in common.
pub struct State {
    /// How it is configured.
    pub config: Config,
    /// How long its sessions may take over what.
    pub timeouts: Arc<Timeouts>,
    /// Whose word is taken for a client's address.
    pub trust: Trust,
    /// Which worker keeps which room.
    pub placement: Placement,
    /// The budgets of client addresses.
    pub admission: Admission,
    /// What is outstanding.
    pub pools: Pools,
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
    /// Sessions; the limit is `RELAY_MAX_SESSIONS`.
    pub sessions: Arc<Pool>,
    /// Rooms; the limit is `RELAY_MAX_ROOMS`.
    pub rooms: Arc<Pool>,
    /// Bytes between one socket and another, overhead included, over all sessions' windows.
    pub in_flight: Arc<Pool>,
    /// Bytes of messages being assembled for senders, or assembled and not taken; the limit is
    /// `RELAY_MAX_BUFFERED`.
    pub buffers: Arc<Pool>,
}

impl State {
    /// What a relay of this configuration begins with.
    pub fn new(config: Config) -> Self {
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
            placement: Placement::new(config.workers),
            admission: Admission::new(&config),
            pools: Pools {
                handshakes: Pool::new(usize::MAX),
                sessions: Pool::new(config.max_sessions),
                rooms: Pool::new(config.max_rooms),
                in_flight: Pool::new(usize::MAX),
                buffers: Pool::new(config.max_buffered),
            },
            metrics: Metrics::default(),
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

    /// What is outstanding now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            sessions: self.pools.sessions.used(),
            rooms: self.pools.rooms.used(),
            in_flight: self.pools.in_flight.used(),
            buffered: self.pools.buffers.used(),
            addresses: self.admission.addresses(),
        }
    }
}
