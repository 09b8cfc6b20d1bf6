//! The way into another node's room: a WebSocket that this node opens there, in the place of its client.

use std::{
    io::{self, ErrorKind},
    time::{Duration, Instant},
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use httparse::{EMPTY_HEADER, Response, Status};
use relay_client::{stream::Stream, url::Url};
use relay_wire::{
    code::RoomCode,
    ending::Ending,
    frame::{Header, Opcode},
    request::MAX_REQUEST,
};
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{
    Cluster, Unknown,
    counts::{self, Lookup},
    roads::Failure,
    secret::Purpose,
    words::{Guest, Invitation, Node, Visit, Welcome, Why},
};
use crate::{limits::address::AddressKey, observe::logging::log_client};

/// The header in which a node proves itself, in the request and in the answer.
pub const HEADER: &str = "x-relay-cluster";
/// What a visit may take until its client is let in.
const VISITING: Duration = Duration::from_secs(3);
/// What a look at a silent node may take.
const LOOKING: Duration = Duration::from_millis(500);
/// The longest head of an answer, and the most headers in it: a proxy may have added some.
const MAX_HEAD: usize = 8 * 1024;
const MAX_HEADERS: usize = 64;

/// The way to a client's room.
pub struct Upstream {
    /// The connection to the node that has it.
    pub stream: Stream,
    /// What has come behind the room's answer already.
    pub rest: Vec<u8>,
    /// Seconds that the room still lives, where the guest is its sender.
    pub expires_in: u64,
    /// Seconds that the room waits for its sender, where the guest is that.
    pub resume_within: u64,
}

/// A node that has answered.
struct Reached {
    stream: Stream,
    status: u16,
    welcome: Option<Welcome>,
    rest: Vec<u8>,
}

impl Cluster {
    /// Finds the room of a guest on another node, and brings the guest in; `None` where no node has it.
    ///
    /// # Errors
    ///
    /// [`Ending::ClusterUnavailable`] where nobody can say whether one has it or the one that has it is not reached,
    /// and what the room's node says.
    pub async fn visit(&self, guest: Guest) -> Result<Option<Upstream>, Ending> {
        let code = RoomCode::from_typed(&guest.code).ok_or(Ending::RoomNotFound)?;
        let began = Instant::now();
        let why = match guest.resume {
            Some(_) => Why::Resume,
            None => Why::Join,
        };
        let asked = timeout(VISITING, self.ask(self.keys.room(&code), why));
        let asked = asked.await.unwrap_or(Err(Unknown));
        let lookup = match asked {
            Ok(Some(_)) => Lookup::Found,
            Ok(None) => Lookup::Nowhere,
            Err(Unknown) => Lookup::Unknown,
        };
        self.counts.looked_up(lookup, began.elapsed());
        let invitation = match asked {
            Ok(Some(invitation)) => invitation,
            Ok(None) => return Ok(None),
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
        visited.map(Some)
    }

    async fn come_in(&self, invitation: Invitation, guest: Guest) -> Result<Upstream, Ending> {
        let Invitation { address, ticket } = invitation;
        let client = AddressKey::from(guest.client);
        let entered = async {
            let url = Url::parse(&address).map_err(|error| Failure::Other(format!("{error:?}")))?;
            let reached = self.reach(&url, &Visit::Client { ticket, guest }).await?;
            match reached.status {
                101 if reached.welcome.is_some() => Ok(reached),
                status => Err(Failure::Other(format!("it answers with {status}"))),
            }
        };
        let reached = entered.await.map_err(|failure| {
            log_client!(
                Warn,
                client,
                "cluster: node {address} does not let a client in: {failure}"
            );
            Ending::ClusterUnavailable
        })?;
        answered(reached).await
    }

    /// Whether no process is at a node's address, or another one than it was.
    pub(super) async fn is_dead(&self, node: &Node) -> bool {
        match self.probe(node).await {
            Ok(Reached {
                welcome: Some(it), ..
            }) => it.id != node.id || it.leaves,
            // A proxy is there, which has TLS for it, and nobody behind that.
            Ok(Reached { status: 502, .. }) | Err(Failure::Dead) => true,
            Ok(_) | Err(Failure::Other(_)) => false,
        }
    }

    /// Whether a node answers at its address.
    pub async fn reaches(&self, node: &Node) -> bool {
        let is_node = |it: Welcome| it.id == node.id && !it.leaves;
        self.probe(node)
            .await
            .is_ok_and(|it| it.welcome.is_some_and(is_node))
    }

    /// Looks who is at a node's address: nobody can be at one that is none.
    async fn probe(&self, node: &Node) -> Result<Reached, Failure> {
        let url = Url::parse(&node.address).map_err(|_| Failure::Dead)?;
        let reached = timeout(LOOKING, self.reach(&url, &Visit::Probe)).await;
        reached.unwrap_or_else(|late| Err(Failure::Other(late.to_string())))
    }

    /// Says this to the node at `url`, by the handshake of a WebSocket (RFC 6455 §4.1).
    async fn reach(&self, url: &Url, visit: &Visit) -> Result<Reached, Failure> {
        let mut stream = self.roads.connect(url).await?;
        let mut noise = [0; 16];
        getrandom::fill(&mut noise).map_err(|error| Failure::Other(error.to_string()))?;
        let key = STANDARD.encode(noise);
        let sealed = URL_SAFE_NO_PAD.encode(self.keys.say(Purpose::Visit, "", visit));
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
        let welcome = welcome.and_then(|it| self.keys.hear::<Welcome>(Purpose::Welcome, "", &it));
        let welcome = welcome.map(|(_, it)| it);
        Ok(Reached {
            status,
            // Of another handshake it proves nothing.
            welcome: welcome.filter(|it| it.key == key),
            stream,
            rest,
        })
    }
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
    #[serde(default)]
    expires_in: u64,
    #[serde(default)]
    resume_within: u64,
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
                        Opcode::Text => {
                            granted(&read[len..]).map(|[expires_in, resume_within]| Upstream {
                                stream,
                                rest,
                                expires_in,
                                resume_within,
                            })
                        }
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

/// What the room's answer says of its life and of how long it waits, where it lets the guest in.
fn granted(answer: &[u8]) -> Result<[u64; 2], Ending> {
    match serde_json::from_slice(answer) {
        Ok(Said {
            r#type: "ROOM_JOINED" | "ROOM_RESUMED",
            expires_in,
            resume_within,
            ..
        }) => Ok([expires_in, resume_within]),
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// What becomes of a node at whose address this is answered.
    async fn is_dead(answer: &'static str) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("ws://{}", listener.local_addr().unwrap());
        let answering = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1024];
            assert!(stream.read(&mut head).await.unwrap() > 0);
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let node = Node {
            address,
            ..Cluster::alone().own().clone()
        };
        let dead = Cluster::alone().is_dead(&node).await;
        answering.await.unwrap();
        dead
    }

    #[tokio::test]
    async fn a_node_is_dead_where_its_own_proxy_does_not_reach_it() {
        assert!(is_dead("HTTP/1.1 502 Bad Gateway\r\n\r\n").await);
        // These tell nothing of it.
        assert!(!is_dead("HTTP/1.1 503 Service Unavailable\r\n\r\n").await);
        assert!(!is_dead("HTTP/1.1 403 Forbidden\r\n\r\n").await);
    }
}
