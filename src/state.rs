//! What all workers of a relay share: its settings, which may change, its counts, and whether it stops.
//!
//! No actor in it, and no rule: who asks these things decides what follows.

mod pools;
mod tokens;

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, Once, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use relay_wire::ending::Ending;

pub use self::{pools::Pools, tokens::Tokens};
use crate::{
    cluster::Cluster,
    config::{Config, Sites},
    flow::{
        clocks::Timeouts,
        ledger::{Account, Ledger},
    },
    limits::{
        access::{Access, Visitor},
        address::Trust,
        admission::{Admission, MAX_ADDRESSES},
        callers::Callers,
        rules::{Rule, Rules},
    },
    observe::{
        events::{Event, Events, Kind},
        logging::log_client,
        memory,
        metrics::{Format, Limits, Metrics, Snapshot},
        status::{History, Moment, Sample, Status},
        uptime::since_boot,
    },
    rooms::{SessionId, placement::Placement},
};

/// What follows from the settings. It is replaced as a whole where they are read again; whoever has
/// taken it keeps it.
pub struct Live {
    /// The settings.
    pub config: Config,
    /// How long sessions may take over what.
    pub timeouts: Arc<Timeouts>,
    /// Whose word is taken for a client's address.
    pub trust: Trust,
    /// Whose web pages may connect.
    pub sites: Sites,
    unnamed: Arc<Once>,
}

impl Live {
    /// What follows from these settings.
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
            sites: config.allowed_origins.clone(),
            unnamed: Arc::new(Once::new()),
            config,
        }
    }

    /// Does this the first time a trusted proxy names no client, and never again with these proxies.
    pub fn warn_unnamed(&self, warn: impl FnOnce()) {
        self.unnamed.call_once(warn);
    }
}

/// What all workers of a relay have in common.
pub struct State {
    live: RwLock<Arc<Live>>,
    /// The other relays, where this one is one of several.
    pub cluster: Option<Arc<Cluster>>,
    /// Which worker keeps which room.
    pub placement: Placement,
    /// The access keys.
    pub access: Arc<Access>,
    /// The budgets of client addresses.
    pub admission: Admission,
    /// What client addresses have done.
    pub callers: Callers,
    /// What the operator has decided of them.
    pub rules: Arc<Rules>,
    /// What senders take their rooms up again with.
    pub tokens: Tokens,
    /// What is outstanding.
    pub pools: Pools,
    /// What becomes of the payload.
    pub ledger: Arc<Ledger>,
    /// What is counted.
    pub metrics: Metrics,
    /// What happens, for whoever asks afterwards.
    pub events: Events,
    /// When it began, from the machine's start.
    began: Duration,
    history: Mutex<History>,
    /// When it was told to stop.
    stopping: OnceLock<Instant>,
    refusing: AtomicBool,
    sessions: AtomicU64,
}

impl State {
    /// What a relay of this configuration begins with.
    pub fn new(config: Config) -> Self {
        let ledger = Arc::default();
        let access = Arc::new(Access::new(&config.access_keys));
        let events = Events::new(&config);
        Self {
            cluster: None,
            placement: Placement::new(config.workers),
            admission: Admission::new(&config),
            callers: Callers::default(),
            rules: Arc::default(),
            tokens: Tokens::new(),
            pools: Pools::new(&config),
            metrics: Metrics::new(&ledger, &access, &events),
            events,
            access,
            ledger,
            began: since_boot(),
            history: Mutex::default(),
            stopping: OnceLock::new(),
            refusing: AtomicBool::new(false),
            sessions: AtomicU64::new(0),
            live: RwLock::new(Arc::new(Live::new(config))),
        }
    }

    /// The same as one of several relays.
    pub fn in_cluster(mut self, cluster: Option<Arc<Cluster>>) -> Self {
        if let Some(cluster) = &cluster {
            self.metrics.collect(cluster.exposition());
        }
        self.cluster = cluster;
        self
    }

    /// The settings of now. Asked for a connection, a session or a request, and never for a frame, so a
    /// lock will do.
    pub fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has these settings count from here on. What is open keeps what it has, and what it began with.
    pub fn configure(&self, config: Config) {
        self.pools.configure(&config);
        self.admission.configure(&config);
        self.access.configure(&config.access_keys);
        self.events.configure(&config);
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        let mut new = Live::new(config);
        if new.trust == live.trust {
            new.unnamed = Arc::clone(&live.unnamed);
        }
        *live = Arc::new(new);
    }

    /// Begins the relay's stop; from here on new sessions are turned away if `refusing`.
    pub fn stop(&self, refusing: bool) {
        self.stopping.get_or_init(Instant::now);
        self.refusing.store(refusing, SeqCst);
    }

