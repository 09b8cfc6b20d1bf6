//! Connections to other nodes, with TLS where their address says so.

use std::{
    collections::HashMap,
    fmt,
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use relay_client::{
    stream::Stream,
    tcp::{Resolved, resolve},
    tls::Tls,
    url::Url,
};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream};

use crate::flow::buffers::UNSENT;

/// Bytes that the system holds in each direction at each end of a connection between two nodes; it doubles this, for
/// what it takes beside them. Left alone it would be megabytes, and with half of this a node between two others takes a
/// quarter more time. It is for machines that are near each other: 128 KiB a round trip.
const HELD: u32 = 128 * 1024;
/// How long a connection between nodes may be silent before its system asks the other, how often it asks, and
/// after how many questions without an answer it ends.
const ALIVE_AFTER: Duration = Duration::from_secs(5);
const ALIVE_EVERY: Duration = Duration::from_secs(2);
const ALIVE_TIMES: u32 = 3;
/// How long what is sent may be without an answer. The system also counts a window that stays closed, which it does for
/// as long as a room's sender takes nothing: a session has its own time for that (`RELAY_STALL_TIMEOUT`).
const LOST_AFTER: Duration = Duration::from_secs(90);

/// What connections to other nodes need: TLS, by the host.
#[derive(Default)]
pub(super) struct Roads(Mutex<HashMap<String, Arc<Tls>>>);

/// Why a node is not reached.
#[derive(Debug)]
pub(super) enum Failure {
    /// No process is there.
    Dead,
    /// Anything else: it may be alive.
    Other(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dead => "nobody listens there",
            Self::Other(why) => why,
        })
    }
}

impl Roads {
    pub(super) async fn connect(&self, url: &Url) -> Result<Stream, Failure> {
        let addresses = match resolve(url).await {
            Ok(Resolved::Given(address)) => vec![address],
            Ok(Resolved::Found(addresses)) => addresses,
            Err(error) => return Err(Failure::Other(format!("{error:?}"))),
        };
        let mut failure = None;
        for address in addresses {
            match connect(address).await {
                Ok(stream) if !url.tls => return Ok(Box::new(stream)),
                Ok(stream) => {
                    let secured = self.tls(&url.host)?.handshake(stream).await;
                    let secured = secured.map_err(|error| Failure::Other(format!("{error:?}")))?;
                    return Ok(secured.stream);
                }
                // Only if nobody is at any of its addresses, nobody is there.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    failure.get_or_insert(Failure::Dead);
                }
                Err(error) => failure = Some(Failure::Other(error.to_string())),
            }
        }
        Err(failure.unwrap_or(Failure::Other("it has no address".to_owned())))
    }

    /// What TLS with this host needs: to read what this machine trusts takes milliseconds.
    fn tls(&self, host: &str) -> Result<Arc<Tls>, Failure> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tls) = known.get(host) {
            return Ok(Arc::clone(tls));
        }
        let tls = Tls::new(host).map_err(|error| Failure::Other(format!("{error:?}")))?;
        let tls = Arc::new(tls);
        known.insert(host.to_owned(), Arc::clone(&tls));
        Ok(tls)
    }
}

/// Has the system hold as little of a connection that another node has opened.
pub fn hold_little(socket: &TcpStream) {
    let socket = SockRef::from(socket);
    // Where it refuses, it holds more.
    let _ = socket.set_recv_buffer_size(HELD as usize);
    let _ = socket.set_send_buffer_size(HELD as usize);
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Before it connects, as the other is told how much fits.
    socket.set_recv_buffer_size(HELD)?;
    socket.set_send_buffer_size(HELD)?;
    socket.set_nodelay(true)?;
    let stream = socket.connect(address).await?;
    let options = SockRef::from(&stream);
    let alive = TcpKeepalive::new()
        .with_time(ALIVE_AFTER)
        .with_interval(ALIVE_EVERY)
        .with_retries(ALIVE_TIMES);
    options.set_tcp_keepalive(&alive)?;
    options.set_tcp_notsent_lowat(UNSENT)?;
    options.set_tcp_user_timeout(Some(LOST_AFTER))?;
    Ok(stream)
}
