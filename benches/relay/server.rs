//! A running server under load: started, asked what it has used, and ended.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::Stdio,
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use nix::time::ClockId;
use relay_testing::{
    memory::{self, PEAK, RESIDENT},
    program::{Process, Program},
};

use crate::{
    failure::Result,
    peers::{Job, Peer, Ports},
};

/// A server process, ended when dropped.
pub(crate) struct Server {
    process: Process,
    clock: ClockId,
    pub(crate) address: SocketAddr,
    /// Where a forwarder's connections come out; `None` for a relay.
    pub(crate) backend: Option<TcpListener>,
    /// What clients say to it beside a plain handshake.
    pub(crate) lines: &'static str,
}

/// What a relay is told of the load's key, if it is to want one.
pub(crate) const ACCESS_KEYS: &str = "load:0123456789abcdef0123456789abcdef";
/// What the load says with it.
pub(crate) const KEY: &str = "Authorization: Bearer 0123456789abcdef0123456789abcdef\r\n";

impl Server {
    /// Starts a peer and waits until it accepts connections.
    pub(crate) fn start(peer: &Peer) -> Result<Self> {
        Self::run(peer.job, "", |ports| peer.program(ports))
    }

    /// Starts a relay that is none of the peers, in the same way. Its clients have a key for it.
    pub(crate) fn of_relay(program: impl FnOnce(&Ports) -> Program) -> Result<Self> {
        Self::run(Job::Relay, KEY, program)
    }

    /// Starts what passes bytes on to another server.
    pub(crate) fn in_front_of(
        server: &Self,
        program: impl FnOnce(&Ports) -> Program,
    ) -> Result<Self> {
        let backend = server.address.port();
        Self::run(Job::Relay, server.lines, |ports| {
            program(&Ports { backend, ..*ports })
        })
    }

    fn run(job: Job, lines: &'static str, program: impl FnOnce(&Ports) -> Program) -> Result<Self> {
        let backend = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let ports = Ports {
            listen: free_port()?,
            backend: backend.local_addr()?.port(),
        };
        let mut process = program(&ports).stderr(Stdio::null()).spawn()?;
        let clock = cpu_clock(process.pid())?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.listen));
        process.listens_at(address)?;
        let backend = match job {
            Job::Relay => None,
            Job::Forward => {
                // The connection that found the forwarder ready came out here, too.
                drop(backend.accept()?);
                Some(backend)
            }
        };
        Ok(Self {
            process,
            clock,
            address,
            backend,
            lines,
        })
    }

    /// CPU time used so far by all of its threads, in user and kernel mode. It is the kernel's own
    /// count, the one that `/proc/PID/stat` rounds to hundredths of a second.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        Ok(self.clock.now()?.into())
    }

    /// Resident memory now, in KiB.
    pub(crate) fn memory_kib(&self) -> Result<f64> {
        self.kib(RESIDENT)
    }

    /// The most memory that was ever resident, in KiB.
    pub(crate) fn peak_memory_kib(&self) -> Result<f64> {
        self.kib(PEAK)
    }

    fn kib(&self, field: &str) -> Result<f64> {
        Ok(memory::of(self.process.pid(), field)? as f64 / 1024.0)
    }
}

fn cpu_clock(process: u32) -> Result<ClockId> {
    let id = nix::unistd::Pid::from_raw(process.try_into()?);
    Ok(nix::time::clock_getcpuclockid(id)?)
}

/// A port nobody listens at, below those the kernel gives to outgoing connections. No port comes
/// twice: connections of the server before may linger in `TIME_WAIT`.
fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        if port >= 32_000 {
            return Err("no free port".into());
        }
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
}
