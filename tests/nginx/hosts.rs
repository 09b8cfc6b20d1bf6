//! A host of its own for nginx and the relay, and another one for clients of several addresses.

use std::{
    net::{IpAddr, SocketAddr, TcpStream},
    process::{Command, id},
    sync::atomic::{AtomicU32, Ordering::SeqCst},
};

use relay_testing::{
    Raw,
    netns::{ip, on_host},
    process::{Relay, Start},
    skip,
};
use socket2::{Domain, Socket, Type};

/// nginx's address, from a range for documentation as those of its clients.
const SERVER: &str = "192.0.2.1";
/// The clients' addresses.
pub(crate) const CLIENTS: [&str; 3] = ["192.0.2.2", "192.0.2.3", "192.0.2.4"];

/// Two hosts and a cable, gone when dropped.
pub(crate) struct Hosts {
    server: String,
    clients: String,
}

impl Hosts {
    /// `None` where this process may not have any, unless `RELAY_TEST_ALL=1` says that it must be
    /// able to.
    pub(crate) fn new() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("nginx-test-{}-{}", id(), NUMBER.fetch_add(1, SeqCst));
        let hosts = Self {
            server: format!("{name}-server"),
            clients: format!("{name}-clients"),
        };
        match hosts.lay() {
            Ok(()) => Some(hosts),
            Err(why) => {
                skip(&format!("network namespaces ({})", why.trim()));
                None
            }
        }
    }

    fn lay(&self) -> Result<(), String> {
        let (server, clients) = (&self.server, &self.clients);
        ip(&format!("netns add {server}"))?;
        ip(&format!("netns add {clients}"))?;
        ip(&format!(
            "-n {server} link add cable type veth peer name cable netns {clients}"
        ))?;
        ip(&format!("-n {server} address add {SERVER}/24 dev cable"))?;
        for client in CLIENTS {
            ip(&format!("-n {clients} address add {client}/24 dev cable"))?;
        }
        for end in [server, clients] {
            ip(&format!("-n {end} link set lo up"))?;
            ip(&format!("-n {end} link set cable up"))?;
        }
        Ok(())
    }

    /// What starts a program on nginx's host.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.server, program]);
        command
    }

    /// Starts a relay on nginx's host.
    pub(crate) fn run(&self, start: Start) -> Relay {
        on_host(&self.server, move || start.run())
    }

    /// A connection over the cable, from one of the clients' addresses. It takes in little that it
    /// does not read.
    pub(crate) fn dial(&self, from: &str, port: u16) -> Raw {
        connect(&self.clients, from, SERVER, port).expect("a connection")
    }

    /// A connection from a program on nginx's host, as a tunnel's.
    pub(crate) fn dial_locally(&self, port: u16) -> Option<Raw> {
        connect(&self.server, "127.0.0.1", "127.0.0.1", port)
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in [&self.server, &self.clients] {
            // There may be none, where it could not be laid.
            drop(ip(&format!("netns delete {name}")));
        }
    }
}

/// Connects from a host.
fn connect(host: &str, from: &str, to: &str, port: u16) -> Option<Raw> {
    let address = |text: &str, port| SocketAddr::new(text.parse::<IpAddr>().expect(text), port);
    let (from, to) = (address(from, 0), address(to, port));
    let stream = on_host(host, move || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(4096).expect("SO_RCVBUF");
        socket.bind(&from.into()).expect("an address");
        socket.connect(&to.into()).ok()?;
        Some(TcpStream::from(socket))
    })?;
    stream.set_nonblocking(true).expect("a socket for tokio");
    let stream = tokio::net::TcpStream::from_std(stream).expect("a socket for tokio");
    Some(Raw::over(stream))
}
