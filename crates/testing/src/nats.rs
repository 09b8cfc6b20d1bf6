//! A nats-server of a test's own.

use std::{net::SocketAddr, path::PathBuf};

use nix::sys::signal::Signal;

use crate::{
    port::Port,
    program::{Process, Program},
    skip::{find, skip},
};

/// What the nodes of a test's cluster have in common.
pub const SECRET: &str = "what-the-nodes-of-a-test-have-in-common";
/// A nats-server, killed when dropped.
pub struct Nats {
    program: PathBuf,
    port: Port,
    /// None while it is stopped.
    process: Option<Process>,
}

impl Nats {
    /// Starts one at a port of its own, and waits until it listens; `None`, and said so, where none is
    /// installed.
    pub fn start() -> Option<Self> {
        let Some(program) = find("nats-server") else {
            skip("nats-server");
            return None;
        };
        let mut nats = Self {
            program,
            port: Port::reserve(),
            process: None,
        };
        nats.start_again();
        Some(nats)
    }

    /// Starts it at the port that it had, after [`kill`](Self::kill).
    pub fn start_again(&mut self) {
        let port = self.port.number().to_string();
        let server = Program::new(&self.program).args(["-a", "127.0.0.1", "-p", &port]);
        let mut process = server.spawn().expect("a nats-server");
        process.listens_at(self.addr()).expect("it listens");
        self.process = Some(process);
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Stops it in its tracks: its connections stay, and nobody answers.
    pub async fn freeze(&self) {
        self.process().freeze().await;
    }

    /// Has it go on.
    pub fn thaw(&self) {
        self.process().signal(Signal::SIGCONT);
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("a nats-server that runs")
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    /// Where a client of NATS finds it.
    pub fn url(&self) -> String {
        nats_url(self.addr())
    }
}

/// Where a client of NATS finds what listens there.
pub fn nats_url(addr: SocketAddr) -> String {
    format!("nats://{addr}")
}
