//! Who is accepted, and when: the options of a listener, and how many connections may be on their way
//! to becoming sessions.
//!
//! A connection stays on the thread that accepted it, until it asks for a room of another. (A
//! listener thread that hands connections to workers, as actix-server has it, costs each of them two
//! more wake-ups.)

use std::{
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    os::fd::AsFd,
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use actix_http::{HttpService, KeepAlive, error::DispatchError};
use actix_rt::{
    net::{TcpListener, TcpStream},
    time::sleep,
};
use actix_service::{Service, ServiceFactory, map_config};
use actix_web::dev::AppConfig;
use futures_util::future::select;
use log::warn;
use socket2::{SockRef, TcpKeepalive};
use tokio::{sync::watch, task::yield_now};

use super::{
    desk::{Arrival, Desk, HEAD_TIMEOUT},
    handshake::Door,
    head::OneHead,
    pages,
    places::Places,
};
use crate::{
    config::Config,
    flow::{buffers::UNSENT, credit::Share},
    limits::address::{AddressKey, Trust},
    state::State,
};

/// Connections that may be on their way to becoming sessions, for each worker: whoever comes when
/// there are as many takes the place of another, so that a flood of half a handshake each can neither
/// grow memory nor keep others out.
pub const MAX_HANDSHAKES: usize = 1024;
/// Connections that have lost their place and are open still, for so many places one: when there are
/// as many, they are given the time to end before others are accepted.
pub const PLACES_FOR_ONE_LEAVING: usize = 32;
/// How long to wait when the system has no socket to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Connections that the system holds ready for us; beyond those it drops what clients send, and they
/// try again a second later. The system's own limit (`net.core.somaxconn`) may be lower.
const BACKLOG: i32 = 4096;

/// The longest silence that Linux lets keep-alive wait for (tcp(7)).
const LONGEST_KEEPALIVE: Duration = Duration::from_secs(32_767);

/// Who has made a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// This process.
    Own,
    /// The service manager: the listener outlives this process, and how many may wait on it is
    /// the manager's to say (`Backlog=`).
    Inherited,
}

/// Sets how many may wait on a listener, and what every socket it accepts is to have: they inherit
/// it.
///
/// An option that the system refuses is warned of, and done without.
pub fn prepare(listener: &impl AsFd, config: &Config, origin: Origin) {
    let listener = SockRef::from(listener);
    let warn_if_failed = |option: &str, result: io::Result<()>| {
        if let Err(error) = result {
            warn!("{option} cannot be set: {error}");
        }
    };
    if origin == Origin::Own {
        // The standard library lets 128 wait, which a burst of clients overruns.
        warn_if_failed("the backlog", listener.listen(BACKLOG));
    }
    // Else the system would take megabytes for who reads nothing.
    warn_if_failed("TCP_NOTSENT_LOWAT", listener.set_tcp_notsent_lowat(UNSENT));
    // Else every short answer would wait for the acknowledgement of the one before.
    warn_if_failed("TCP_NODELAY", listener.set_tcp_nodelay(true));
    // The system counts in whole seconds.
    let second = Duration::from_secs(1);
    let first = config.ping_interval.clamp(second, LONGEST_KEEPALIVE);
    let keepalive = TcpKeepalive::new().with_time(first);
    // Else the system would look again after 75 seconds.
    let keepalive = keepalive.with_interval(config.ping_interval.clamp(second, 5 * second));
    warn_if_failed("SO_KEEPALIVE", listener.set_tcp_keepalive(&keepalive));
    // For who is gone. Later than our own clock, since the system also counts a window that
    // stays closed although its reader reads, slowly and into a small buffer.
    let gone = Some(config.stall_timeout + config.ping_timeout);
    warn_if_failed("TCP_USER_TIMEOUT", listener.set_tcp_user_timeout(gone));
}

/// Accepts connections until `closed`, and serves them on this thread for as long as they last. At
/// most `places` of them are on their way to becoming sessions.
pub async fn accept(
    listeners: Vec<TcpListener>,
    door: Door,
    places: usize,
    mut closed: watch::Receiver<bool>,
) {
    let state = Arc::clone(&door.state);
    let Ok(pages) = pages(Arc::clone(&state)).new_service(()).await else {
        // Nothing in it can fail to start.
        return;
    };
    let desk = Rc::new(Desk::new(pages, door));
    let most_leaving = places.div_ceil(PLACES_FOR_ONE_LEAVING);
    let places = Places::new(places);
    let accepting = pin!(async {
        let mut leaving = 0;
        for turn in 0_usize.. {
            let (socket, peer) = next(&listeners, turn).await;
            let (place, lost, crowded) = places.take(whose(peer.ip(), &state.live().trust));
            let arrival = Arrival {
                socket,
                peer,
                place,
                lost,
                _counted: Share::take(&state.pools.handshakes, 1),
            };
            let desk = Rc::clone(&desk);
            actix_rt::spawn(async move { desk.serve(arrival).await });
            leaving += usize::from(crowded);
            if leaving == most_leaving {
                leaving = 0;
                yield_now().await;
            }
        }
    });
    select(accepting, pin!(closed.changed())).await;
}

