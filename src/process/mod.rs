//! A whole relay: it binds, runs its workers, and stops.
//!
//! | module | contents |
//! |---|---|
//! | [`worker`] | a worker's thread |
//! | `descriptors` | how many connections the system's limit of open files has room for |
//! | `drain` | how a relay stops |
//! | `listening` | the addresses of `RELAY_HOST` |
//! | `nodes` | what the other relays of a cluster say |
//! | [`orders`] | what the operator has the process do |
//! | [`reload`] | settings that are read again |
//! | `sampling` | samples for the page of the last hour |
//! | [`systemd`] | the service manager: its sockets, and what it wants to hear |
//! | `tokens` | the keys by which senders take their rooms up again, kept over a restart |

mod descriptors;
mod drain;
mod listening;
mod nodes;
pub mod orders;
pub mod reload;
mod sampling;
pub mod systemd;
mod tokens;
pub mod worker;

use std::{
    future::Future,
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    pin::pin,
    sync::Arc,
    time::Instant,
};

use actix_rt::Arbiter;
use clap::ArgMatches;
use futures_util::future::{Either, select};
use jiff::Timestamp;
use log::info;
use tokio::sync::{Barrier, Notify, mpsc, oneshot, watch};

use self::{
    reload::{Reload, Running},
    tokens::TokenFile,
    worker::Start,
};
use crate::{
    actors::directory::Directory,
    admin::{
        self,
        office::{Office, Order},
        store::Store,
    },
    cluster::Cluster,
    config::Config,
    http::accept::{self, Origin},
    observe::{events::Events, metrics::Snapshot},
    state::State,
};

/// A relay that is bound to its port.
pub struct Relay {
    listeners: Arc<[TcpListener]>,
    addresses: Vec<SocketAddr>,
    origin: Origin,
    /// Connections that may be on their way to becoming sessions, for each worker.
    handshakes: usize,
    state: Arc<State>,
    directory: Arc<Directory>,
    /// Where the operator's decisions are kept.
    store: Store,
    /// Where the keys are kept by which senders take their rooms up again.
    tokens: TokenFile,
    /// Where its orders go.
    orders: mpsc::Sender<Order>,
}

/// Reads what is outstanding in a relay, from any thread.
#[derive(Clone)]
pub struct Counters(Arc<State>);

impl Counters {
    /// What is outstanding now.
    pub fn snapshot(&self) -> Snapshot {
        self.0.snapshot()
    }
}

impl Relay {
    /// Binds to `RELAY_PORT` of all that `RELAY_HOST` is on this machine.
    ///
    /// # Errors
    ///
    /// The operating system's own; one without a number of its kind is a host that does not
    /// resolve.
    pub fn bind(config: Config) -> io::Result<Self> {
        let tokens = TokenFile::open(&config)?;
        let listeners = listening::bind(&config.host, config.port)?;
        Self::new(listeners, Origin::Own, config, tokens)
    }

    /// Takes listeners that outlive this relay, as a service manager hands them over: one at least. When
    /// the relay stops, who connects meanwhile waits there for the next one.
    ///
    /// # Errors
    ///
    /// Where a listener has no address.
    pub fn inherit(listeners: Vec<TcpListener>, config: Config) -> io::Result<Self> {
        let tokens = TokenFile::open(&config)?;
        Self::new(listeners, Origin::Inherited, config, tokens)
    }

    fn new(
        listeners: Vec<TcpListener>,
        origin: Origin,
        mut config: Config,
        tokens: TokenFile,
    ) -> io::Result<Self> {
        let addresses = listeners.iter().map(TcpListener::local_addr);
        let addresses = addresses.collect::<io::Result<_>>()?;
        let handshakes = descriptors::fit(&mut config, listeners.len());
        let store = orders::store(&config);
        let settings = config.cluster();
        let state = State::new(config.clone());
        tokens.apply(&config, &state);
        let patience = nodes::patience(&config);
        let cluster = settings.map(|it| Cluster::new(&it, patience, Arc::clone(&state.rules)));
        let state = state.in_cluster(cluster.transpose()?.map(Arc::new));
        state
            .rules
            .merge(store.load(), Timestamp::now(), Instant::now());
        Ok(Self {
            addresses,
            origin,
            handshakes,
            listeners: listeners.into(),
            directory: Arc::new(Directory::new(state.live().config.workers)),
            state: Arc::new(state),
            store,
            tokens,
            // To nobody, unless somebody asks for them.
            orders: mpsc::channel(1).0,
        })
    }

    /// What the operator has the process do, for whoever runs the relay to follow. Without this the
    /// operator hears that nobody does.
    pub fn orders(&mut self) -> mpsc::Receiver<Order> {
        let (orders, receiver) = mpsc::channel(orders::WAITING);
        self.orders = orders;
        receiver
    }

