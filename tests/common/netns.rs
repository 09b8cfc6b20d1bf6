//! A network that can be cut: the relay in one network namespace, its doomed clients in another,
//! and a cable between them.

use std::{
    env,
    fs::File,
    net::{SocketAddr, TcpStream},
    process::{Command, id},
    sync::atomic::{AtomicU32, Ordering::SeqCst},
    thread,
};

use nix::sched::{CloneFlags, setns};

use super::{Raw, http::UPGRADE, process::PROGRAM};

/// The relay's address on the cable, from a range for documentation: it is nowhere else.
const NEAR: &str = "192.0.2.1";
/// The clients' end.
pub(crate) const FAR: &str = "192.0.2.2";

/// Two hosts and a cable, gone when dropped.
pub(crate) struct Network {
    relay: String,
    clients: String,
}

impl Network {
    /// Lays the cable. `None` where this process may not, unless `RELAY_TEST_ALL=1` says that it
    /// must be able to.
    pub(crate) fn new() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("relay-test-{}-{}", id(), NUMBER.fetch_add(1, SeqCst));
        let network = Self {
            relay: format!("{name}-near"),
            clients: format!("{name}-far"),
        };
        match network.lay() {
            Ok(()) => Some(network),
            Err(why) => {
                let all = env::var("RELAY_TEST_ALL").is_ok_and(|all| all == "1");
                assert!(!all, "no network namespaces: {why}");
                println!("skipped: no network namespaces ({})", why.trim());
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

    /// From here on nothing passes, and nobody is told.
    pub(crate) fn cut(&self) {
        ip(&format!("-n {} link set cable down", self.clients)).expect("a cut");
    }

    /// What starts the relay on its host.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.relay, PROGRAM]);
        command.env("RELAY_HOST", "0.0.0.0");
        command
    }

    /// A session over the cable.
    pub(crate) async fn doomed(&self, port: u16) -> Raw {
        let mut raw = self.doomed_dial(port);
        raw.upgrade(UPGRADE).await;
        raw
    }

    /// A connection over the cable.
    pub(crate) fn doomed_dial(&self, port: u16) -> Raw {
        dial(&self.clients, &format!("{NEAR}:{port}"))
    }

    /// A session on the relay's own host, which no cut concerns.
    pub(crate) async fn safe(&self, port: u16) -> Raw {
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

/// Connects from a host. A socket stays where it was made, wherever it is used.
fn dial(host: &str, to: &str) -> Raw {
    let path = format!("/run/netns/{host}");
    let to: SocketAddr = to.parse().expect("an address");
    let connecting = thread::spawn(move || {
        let namespace = File::open(path)?;
        setns(namespace, CloneFlags::CLONE_NEWNET)?;
        TcpStream::connect(to)
    });
    let stream = connecting.join().expect("a thread").expect("a connection");
    stream.set_nonblocking(true).expect("a socket for tokio");
    Raw::over(tokio::net::TcpStream::from_std(stream).expect("a socket for tokio"))
}

fn ip(arguments: &str) -> Result<(), String> {
    let run = Command::new("ip").args(arguments.split(' ')).output();
    let output = run.map_err(|error| format!("ip: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}