/// Whose share of the places a connection takes: nobody's if it is a proxy's, through which anybody
/// comes.
fn whose(peer: IpAddr, trust: &Trust) -> Option<AddressKey> {
    let peer = peer.to_canonical();
    (!trust.covers(peer)).then(|| peer.into())
}

/// The next connection, however often the system has none to give. Each listener is the first to be
/// asked in its `turn`, so that a busy one keeps nobody waiting at another.
async fn next(listeners: &[TcpListener], mut turn: usize) -> (TcpStream, SocketAddr) {
    loop {
        let (later, first) = listeners.split_at(turn % listeners.len());
        let accepted = |task: &mut Context<'_>| {
            let mut asked = first
                .iter()
                .chain(later)
                .map(|listener| listener.poll_accept(task));
            asked.find(Poll::is_ready).unwrap_or(Poll::Pending)
        };
        // One that has nothing but errors to give keeps nobody waiting either.
        turn += 1;
        match poll_fn(accepted).await {
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

/// Plain HTTP on a socket.
fn pages(
    state: Arc<State>,
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
    let app = map_config(pages::app(state), |()| AppConfig::default());
    HttpService::build()
        // The head is there before this begins.
        .client_request_timeout(Duration::ZERO)
        .client_disconnect_timeout(HEAD_TIMEOUT)
        .keep_alive(KeepAlive::Disabled)
        .h1(app)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{path::Path, process::Command};

    use relay_testing::skip::{find, skip};
    use socket2::SockRef;

    use super::*;

    #[actix_rt::test]
    async fn a_burst_of_connections_waits_until_they_are_accepted() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        prepare(&listener, &Config::default(), Origin::Own);
        let address = listener.local_addr().unwrap();
        // Each is connected before anybody accepts it, or else the system has dropped it.
        let mut waiting = Vec::new();
        for _ in 0..200 {
            let within = Duration::from_millis(900);
            waiting.push(std::net::TcpStream::connect_timeout(&address, within).unwrap());
        }
    }

    /// How many may wait on a listener, as `ss` tells.
    fn backlog(ss: &Path, listener: &TcpListener) -> u32 {
        let port = listener.local_addr().unwrap().port().to_string();
        let listing = Command::new(ss)
            .args(["-Hltn", "sport", "=", &format!(":{port}")])
            .output()
            .unwrap();
        let listing = String::from_utf8(listing.stdout).unwrap();
        // State, bytes or connections that wait, and how many may.
        let most = listing.split_whitespace().nth(2);
        most.unwrap().parse().unwrap()
    }

    #[actix_rt::test]
    async fn a_listener_of_the_service_manager_keeps_its_backlog() {
        let Some(ss) = find("ss") else {
            return skip("ss");
        };
        let made = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let with_backlog = |most| {
            let socket = made().unwrap();
            let any: SocketAddr = ([127, 0, 0, 1], 0).into();
            socket.bind(&any.into()).unwrap();
            socket.listen(most).unwrap();
            socket.set_nonblocking(true).unwrap();
            TcpListener::from_std(socket.into()).unwrap()
        };
        let inherited = with_backlog(7);
        prepare(&inherited, &Config::default(), Origin::Inherited);
        assert_eq!(backlog(&ss, &inherited), 7);
        let own = with_backlog(7);
        prepare(&own, &Config::default(), Origin::Own);
        assert!(backlog(&ss, &own) > 7);
    }

    #[actix_rt::test]
    async fn accepted_sockets_inherit_what_is_set_on_the_listener() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = Config {
            // Longer than the system lets keep-alive wait.
            ping_interval: Duration::from_secs(86_400),
            ..Config::default()
        };
        prepare(&listener, &config, Origin::Own);
        let _client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (socket, _) = next(&[listener], 0).await;
        let socket = SockRef::from(&socket);
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert!(socket.tcp_user_timeout().unwrap() >= Some(config.stall_timeout));
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), UNSENT);
    }
}
