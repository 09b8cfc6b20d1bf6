//! Relays that have found each other.

use std::{thread, time::Duration};

use relay_testing::{process, program::Program};

use crate::{failure::Result, pair::Pair, peers, server::Server};

/// How long until every node says of a code that nobody has it: until then it says that it does not know.
const SETTLED: Duration = Duration::from_secs(2);
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Some nodes and their NATS server, ended when dropped.
pub(super) struct Nodes {
    pub(super) nodes: Vec<Server>,
    pub(super) nats: Server,
}

impl Nodes {
    /// Starts so many nodes, and waits until each finds the rooms of the others.
    pub(super) fn start(count: usize) -> Result<Self> {
        let nats = Server::of_relay(|ports| {
            let port = ports.listen.to_string();
            Program::new("nats-server").args(["-a", "127.0.0.1", "-p", &port])
        })?;
        let node = || {
            Server::of_relay(|ports| {
                peers::relay(&process::program(), ports.listen, 1)
                    .env("RELAY_CLUSTER_NATS", format!("nats://{}", nats.address))
                    .env(
                        "RELAY_CLUSTER_ADDRESS",
                        format!("ws://127.0.0.1:{}", ports.listen),
                    )
                    .env("RELAY_CLUSTER_SECRET", SECRET)
                    .env("RELAY_FAILED_JOIN_MAX", 1_000_000)
            })
        };
        let nodes = (0..count).map(|_| node()).collect::<Result<Vec<_>>>()?;
        thread::sleep(SETTLED);
        for node in &nodes {
            Pair::across(&nodes[0], node)?.close()?;
        }
        Ok(Self { nodes, nats })
    }

    /// CPU time so far: of each node, and of NATS behind them.
    pub(super) fn cpu(&self) -> Result<Vec<Duration>> {
        let all = self.nodes.iter().chain([&self.nats]);
        all.map(Server::cpu).collect()
    }

    /// Runs a load; returns its result, and the CPU time that it took of each node, and of NATS behind them.
    pub(super) fn used<T>(&self, load: impl FnOnce() -> Result<T>) -> Result<(T, Vec<Duration>)> {
        let before = self.cpu()?;
        let result = load()?;
        let after = self.cpu()?;
        let used = after
            .into_iter()
            .zip(before)
            .map(|(after, before)| after - before);
        Ok((result, used.collect()))
    }
}
