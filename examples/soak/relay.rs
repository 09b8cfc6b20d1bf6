//! The relay under test: this very program again, as a child, so that its memory is its own.

use std::{
    error::Error,
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use claude_distill_relay::{
    config::Config,
    process::{Relay, worker},
};
use tokio::sync::oneshot;

use crate::{PATIENCE, STALL};

/// The argument that makes this program the relay.
pub const AS_RELAY: &str = "--as-relay";

/// What must be back at nothing when everybody has left.
const OUTSTANDING: [&str; 4] = [
    "relay_sessions",
    "relay_rooms",
    "relay_in_flight_bytes",
    "relay_buffered_bytes",
];

/// Runs a relay in this process until its standard input ends.
pub fn serve() -> io::Result<()> {
    let relay = Relay::bind(Config {
        port: 0,
        // Half of all pairs meet after one of them has changed workers.
        workers: 2,
        // All clients share one address; budgets are not what is tested here.
        rate_limit_max: 1_000_000,
        failed_join_max: 1_000_000,
        ping_interval: STALL / 2,
        stall_timeout: STALL,
        ..Config::default()
    })?;
    println!("{}", relay.local_addr());
    let (stop, stopped) = oneshot::channel::<()>();
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        drop(stop);
    });
    worker::system()?.block_on(relay.run(async {
        let _ = stopped.await;
    }))
}

/// A running relay.
pub struct Running {
    child: Child,
    address: SocketAddr,
}

impl Running {
    pub fn start() -> Result<Self, Box<dyn Error>> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(AS_RELAY)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("the relay has no output")?;
        let mut address = String::new();
        BufReader::new(stdout).read_line(&mut address)?;
        let address = address.trim().parse()?;
        Ok(Self { child, address })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The most memory it has ever had resident, in bytes; only Linux tells.
    pub fn peak_memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kibibytes * 1024)
    }

    /// Waits until nothing is outstanding; returns what still is when patience is at an end.
    pub fn settle(&self) -> io::Result<Vec<String>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let metrics = self.metrics()?;
            let is_left = |line: &&str| {
                let (name, value) = line.split_once(' ').unwrap_or_default();
                OUTSTANDING.contains(&name) && value != "0"
            };
            let left: Vec<_> = metrics.lines().filter(is_left).map(str::to_owned).collect();
            let known = |name: &&str| metrics.lines().any(|line| line.starts_with(*name));
            if let Some(name) = OUTSTANDING.iter().find(|name| !known(name)) {
                return Err(io::Error::other(format!("no {name} in /metrics")));
            }
            if left.is_empty() || Instant::now() > deadline {
                return Ok(left);
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn metrics(&self) -> io::Result<String> {
        let mut socket = TcpStream::connect(self.address)?;
        socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Stops it as an operator would; whether it ended well.
    pub fn stop(mut self) -> io::Result<bool> {
        drop(self.child.stdin.take());
        Ok(self.child.wait()?.success())
    }
}

impl Drop for Running {
    /// Of one that is not stopped: nobody is to be left behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
