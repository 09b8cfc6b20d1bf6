//! A whole relay: it binds, runs its workers, and stops.
//!
//! | module | contents |
//! |---|---|
//! | [`worker`] | a worker's thread |
//! | `descriptors` | how many connections the system's limit of open files has room for |
//! | `drain` | how a relay stops |
//! | [`systemd`] | the service manager: its socket, and what it wants to hear |

mod descriptors;
mod drain;
pub mod systemd;
pub mod worker;

use std::{
    future::Future,
    io,
    net::{SocketAddr, TcpListener},
    pin::pin,
    sync::Arc,
};

use actix_rt::Arbiter;
use futures_util::future::{Either, select};
use log::info;
use tokio::sync::{mpsc, watch};

use self::worker::Start;
use crate::{
    actors::directory::Directory, config::Config, http::accept::Origin, observe::metrics::Snapshot,
    state::State,
};

/// A relay that is bound to its port.
pub struct Relay {
    listener: TcpListener,
    address: SocketAddr,
    origin: Origin,
    /// Connections that may be on their way to becoming sessions, for each worker.
    handshakes: usize,
    state: Arc<State>,
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
    /// Binds to `RELAY_HOST` and `RELAY_PORT`.
    ///
    /// # Errors
    ///
    /// The operating system's own; one without a number of its kind is a host that does not
    /// resolve.
    pub fn bind(config: Config) -> io::Result<Self> {
        let listener = TcpListener::bind((config.host.as_str(), config.port))?;
        Self::new(listener, Origin::Own, config)
    }

    /// Takes a listener that outlives this relay, as a service manager hands it over. When the
    /// relay stops, who connects meanwhile waits there for the next one.
    ///
    /// # Errors
    ///
    /// Where the listener has no address.
    pub fn inherit(listener: TcpListener, config: Config) -> io::Result<Self> {
        Self::new(listener, Origin::Inherited, config)
    }

    fn new(listener: TcpListener, origin: Origin, mut config: Config) -> io::Result<Self> {
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            origin,
            handshakes: descriptors::fit(&mut config),
            state: Arc::new(State::new(config)),
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
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
            listener,
            address,
            origin,
            handshakes,
            state,
        } = self;
        let config = &state.config;
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
        let start = Start {
            state: Arc::clone(&state),
            directory: Arc::new(Directory::new(config.workers)),
            origin,
            handshakes,
            closed,
        };
        let (report_failure, mut failures) = mpsc::unbounded_channel();
        let mut threads = Vec::new();
        for index in 1..config.workers {
            let (start, listener) = (start.clone(), listener.try_clone()?);
            let report_failure = report_failure.clone();
            let thread = Arbiter::try_with_tokio_rt(worker::runtime)?;
            thread.spawn_fn(move || {
                if let Err(error) = start.run(index, listener) {
                    // Nobody hears it if the relay has ended meanwhile.
                    let _ = report_failure.send(cannot_listen(index, &error));
                }
            });
            threads.push(thread);
        }
        start.clone().run(0, listener)?;
        let directory = start.directory;
        let watch = systemd::watch(Arc::clone(&state), Arc::clone(&directory));
        let watch = actix_rt::spawn(watch);
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
        watch.abort();
        for thread in threads {
            thread.stop();
        }
        if ended.is_ok() {
            info!("stopped");
        }
        drop(report_failure);
        ended
    }
}

fn cannot_listen(worker: usize, error: &io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("worker {worker} cannot listen: {error}"),
    )
}
