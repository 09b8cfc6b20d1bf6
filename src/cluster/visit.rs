//! The way into another node's room: a WebSocket that this node opens there, in the place of its client.

use std::{
    collections::HashMap,
    fmt,
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use httparse::{EMPTY_HEADER, Response, Status};
use log::debug;
use relay_client::{
    stream::Stream,
    tcp::{Resolved, resolve},
    tls::Tls,
    url::Url,
};
use relay_wire::{
    code::RoomCode,
    ending::Ending,
    frame::{Header, Opcode},
    request::MAX_REQUEST,
};
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
    time::timeout,
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{
    Cluster, Unknown,
    counts::{self, Lookup},
    secret::Purpose,
    words::{Guest, Invitation, Node, Visit, Welcome, Why},
};

/// The header in which a node proves itself, in the request and in the answer.
pub const HEADER: &str = "x-relay-cluster";
/// What a visit may take until its client is let in.
const VISITING: Duration = Duration::from_secs(3);
/// What a look at a silent node may take.
const LOOKING: Duration = Duration::from_millis(500);
/// Bytes that the system holds of what comes from another node, where it holds twice what it is told. It is
/// for machines that are near each other: 128 KiB a millisecond.
const RECEIVED: u32 = 64 * 1024;
/// The longest head of an answer, and the most headers in it: a proxy may have added some.
const MAX_HEAD: usize = 8 * 1024;
const MAX_HEADERS: usize = 64;
/// How long a connection between nodes may be silent before its system asks the other, how often it asks, and
/// after how many questions without an answer it ends.
const ALIVE_AFTER: Duration = Duration::from_secs(5);
const ALIVE_EVERY: Duration = Duration::from_secs(2);
const ALIVE_TIMES: u32 = 3;

/// The way to a client's room.
pub struct Upstream {
    /// The connection to the node that has it.
    pub stream: Stream,
    /// What has come behind the room's answer already.
    pub rest: Vec<u8>,
}

/// What connections to other nodes need: TLS, by the host.
#[derive(Default)]
pub(super) struct Roads(Mutex<HashMap<String, Arc<Tls>>>);

/// Why a node is not reached.
#[derive(Debug)]
enum Failure {
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

/// A node that has answered.
struct Reached {
    stream: Stream,
    status: u16,
    welcome: Option<Welcome>,
    rest: Vec<u8>,
}

impl Cluster {
    /// Finds the room of a guest on another node, and brings the guest in.
    ///
    /// # Errors
    ///
    /// [`Ending::RoomNotFound`] where no node has it, [`Ending::ClusterUnavailable`] where nobody can say so
    /// or the one that has it is not reached, and what the room's node says.
    pub async fn visit(&self, guest: Guest) -> Result<Upstream, Ending> {
        let code = RoomCode::from_typed(&guest.code).ok_or(Ending::RoomNotFound)?;
        let began = Instant::now();
        let asked = timeout(VISITING, self.ask(self.keys.room(&code), Why::Join));
        let asked = asked.await.unwrap_or(Err(Unknown));
        let lookup = match asked {
            Ok(Some(_)) => Lookup::Found,
            Ok(None) => Lookup::Nowhere,
            Err(Unknown) => Lookup::Unknown,
        };
        self.counts.looked_up(lookup, began.elapsed());
        let invitation = match asked {
            Ok(Some(invitation)) => invitation,
            Ok(None) => return Err(Ending::RoomNotFound),
            Err(Unknown) => return Err(Ending::ClusterUnavailable),
        };
        let left = VISITING.saturating_sub(began.elapsed());
        let visited = timeout(left, self.come_in(invitation, guest)).await;
        let visited = visited.unwrap_or(Err(Ending::ClusterUnavailable));
        self.counts.visited(match visited {
            Ok(_) => counts::Visit::Joined,
            Err(Ending::ClusterUnavailable) => counts::Visit::Failed,
            Err(_) => counts::Visit::Refused,
        });
        visited
    }

    async fn come_in(&self, invitation: Invitation, guest: Guest) -> Result<Upstream, Ending> {
        let Invitation { address, ticket } = invitation;
        let entered = async {
            let url = Url::parse(&address).map_err(|error| Failure::Other(format!("{error:?}")))?;
            let reached = self.reach(&url, &Visit::Client { ticket, guest }).await?;
            match reached.status {
                101 if reached.welcome.is_some() => Ok(reached),
                status => Err(Failure::Other(format!("it answers with {status}"))),
            }
        };
        let reached = entered.await.map_err(|failure| {
            debug!("cluster: node {address} does not let a client in: {failure}");
            Ending::ClusterUnavailable
        })?;
        answered(reached).await
    }

    /// Whether no process is at a node's address, or another one than it was.
    pub(super) async fn is_dead(&self, node: &Node) -> bool {
        let Ok(url) = Url::parse(&node.address) else {
            return true;
        };
        match timeout(LOOKING, self.reach(&url, &Visit::Probe)).await {
            Ok(Err(Failure::Dead)) => true,
            Ok(Ok(Reached {
                welcome: Some(it), ..
            })) => it.id != node.id,
            Ok(Ok(_) | Err(Failure::Other(_))) | Err(_) => false,
        }
    }

    /// Whether a node answers at its address.
    pub async fn reaches(&self, node: &Node) -> bool {
        let Ok(url) = Url::parse(&node.address) else {
            return false;
        };
        let reached = timeout(LOOKING, self.reach(&url, &Visit::Probe)).await;
        matches!(reached, Ok(Ok(Reached { welcome: Some(it), .. })) if it.id == node.id)
    }

    /// Says this to the node at `url`, by the handshake of a WebSocket (RFC 6455 §4.1).
    async fn reach(&self, url: &Url, visit: &Visit) -> Result<Reached, Failure> {
        let mut stream = self.roads.connect(url).await?;
        let mut noise = [0; 16];
        getrandom::fill(&mut noise).map_err(|error| Failure::Other(error.to_string()))?;
        let key = STANDARD.encode(noise);
        let sealed = URL_SAFE_NO_PAD.encode(self.keys.say(Purpose::Visit, visit));
        let (host, path) = (url.authority(), &url.path);
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{HEADER}: {sealed}\r\n\r\n"
        );
        let failed = |error: io::Error| Failure::Other(error.to_string());
        stream.write_all(request.as_bytes()).await.map_err(failed)?;
        stream.flush().await.map_err(failed)?;
        let (head, rest) = read_head(&mut stream).await.map_err(failed)?;
        let mut headers = [EMPTY_HEADER; MAX_HEADERS];
        let mut response = Response::new(&mut headers);
        let status = match response.parse(&head) {
            Ok(Status::Complete(_)) => response.code.unwrap_or_default(),
            Ok(Status::Partial) | Err(_) => {
                return Err(Failure::Other("it speaks no HTTP".to_owned()));
            }
        };
        let header = |name: &str| {
            let mut headers = response.headers.iter();
            headers
                .find(|it| it.name.eq_ignore_ascii_case(name))
                .map(|it| it.value)
        };
        let accepts = header("sec-websocket-accept")
            .is_some_and(|it| it == derive_accept_key(key.as_bytes()).as_bytes());
        if status == 101 && !accepts {
            return Err(Failure::Other("it answers another handshake".to_owned()));
        }
        let welcome = header(HEADER).and_then(|it| URL_SAFE_NO_PAD.decode(it).ok());
        let welcome = welcome.and_then(|it| self.keys.hear::<Welcome>(Purpose::Welcome, &it));
        Ok(Reached {
            status,
            // Of another handshake it proves nothing.
            welcome: welcome.filter(|it| it.key == key),
            stream,
            rest,
        })
    }
}

impl Roads {
    async fn connect(&self, url: &Url) -> Result<Stream, Failure> {
        let addresses = match resolve(url).await {
            Ok(Resolved::Given(address)) => vec![address],
            Ok(Resolved::Found(addresses)) => addresses,
            Err(error) => return Err(Failure::Other(format!("{error:?}"))),
        };
        let mut failure = Failure::Other("it has no address".to_owned());
        for address in addresses {
            match connect(address).await {
                Ok(stream) if !url.tls => return Ok(Box::new(stream)),
                Ok(stream) => {
                    let secured = self.tls(&url.host)?.handshake(stream).await;
                    let secured = secured.map_err(|error| Failure::Other(format!("{error:?}")))?;
                    return Ok(secured.stream);
                }
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    failure = Failure::Dead
                }
                Err(error) => failure = Failure::Other(error.to_string()),
            }
        }
        Err(failure)
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

async fn connect(address: SocketAddr) -> io::Result<tokio::net::TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Before it connects, as the other is told how much fits.
    socket.set_recv_buffer_size(RECEIVED)?;
    socket.set_nodelay(true)?;
    let stream = socket.connect(address).await?;
    let options = socket2::SockRef::from(&stream);
    let alive = socket2::TcpKeepalive::new()
        .with_time(ALIVE_AFTER)
        .with_interval(ALIVE_EVERY)
        .with_retries(ALIVE_TIMES);
    options.set_tcp_keepalive(&alive)?;
    options.set_tcp_notsent_lowat(crate::flow::buffers::UNSENT)?;
    Ok(stream)
}

/// Reads a head, and what has come with it.
async fn read_head(stream: &mut Stream) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut read = Vec::with_capacity(1024);
    loop {
        let end = read.windows(4).position(|it| it == b"\r\n\r\n");
        if let Some(end) = end {
            let rest = read.split_off(end + 4);
            return Ok((read, rest));
        }
        if read.len() > MAX_HEAD {
            return Err(io::Error::other("its head is too long"));
        }
        if stream.read_buf(&mut read).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
}

/// What the node says first of the room.
#[derive(Deserialize)]
struct Said<'a> {
    r#type: &'a str,
    reason: Option<&'a str>,
}

