//! A cluster of relays: nodes that are processes, and a nats-server of their own.

use std::{
    net::SocketAddr,
    ops::Index,
    sync::atomic::{AtomicU8, Ordering::SeqCst},
    time::Duration,
};

pub use crate::nats::{Nats, SECRET, nats_url};
use crate::{
    client::Client,
    process::{Relay, Start},
    wait::within,
};

/// A code that nobody is given: `b` is none of the characters of a code's.
pub const NO_CODE: &str = "bbbbbb";

/// How often a client comes again: a node answers some refusals a second at once, and holds back more.
const AGAIN: Duration = Duration::from_millis(250);

impl Start {
    /// A node of the cluster that finds itself at this NATS, reached by the others where it listens. Its log
    /// has what the cluster says.
    pub fn in_cluster(self, nats: &str) -> Self {
        let address = format!("ws://{}", self.addr());
        self.env("RUST_LOG", "warn,claude_distill_relay::cluster=info")
            .env("RELAY_CLUSTER_NATS", nats)
            .env("RELAY_CLUSTER_ADDRESS", address)
            .env("RELAY_CLUSTER_SECRET", SECRET)
    }
}

/// Three nodes that know each other, and their nats-server.
pub struct Cluster {
    /// The nodes.
    pub nodes: Vec<Relay>,
    /// Where they find each other.
    pub nats: Nats,
}

impl Cluster {
    /// Starts it; `None`, and said so, where no nats-server is installed.
    pub async fn start() -> Option<Self> {
        Self::with(|_, start| start).await
    }

    /// The same, with settings for each node by its number.
    pub async fn with(adjust: impl Fn(usize, Start) -> Start) -> Option<Self> {
        let nats = Nats::start()?;
        let url = nats.url();
        let start = |number| adjust(number, Start::new().in_cluster(&url)).run();
        let nodes: Vec<_> = (0..3).map(start).collect();
        let mut cluster = Self { nodes, nats };
        cluster.meet().await;
        Some(cluster)
    }

    /// Waits until each node has heard of all others, and knows which rooms there are.
    pub async fn meet(&mut self) {
        let others = self.nodes.len() - 1;
        for node in &mut self.nodes {
            for _ in 0..others {
                node.line_with(" is here");
            }
        }
        for node in &self.nodes {
            until_settled(node.addr()).await;
        }
    }
}

impl Index<usize> for Cluster {
    type Output = Relay;

    fn index(&self, number: usize) -> &Relay {
        &self.nodes[number]
    }
}

/// What a node answers to a code in the end: the client comes again while the answer is `cluster_unavailable`, as it is
/// after a moment in which the machine stood still.
pub async fn answer_in_the_end(client: &mut Client, code: &str) -> String {
    let asking = async {
        loop {
            let told = client.try_code(code).await;
            if told != "cluster_unavailable" {
                return told;
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    within("an answer to a code", asking).await
}

/// Joins a room that is there, however often that takes; it is never said not to be.
pub async fn join_in_the_end(node: SocketAddr, code: &str) -> Client {
    let mut client = Client::at(node).await;
    let told = answer_in_the_end(&mut client, code).await;
    assert_eq!(told, "ROOM_JOINED", "of a room that is there");
    client
}

/// A pair, each on a node of its own.
pub async fn pair_across(from: SocketAddr, to: SocketAddr) -> (Client, Client) {
    let mut sender = Client::at(from).await;
    let code = sender.create_room().await;
    let receiver = join_in_the_end(to, &code).await;
    sender.expect_peer().await;
    (sender, receiver)
}

/// Waits until a node can say that a code is nowhere. A client of no test's is charged for it, which a proxy
/// that the node trusts is said to have.
pub async fn until_settled(node: SocketAddr) {
    static CLIENT: AtomicU8 = AtomicU8::new(0);
    let client = format!("192.0.2.{}", CLIENT.fetch_add(1, SeqCst));
    let settling = async {
        let mut client = Client::open(node, &[("x-forwarded-for", &client)])
            .await
            .expect("an upgrade");
        while client.try_code(NO_CODE).await != "room_not_found" {
            tokio::time::sleep(AGAIN).await;
        }
    };
    within("a node that knows which rooms there are", settling).await;
}
