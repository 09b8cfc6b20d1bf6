//! What the operator is shown of the cluster, as this node sees it.

use std::time::Instant;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use super::{Cluster, Standing, peers::Peer};

/// Nodes that are looked at for one answer.
const LOOKED_AT: usize = 64;

/// The cluster, as a node sees it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct View {
    /// Where the others reach this node.
    pub address: String,
    /// How it stands to NATS.
    pub nats: Nats,
    /// Clients of this node that are in rooms of others.
    pub pipes: u64,
    /// The others, by their address.
    pub nodes: Vec<Other>,
}

/// What NATS says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Nats {
    /// Whether it is reached.
    pub reached: bool,
    /// For how long that has been so.
    pub seconds: u64,
    /// The server that answers, as it calls itself.
    pub server: Option<String>,
    /// What it, or the way to it, complained of last.
    pub complaint: Option<Complaint>,
    /// Whether another node has this one's address, so that this one may not take part.
    pub address_taken: bool,
}

/// Something that was wrong.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Complaint {
    /// What.
    pub text: String,
    /// How long ago.
    pub seconds: u64,
}

/// Another node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Other {
    /// Where it is reached.
    pub address: String,
    /// How long ago it was heard of, by NATS.
    pub heard_seconds: u64,
    /// Whether it answers this node at its address, where it was looked at.
    pub reachable: Option<bool>,
    /// Whether it is behind with an answer, so that what no other node has may be its.
    pub doubtful: bool,
    /// Whether it is not heard of any more.
    pub silent: bool,
}

/// How many others a word goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audience {
    /// Whether any of them hears it now.
    pub reached: bool,
    /// Those that are known.
    pub nodes: usize,
    /// Those of them that are not heard of.
    pub silent: usize,
}

impl Cluster {
    /// What there is to see, with a look at the other nodes' addresses.
    pub async fn view(&self) -> View {
        let now = Instant::now();
        let peers = self.known().peers.all();
        let looks = peers.into_iter().enumerate().map(async |(place, peer)| {
            let reachable = match place {
                ..LOOKED_AT => Some(self.reaches(&peer.node).await),
                _ => None,
            };
            Other::new(peer, reachable, now)
        });
        View {
            address: self.own.address.clone(),
            nats: self.nats(now),
            pipes: self.counts.pipes() as u64,
            nodes: join_all(looks).await,
        }
    }

    /// What NATS says.
    fn nats(&self, now: Instant) -> Nats {
        let standing = self.standing.borrow().clone();
        let address_taken = matches!(standing, Standing::Refused(_));
        let seconds = |since: Instant| now.saturating_duration_since(since).as_secs();
        let known = self.known();
        Nats {
            reached: !matches!(standing, Standing::Apart),
            seconds: seconds(known.turned),
            server: match standing {
                Standing::Joined(nats, _) => Some(server(&nats)),
                Standing::Apart | Standing::Refused(_) => None,
            },
            complaint: known.complaint.as_ref().map(|(text, at)| Complaint {
                text: text.clone(),
                seconds: seconds(*at),
            }),
            address_taken,
        }
    }

    /// Who hears what this node says now.
    pub fn audience(&self) -> Audience {
        let (now, known) = (Instant::now(), self.known());
        let peers = known.peers.all();
        Audience {
            reached: self.is_joined(),
            nodes: peers.len(),
            silent: peers.iter().filter(|it| it.is_silent(now)).count(),
        }
    }
}

impl Other {
    fn new(peer: Peer, reachable: Option<bool>, now: Instant) -> Self {
        let silent = peer.is_silent(now);
        Self {
            heard_seconds: now.saturating_duration_since(peer.heard).as_secs(),
            address: peer.node.address,
            reachable,
            doubtful: peer.doubtful,
            silent,
        }
    }
}

/// A server of NATS by its name, if somebody has given it one, and its address.
fn server(nats: &async_nats::Client) -> String {
    let info = nats.server_info();
    let address = format!("{}:{}", info.host, info.port);
    match info.server_name.is_empty() || info.server_name == info.server_id {
        true => address,
        false => format!("{} ({address})", info.server_name),
    }
}
