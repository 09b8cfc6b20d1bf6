//! A network that can be cut: the relay in one network namespace, its doomed clients in another,
//! and a cable between them.

use std::{
    fs::File,
    io,
    net::{SocketAddr, TcpStream},
    process::{Command, id},
    sync::atomic::{AtomicU32, Ordering::SeqCst},
    thread,
};

use nix::sched::{CloneFlags, setns};

use crate::{
    http::UPGRADE,
    process::{Relay, Start},
    raw::Raw,
    skip::skip,
};

/// The relay's address on the cable, from a range for documentation: it is nowhere else.
pub const NEAR: &str = "192.0.2.1";
/// The clients' end.
pub const FAR: &str = "192.0.2.2";

/// Two hosts and a cable, gone when dropped.
pub struct Network {
    relay: String,
    clients: String,
}

impl Network {
    /// Lays the cable; `None`, and said so, where this process may not.
    pub fn new() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("relay-test-{}-{}", id(), NUMBER.fetch_add(1, SeqCst));
        let network = Self {
            relay: format!("{name}-near"),
            clients: format!("{name}-far"),
        };
        match network.lay() {
            Ok(()) => Some(network),
            Err(why) => {
                skip(&format!("network namespaces ({})", why.trim()));
                None
            }
        }
    }

    fn lay(&self) -> Result<(), String> {
        let (near, far) = (&self.relay, &self.clients);
        ip(&format!("netns add {near}"))?;
        ip(&format!("netns add {far}"))?;
        ip(&format!(
            "-n {near} link add cable type veth peer name cable netns {far}"
        ))?;
        for (end, address) in [(near, NEAR), (far, FAR)] {
            ip(&format!("-n {end} address add {address}/30 dev cable"))?;
            ip(&format!("-n {end} link set lo up"))?;
            ip(&format!("-n {end} link set cable up"))?;
        }
        Ok(())
    }

    /// From here on the system lets so many kbit a second pass to the clients. `false`, and said so, where
    /// it cannot.
    pub fn throttle(&self, kbit: u32) -> bool {
        let near = &self.relay;
        let limit = format!(
            "-n {near} qdisc add dev cable root tbf rate {kbit}kbit burst 16kb limit 128kb"
        );
        let throttled = run("tc", &limit);
        if let Err(why) = &throttled {
            skip(&format!("rate limit of the system ({})", why.trim()));
        }
        throttled.is_ok()
    }

    /// Does something on the relay's host, where it is found at 127.0.0.1.
    pub fn near<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        on_host(&self.relay, work)
    }

    /// Does something on the clients' host, where the relay is found at [`NEAR`].
    pub fn far<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        on_host(&self.clients, work)
    }

    /// From here on nothing passes, and nobody is told.
    pub fn cut(&self) {
        ip(&format!("-n {} link set cable down", self.clients)).expect("a cut");
    }

    /// Starts a relay on its host.
    pub fn run(&self, start: Start) -> Relay {
        let start = start.env("RELAY_HOST", "0.0.0.0");
        on_host(&self.relay, move || start.run())
    }

    /// A session over the cable.
    pub async fn doomed(&self, port: u16) -> Raw {
        let mut raw = self.doomed_dial(port);
        raw.upgrade(UPGRADE).await;
        raw
    }

    /// A connection over the cable.
    pub fn doomed_dial(&self, port: u16) -> Raw {
        dial(&self.clients, &format!("{NEAR}:{port}"))
    }

    /// A session on the relay's own host, which no cut concerns.
    pub async fn safe(&self, port: u16) -> Raw {
        let mut raw = dial(&self.relay, &format!("127.0.0.1:{port}"));
        raw.upgrade(UPGRADE).await;
        raw
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in [&self.relay, &self.clients] {
            // There may be none, where it could not be laid.
            drop(ip(&format!("netns delete {name}")));
        }
    }
}

/// Connects from a host.
fn dial(host: &str, to: &str) -> Raw {
    let to: SocketAddr = to.parse().expect("an address");
    let connected = on_host(host, move || {
        let stream = TcpStream::connect(to)?;
        stream.set_nonblocking(true)?;
        io::Result::Ok(stream)
    });
    let stream = tokio::net::TcpStream::from_std(connected.expect("a connection"));
    Raw::over(stream.expect("a socket for tokio"))
}

/// Does something on a host. Sockets and processes stay where they were made.
pub fn on_host<T: Send + 'static>(host: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let path = format!("/run/netns/{host}");
    let working = thread::spawn(move || {
        let namespace = File::open(path).expect("a host");
        setns(namespace, CloneFlags::CLONE_NEWNET).expect("a thread on that host");
        work()
    });
    working.join().expect("a thread that does not panic")
}

/// Runs `ip` with these arguments, parted by blanks.
///
/// # Errors
///
/// What it says where it fails, or why it cannot be run.
pub fn ip(arguments: &str) -> Result<(), String> {
    run("ip", arguments)
}

fn run(program: &str, arguments: &str) -> Result<(), String> {
    let run = Command::new(program).args(arguments.split(' ')).output();
    let output = run.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}