    /// Whether the relay has been told to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping.get().is_some()
    }

    /// Whether new sessions are turned away, as the relay is about to stop.
    pub fn is_refusing(&self) -> bool {
        self.refusing.load(SeqCst)
    }

    /// Why nobody new is served, if so: the relay stops, or has as many sessions or rooms as it may have.
    pub fn unready(&self) -> Option<&'static str> {
        self.unready_at(&self.snapshot())
    }

    fn unready_at(&self, now: &Snapshot) -> Option<&'static str> {
        let config = &self.live().config;
        if self.is_stopping() {
            Some("stopping")
        } else if now.sessions >= config.max_sessions {
            Some("full of sessions")
        } else if now.rooms >= config.max_rooms {
            Some("full of rooms")
        } else {
            None
        }
    }

    /// What the operator has decided of a client. A check of this machine is never meant: behind a proxy that
    /// names nobody it has the address of all, and where it were blocked with them, a relay that works would
    /// be restarted for it.
    pub fn rule(&self, visitor: &Visitor) -> Rule {
        match visitor.check {
            true => Rule::None,
            false => self.rules.of(visitor.network, Timestamp::now()),
        }
    }

    /// A name for a new session.
    pub fn next_session(&self) -> SessionId {
        SessionId(self.sessions.fetch_add(1, SeqCst))
    }

    /// Counts and tells that a session is refused something: `kind` is what it asked for, and `visitor` is whose
    /// session it is.
    pub fn refused(&self, kind: Kind, id: SessionId, visitor: Option<&Visitor>, ending: Ending) {
        self.metrics.refused(ending);
        let client = visitor.map(|it| it.network);
        log_client!(Info, client, "session {} refused: {}", id.0, ending.name());
        self.tell_of_refusal(visitor, || Event {
            session: Some(id),
            reason: Some(ending),
            ..Event::of(kind)
        });
    }

    /// Counts and tells that a handshake, or what came in its place, is refused.
    pub fn handshake_refused(&self, visitor: Option<&Visitor>, ending: Ending) {
        self.metrics.handshake_refused(ending);
        let client = visitor.map(|it| it.network);
        log_client!(Info, client, "handshake refused: {}", ending.name());
        self.tell_of_refusal(visitor, || Event {
            reason: Some(ending),
            ..Event::of(Kind::RequestRejected)
        });
    }

    fn tell_of_refusal(&self, visitor: Option<&Visitor>, event: impl FnOnce() -> Event) {
        if let Some(visitor) = visitor {
            visitor.refused();
            self.callers.refused(visitor.network);
        }
        if visitor.is_none_or(|it| !it.check) {
            self.events.tell(|| Event {
                visitor: visitor.cloned(),
                ..event()
            });
        }
    }

    /// How long it has been up, the time in which the machine was suspended included.
    pub fn uptime(&self) -> Duration {
        since_boot().saturating_sub(self.began)
    }

    /// What is outstanding now.
    pub fn snapshot(&self) -> Snapshot {
        self.look().0
    }

    /// The same, and the account of the payload that goes with it.
    fn look(&self) -> (Snapshot, Account) {
        let account = self.ledger.account();
        let snapshot = Snapshot {
            sessions: self.pools.sessions.whole().used(),
            rooms: self.pools.rooms.whole().used(),
            away: self.pools.away.used(),
            handshakes: self.pools.handshakes.used(),
            pairs: self.pools.pairs.used(),
            queued: self.pools.queued.used(),
            in_flight: self.pools.in_flight.used(),
            buffered: self.pools.buffers.whole().used(),
            held: account.held,
            waiting: self.admission.waiting(),
            addresses: self.admission.addresses(),
        };
        (snapshot, account)
    }

    /// How much there may be of it, by the settings of now.
    pub fn limits(&self) -> Limits {
        let config = &self.live().config;
        Limits {
            sessions: config.max_sessions,
            rooms: config.max_rooms,
            queue: config.max_queue,
            buffered: config.max_buffered,
            addresses: 2 * MAX_ADDRESSES,
            memory: memory::limit(config),
            memory_ceiling: memory::ceiling(config),
        }
    }

    /// A page of metrics.
    ///
    /// # Errors
    ///
    /// None that the formatter of a `String` could cause.
    pub fn page_of_metrics(&self, format: Format) -> Result<String, fmt::Error> {
        self.metrics
            .encode(format, &self.snapshot(), &self.limits())
    }

    /// Keeps a sample of this moment for the page that shows the last hour.
    pub fn take_sample(&self) {
        let (now, account) = self.look();
        let sample = self.sample(&now, &account);
        self.history().add(sample);
    }

    /// What that page shows now.
    pub fn status(&self) -> Status {
        let (live, limits) = (self.live(), self.limits());
        let (now, account) = self.look();
        let stops_in = self.stopping.get().map(|since| {
            let drain = live.config.drain_timeout;
            drain.saturating_sub(since.elapsed())
        });
        let moment = Moment {
            began: self.began,
            most: [limits.sessions as u64, limits.rooms as u64, limits.memory],
            held: account.held,
            dropped: account.dropped.iter().sum(),
            stops_in,
            unready: self.unready_at(&now),
            sample: self.sample(&now, &account),
        };
        Status::new(&moment, &self.history())
    }

    fn sample(&self, now: &Snapshot, account: &Account) -> Sample {
        // No process has no memory at all: that is what cannot be read.
        let memory = Some(memory::resident()).filter(|&bytes| bytes > 0);
        Sample {
            at: since_boot(),
            sessions: now.sessions,
            rooms: now.rooms,
            memory,
            taken: account.taken,
            given: account.given,
            refused: self.metrics.refusals(),
        }
    }

    fn history(&self) -> MutexGuard<'_, History> {
        // A sample is in it or not.
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
