//! A whole relay: its listener, its workers, and how it stops.

use std::{
    future::{Future, poll_fn},
    io,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Once,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    task::Poll,
    time::Duration,
};

use actix_rt::{Arbiter, time::timeout};
use log::{error, info};
use tokio::sync::watch;

use crate::{
    admission::Admission,
    client_addr::Trust,
    config::Config,
    directory::Directory,
    messages::Shutdown,
    metrics::{Metrics, Snapshot, Totals},
    rooms::SessionId,
    session::CLOSE_TIMEOUT,
    supervisor,
    transport::credit::Window,
    worker::{self, HEAD_TIMEOUT, Worker},
};

/// What all workers of a relay have in common.
pub struct Shared {
    /// How it is configured.
    pub config: Config,
    /// Whose word is taken for a client's address.
    pub trust: Trust,
    /// Where rooms live.
    pub directory: Directory,
    /// The budgets of client addresses.
    pub admission: Admission,
    /// What is outstanding.
    pub totals: Totals,
    /// What is counted.
    pub metrics: Metrics,
    stopping: AtomicBool,
    refusing: AtomicBool,
    sessions: AtomicU64,
    unnamed: Once,
}

impl Shared {
    /// What a relay of this configuration begins with.
    pub fn new(config: Config) -> Self {
        let header = config.client_ip_header.as_deref();
        Self {
            trust: Trust {
                proxies: config.trusted_proxies.clone(),
                header: header.and_then(|name| name.parse().ok()),
            },
            directory: Directory::new(config.workers),
            admission: Admission::new(&config),
            totals: Totals {
                handshakes: Window::new(usize::MAX),
                sessions: Window::new(config.max_sessions),
                rooms: Window::new(config.max_rooms),
                in_flight: Window::new(usize::MAX),
                buffers: Window::new(config.max_buffered),
            },
            metrics: Metrics::default(),
            stopping: AtomicBool::new(false),
            refusing: AtomicBool::new(false),
            sessions: AtomicU64::new(0),
            unnamed: Once::new(),
            config,
        }
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
            sessions: self.totals.sessions.used(),
            rooms: self.totals.rooms.used(),
            in_flight: self.totals.in_flight.used(),
            buffered: self.totals.buffers.used(),
            addresses: self.admission.addresses(),
        }
    }
}

/// A relay that is bound to its port.
pub struct Relay {
    listener: TcpListener,
    address: SocketAddr,
    /// Whether the listener is somebody else's, and goes on when we stop.
    inherited: bool,
    shared: Arc<Shared>,
}

/// Reads what is outstanding in a relay, from any thread.
#[derive(Clone)]
pub struct Counters(Arc<Shared>);

impl Counters {
    /// What is outstanding now.
    pub fn snapshot(&self) -> Snapshot {
        self.0.snapshot()
    }
}

impl Relay {
    /// Binds to `RELAY_HOST` and `RELAY_PORT`. An error is the operating system's own; one without
    /// a number of its kind is a host that does not resolve.
    pub fn bind(config: Config) -> io::Result<Self> {
        let listener = TcpListener::bind((config.host.as_str(), config.port))?;
        Self::new(listener, false, config)
    }

    /// Takes a listener that outlives this relay, as a service manager hands it over. When the
    /// relay stops, who connects meanwhile waits there for the next one.
    pub fn inherit(listener: TcpListener, config: Config) -> io::Result<Self> {
        Self::new(listener, true, config)
    }

    fn new(listener: TcpListener, inherited: bool, config: Config) -> io::Result<Self> {
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            inherited,
            shared: Arc::new(Shared::new(config)),
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Its counters.
    pub fn counters(&self) -> Counters {
        Counters(Arc::clone(&self.shared))
    }

    /// Serves until `shutdown` comes true, then lets pairs finish as PROTOCOL.md says. Must run
    /// in an actix system.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let Self {
            listener,
            address,
            inherited,
            shared,
        } = self;
        let config = &shared.config;
        info!(
            "listening on {address}: {} sessions, {} rooms of {:?}, messages of {} bytes, \
             {} worker(s), trusting {:?}",
            config.max_sessions,
            config.max_rooms,
            config.room_ttl,
            config.max_msg_size,
            config.workers,
            config.trusted_proxies,
        );
        let (close, closed) = watch::channel(false);
        let mut threads = Vec::new();
        for index in 1..config.workers {
            let (shared, closed) = (Arc::clone(&shared), closed.clone());
            let listener = listener.try_clone()?;
            let thread = Arbiter::try_with_tokio_rt(worker::runtime)?;
            thread.spawn_fn(move || {
                if let Err(error) = work(shared, index, listener, closed) {
                    error!("worker {index} cannot listen: {error}");
                }
            });
            threads.push(thread);
        }
        work(Arc::clone(&shared), 0, listener, closed)?;
        let report = actix_rt::spawn(supervisor::report(Arc::clone(&shared)));
        shutdown.await;
        if inherited {
            // Who connects from here on waits for the next process.
            let _ = close.send(true);
        }
        drain(&shared, inherited).await;
        let _ = close.send(true);
        report.abort();
        for thread in threads {
            thread.stop();
        }
        info!("stopped");
        Ok(())
    }
}

/// Starts a worker on the thread it is called on.
fn work(
    shared: Arc<Shared>,
    index: usize,
    listener: TcpListener,
    closed: watch::Receiver<bool>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = actix_rt::net::TcpListener::from_std(listener)?;
    actix_rt::spawn(Worker::begin(shared, index).accept(listener, closed));
    Ok(())
}

/// Stops a relay: at once for who only waits, in their own time for pairs, by force for the rest.
async fn drain(shared: &Shared, inherited: bool) {
    supervisor::stopping();
    shared.stopping.store(true, SeqCst);
    // To be turned away is worse than to wait for the next process, if there is to be one.
    shared.refusing.store(!inherited, SeqCst);
    let tell = |shutdown: fn() -> Shutdown| {
        for registry in shared.directory.registries() {
            registry.do_send(shutdown());
        }
    };
    tell(|| Shutdown::Drain);
    let sessions = &shared.totals.sessions;
    if !all_gone(sessions, shared.config.drain_timeout).await {
        let left = sessions.used();
        info!("{left} sessions are left, and are closed");
        tell(|| Shutdown::Now);
        all_gone(sessions, CLOSE_TIMEOUT).await;
    }
    if inherited {
        // Who was accepted before is no worse off than who waits: a session, if only to hear that
        // it is to come again.
        all_gone(&shared.totals.handshakes, HEAD_TIMEOUT).await;
        all_gone(sessions, CLOSE_TIMEOUT).await;
    }
}

/// Waits until none of these is left, for as long as `most`.
async fn all_gone(window: &Window, most: Duration) -> bool {
    let gone = poll_fn(|task| match window.poll_empty(task) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    });
    timeout(most, gone).await.is_ok()
}