/// Reads the room's answer to the guest.
async fn answered(reached: Reached) -> Result<Upstream, Ending> {
    let Reached {
        mut stream,
        rest: mut read,
        ..
    } = reached;
    loop {
        match Header::parse(&read) {
            Ok(Some((header, len))) if header.len as usize <= MAX_REQUEST => {
                let end = len + header.len as usize;
                if read.len() >= end {
                    let rest = read.split_off(end);
                    return match header.opcode {
                        Opcode::Text => granted(&read[len..]).map(|()| Upstream { stream, rest }),
                        _ => Err(Ending::ClusterUnavailable),
                    };
                }
            }
            Ok(None) => {}
            Ok(Some(_)) | Err(_) => return Err(Ending::ClusterUnavailable),
        }
        match stream.read_buf(&mut read).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return Err(Ending::ClusterUnavailable),
        }
    }
}

fn granted(answer: &[u8]) -> Result<(), Ending> {
    match serde_json::from_slice(answer) {
        Ok(Said {
            r#type: "ROOM_JOINED",
            ..
        }) => Ok(()),
        Ok(Said {
            reason: Some(reason),
            ..
        }) => Err(match Ending::from_name(reason) {
            Some(ending @ (Ending::RoomNotFound | Ending::RoomFull)) => ending,
            // It has troubles of its own.
            Some(_) | None => Ending::ClusterUnavailable,
        }),
        Ok(_) | Err(_) => Err(Ending::ClusterUnavailable),
    }
}
