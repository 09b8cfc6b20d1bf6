//! One worker thread: its runtime, its registry, and the connections it accepts.

use std::{io, net::TcpListener, sync::Arc};

use actix_rt::{System, SystemRunner};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{Barrier, watch},
};

use crate::{
    actors::directory::Directory,
    http::{accept, handshake::Door},
    state::State,
};

/// Sockets that the runtime takes up at a time when many have something to say. What they bring is
/// forwarded and written before the next are looked at, while it is still in the processor's cache,
/// and the rest waits where it costs us nothing: with the system. Taken up all at once, as is the
/// runtime's own default, a thousand busy rooms would have all that they send in our memory. Whoever
/// goes on reading without waiting for its socket stands in a line of its own (`actors::session::socket`).
const SOCKETS_AT_A_TIME: usize = 16;

/// A system whose first worker runs on the thread it is made on.
///
/// # Errors
///
/// Where the system has no more files for a runtime.
pub fn system() -> io::Result<SystemRunner> {
    runtime().map(|runtime| System::with_tokio_rt(|| runtime))
}

/// What runs the thread of another worker.
///
/// # Errors
///
/// As of [`system`].
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .max_io_events_per_tick(SOCKETS_AT_A_TIME)
        .build()
}

/// What a worker is started with.
#[derive(Clone)]
pub(super) struct Start {
    pub(super) state: Arc<State>,
    pub(super) directory: Arc<Directory>,
    /// Connections that may be on their way to becoming sessions.
    pub(super) handshakes: usize,
    /// Becomes true when no more connections are to be accepted.
    pub(super) closed: watch::Receiver<bool>,
    /// Where all workers wait for each other before they accept anybody: a client may ask for the room of any.
    pub(super) all: Arc<Barrier>,
}

impl Start {
    /// Starts worker `index` on the thread it is called on. It accepts connections once all workers have started.
    ///
    /// # Errors
    ///
    /// Where the runtime cannot wait on a listener.
    pub(super) fn run(self, index: usize, listeners: Vec<TcpListener>) -> io::Result<()> {
        let waited_on = |listener: TcpListener| {
            listener.set_nonblocking(true)?;
            actix_rt::net::TcpListener::from_std(listener)
        };
        let listeners: io::Result<_> = listeners.into_iter().map(waited_on).collect();
        let listeners = listeners?;
        let door = Door {
            registry: self.directory.begin(&self.state, index),
            state: self.state,
            directory: self.directory,
        };
        let accepting = accept::accept(listeners, door, self.handshakes, self.closed);
        actix_rt::spawn(async move {
            self.all.wait().await;
            accepting.await;
        });
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{fs::File, os::fd::OwnedFd};

    use super::*;
    use crate::config::Config;

    #[actix_rt::test]
    async fn a_listener_that_is_none_is_an_error_and_no_worker() {
        let directory = Arc::new(Directory::new(1));
        let (_close, closed) = watch::channel(false);
        let start = Start {
            state: Arc::new(State::new(Config::default())),
            directory: Arc::clone(&directory),
            handshakes: 1,
            closed,
            all: Arc::new(Barrier::new(1)),
        };
        let file = File::open("/proc/self/exe").unwrap();
        let listener = TcpListener::from(OwnedFd::from(file));
        assert!(start.run(0, vec![listener]).is_err());
        assert_eq!(directory.registries().count(), 0);
    }
}
