//! One worker thread: it accepts connections, and has a registry for what becomes of them.
//!
//! A connection stays on the thread that accepted it, until it asks for a room of another. (A
//! listener thread that hands connections to workers, as actix-server has it, costs each of them two
//! more wake-ups.)

use std::{io, net::SocketAddr, ops::Deref, pin::pin, rc::Rc, sync::Arc, time::Duration};

use actix::Addr;
use actix_http::{HttpService, KeepAlive, error::DispatchError};
use actix_rt::{
    System, SystemRunner,
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use actix_service::{Service, ServiceFactory, fn_factory, fn_service, map_config};
use actix_web::dev::AppConfig;
use futures_util::future::select;
use log::{debug, warn};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{Semaphore, watch},
};

use crate::{
    http::{self, OneHead},
    registry::RoomRegistry,
    server::Shared,
    transport::credit::Credit,
};

/// What the head of an HTTP request may take, and then the rest: its answer, for who gets no session.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that may be on their way to becoming sessions, for each worker. Over it the rest
/// wait in the system's queue, so that a flood of half a handshake each cannot grow memory.
pub const MAX_HANDSHAKES: usize = 1024;
/// How long to wait when the system has no socket to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Sockets that the runtime takes up at a time when many have something to say. What they bring is
/// forwarded and written before the next are looked at, while it is still in the processor's cache,
/// and the rest waits where it costs us nothing: with the system. Taken up all at once, as is the
/// runtime's own default, a thousand busy rooms would have all that they send in our memory. Whoever
/// goes on reading without waiting for its socket stands in a line of its own (`session::wire`).
const SOCKETS_AT_A_TIME: usize = 16;

/// A system whose first worker runs on the thread it is made on.
pub fn system() -> io::Result<SystemRunner> {
    runtime().map(|runtime| System::with_tokio_rt(|| runtime))
}

/// What runs the thread of another worker.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .max_io_events_per_tick(SOCKETS_AT_A_TIME)
        .build()
}

/// What is common to all workers, and the registry of this one.
pub struct Worker {
    shared: Arc<Shared>,
    /// The registry on this thread.
    pub registry: Addr<RoomRegistry>,
}

impl Deref for Worker {
    type Target = Arc<Shared>;

    fn deref(&self) -> &Self::Target {
        &self.shared
    }
}

impl Worker {
    /// Starts the registry of one worker, on the thread it is called on.
    pub fn begin(shared: Arc<Shared>, index: usize) -> Self {
        let registry = RoomRegistry::begin(Arc::clone(&shared), index);
        Self { shared, registry }
    }

    /// Accepts connections until `closed`, and serves them on this thread for as long as they last.
    pub async fn accept(self, listener: TcpListener, mut closed: watch::Receiver<bool>) {
        http::prepare(&listener, &self.config);
        let shared = Arc::clone(&self.shared);
        let Ok(service) = service(Rc::new(self)).new_service(()).await else {
            // Nothing in it can fail to start.
            return;
        };
        let handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
        let accepting = pin!(async {
            while let Ok(permit) = Arc::clone(&handshakes).acquire_owned().await {
                let (socket, peer) = next(&listener).await;
                let serving = service.call((OneHead::new(socket), Some(peer)));
                let counted = Credit::charge(&shared.totals.handshakes, 1);
                actix_rt::spawn(async move {
                    match timeout(2 * HEAD_TIMEOUT, serving).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => debug!("a connection ended before its upgrade: {error}"),
                        Err(_) => debug!("a connection took too long over one request"),
                    }
                    drop((permit, counted));
                });
            }
        });
        select(accepting, pin!(closed.changed())).await;
    }
}

/// The next connection, however often the system has none to give.
async fn next(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // Gone before we came to it: that says nothing of the next.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                warn!("no connection can be accepted: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// HTTP on a socket, up to the point where it becomes a WebSocket.
fn service(
    worker: Rc<Worker>,
) -> impl ServiceFactory<
    (OneHead, Option<SocketAddr>),
    Config = (),
    Response = (),
    Error = DispatchError,
    InitError = (),
    Service: Service<
        (OneHead, Option<SocketAddr>),
        Response = (),
        Error = DispatchError,
        Future: 'static,
    >,
> {
    let app = map_config(http::app(Arc::clone(&worker.shared)), |()| {
        AppConfig::default()
    });
    HttpService::build()
        .client_request_timeout(HEAD_TIMEOUT)
        .client_disconnect_timeout(HEAD_TIMEOUT)
        .keep_alive(KeepAlive::Disabled)
        .upgrade(fn_factory(move || {
            let worker = Rc::clone(&worker);
            async move {
                Ok::<_, ()>(fn_service(move |(request, framed)| {
                    let worker = Rc::clone(&worker);
                    async move { http::upgrade(request, framed, &worker).await }
                }))
            }
        }))
        .h1(app)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use socket2::SockRef;

    use super::*;
    use crate::config::Config;

    #[actix_rt::test]
    async fn a_burst_of_connections_waits_until_they_are_accepted() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        http::prepare(&listener, &Config::default());
        let address = listener.local_addr().unwrap();
        // Each is connected before anybody accepts it, or else the system has dropped it.
        let mut waiting = Vec::new();
        for _ in 0..200 {
            let within = Duration::from_millis(900);
            waiting.push(std::net::TcpStream::connect_timeout(&address, within).unwrap());
        }
    }

    #[actix_rt::test]
    async fn accepted_sockets_inherit_what_is_set_on_the_listener() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = Config {
            // Longer than the system lets keep-alive wait.
            ping_interval: Duration::from_secs(86_400),
            ..Config::default()
        };
        http::prepare(&listener, &config);
        let _client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (socket, _) = next(&listener).await;
        let socket = SockRef::from(&socket);
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        #[cfg(target_os = "linux")]
        {
            assert!(socket.tcp_user_timeout().unwrap() >= Some(config.stall_timeout));
        }
    }
}