    /// Where it listens: at one address, or at several.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What has it read its settings again, after it was started with this command line and this filter
    /// of its log.
    pub fn reload(
        &self,
        flags: ArgMatches,
        log_filter: Option<String>,
        file: Option<PathBuf>,
    ) -> Reload {
        Reload {
            running: Running {
                state: Arc::clone(&self.state),
                directory: Arc::clone(&self.directory),
                listeners: Arc::clone(&self.listeners),
                origin: self.origin,
                handshakes: self.handshakes,
            },
            flags,
            log_filter,
            file,
        }
    }

    /// Its event log, for whoever ends the process in a hurry.
    pub fn events(&self) -> Events {
        self.state.events.clone()
    }

    /// Its counters.
    pub fn counters(&self) -> Counters {
        Counters(Arc::clone(&self.state))
    }

    /// Serves until `shutdown` comes true, then lets pairs finish as PROTOCOL.md says. Must run
    /// in an actix system.
    ///
    /// # Errors
    ///
    /// Where a worker cannot listen, at the start or later.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let Self {
            listeners,
            addresses,
            origin,
            handshakes,
            state,
            directory,
            store,
            tokens,
            orders,
        } = self;
        let config = &state.live().config;
        state.events.start();
        // Before it is said: whoever finds the relay running finds its socket.
        let socket = orders::open(config);
        let decided = Arc::new(Notify::new());
        nodes::join(&state, &decided).await?;
        announce(&addresses, config);
        for listener in listeners.iter() {
            accept::prepare(listener, config, origin);
        }
        let (close, closed) = watch::channel(false);
        let start = Start {
            state: Arc::clone(&state),
            directory: Arc::clone(&directory),
            handshakes,
            closed,
            all: Arc::new(Barrier::new(config.workers)),
        };
        let (report_failure, mut failures) = mpsc::unbounded_channel();
        let threads = start_workers(&start, config.workers, &listeners, &report_failure)?;
        let watch = systemd::watch(Arc::clone(&state), Arc::clone(&directory));
        let watch = actix_rt::spawn(watch);
        let sampling = actix_rt::spawn(sampling::sample(Arc::clone(&state)));
        let renewing = actix_rt::spawn(tokens.keep(Arc::clone(&state)));
        let office = Office::new(Arc::clone(&state), Arc::clone(&directory), store, orders);
        let office = Arc::new(office);
        let elsewhere = Arc::clone(&office);
        let elsewhere = actix_rt::spawn(async move { elsewhere.follow(&decided).await });
        let (adjourn, adjourned) = oneshot::channel();
        let admin = socket.map(|socket| actix_rt::spawn(admin::serve(socket, office, adjourned)));
        let ended = match select(pin!(shutdown), pin!(failures.recv())).await {
            // Never without one: a sender is left here.
            Either::Right((failure, _)) => failure.map_or(Ok(()), Err),
            Either::Left(_) => {
                if origin == Origin::Inherited {
                    // Who connects from here on waits for the next process.
                    let _ = close.send(true);
                }
                drain::drain(&state, &directory, origin).await;
                Ok(())
            }
        };
        let _ = close.send(true);
        drop(adjourn);
        if let Some(admin) = admin {
            // To its end, in which it answers who has asked: it does not panic.
            let _ = admin.await;
        }
        watch.abort();
        sampling.abort();
        renewing.abort();
        elsewhere.abort();
        drain::all_told(&directory).await;
        for thread in threads {
            thread.stop();
        }
        state.events.end();
        if ended.is_ok() {
            info!("stopped");
        }
        drop(report_failure);
        ended
    }
}

/// Says where the relay listens, and what bounds it.
fn announce(addresses: &[SocketAddr], config: &Config) {
    let addresses: Vec<_> = addresses.iter().map(SocketAddr::to_string).collect();
    info!(
        "listening on {}: {} sessions, {} rooms of {:?}, messages of {} bytes (of receivers {}), \
         {} worker(s), trusting {:?}",
        addresses.join(", "),
        config.max_sessions,
        config.max_rooms,
        config.room_ttl,
        config.sender_message(),
        config.receiver_message(),
        config.workers,
        config.trusted_proxies,
    );
}

/// Starts the first of so many workers on this thread, and each other on one of its own, which it returns; one that
/// cannot listen reports it.
fn start_workers(
    start: &Start,
    workers: usize,
    listeners: &[TcpListener],
    report_failure: &mpsc::UnboundedSender<io::Error>,
) -> io::Result<Vec<Arbiter>> {
    let copies = || {
        let copies = listeners.iter().map(TcpListener::try_clone);
        copies.collect::<io::Result<Vec<_>>>()
    };
    let mut threads = Vec::new();
    for index in 1..workers {
        let (start, listeners) = (start.clone(), copies()?);
        let report_failure = report_failure.clone();
        let thread = Arbiter::try_with_tokio_rt(worker::runtime)?;
        thread.spawn_fn(move || {
            if let Err(error) = start.run(index, listeners) {
                // Nobody hears it if the relay has ended meanwhile.
                let _ = report_failure.send(cannot_listen(index, &error));
            }
        });
        threads.push(thread);
    }
    start.clone().run(0, copies()?)?;
    Ok(threads)
}

fn cannot_listen(worker: usize, error: &io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("worker {worker} cannot listen: {error}"),
    )
}
