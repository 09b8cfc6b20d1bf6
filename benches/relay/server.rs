//! A running server under load: started, asked what it has used, and ended.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::time::ClockId;

use crate::Result;
use crate::peers::{Job, Peer, Ports};

const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A server process, ended when dropped.
pub(crate) struct Server {
    process: Child,
    clock: ClockId,
    pub(crate) address: SocketAddr,
    /// Where a forwarder's connections come out; `None` for a relay.
    pub(crate) backend: Option<TcpListener>,
}

impl Server {
    /// Starts a peer and waits until it accepts connections.
    pub(crate) fn start(peer: &Peer) -> Result<Self> {
        let backend = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let ports = Ports {
            listen: free_port()?,
            backend: backend.local_addr()?.port(),
        };
        let mut server = Self::spawn(&mut peer.command(&ports), ports.listen)?;
        if peer.job == Job::Forward {
            // The connection that found the forwarder ready came out here, too.
            drop(backend.accept()?);
            server.backend = Some(backend);
        }
        Ok(server)
    }

    /// Runs a command and waits until something accepts connections at `port`.
    fn spawn(command: &mut Command, port: u16) -> Result<Self> {
        let process = command
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let clock = cpu_clock(&process)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut server = Self {
            process,
            clock,
            address,
            backend: None,
        };
        let give_up = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(address).is_err() {
            if let Some(status) = server.process.try_wait()? {
                return Err(format!("it ended at once: {status}").into());
            }
            if Instant::now() > give_up {
                return Err("it does not listen".into());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// CPU time used so far by all of its threads, in user and kernel mode. It is the kernel's own
    /// count, the one that `/proc/PID/stat` rounds to hundredths of a second.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        Ok(self.clock.now()?.into())
    }

    /// Resident memory now, in KiB.
    pub(crate) fn memory_kib(&self) -> Result<f64> {
        self.status("VmRSS:")
    }

    /// The most memory that was ever resident, in KiB.
    pub(crate) fn peak_memory_kib(&self) -> Result<f64> {
        self.status("VmHWM:")
    }

    fn status(&self, field: &str) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let value = status
            .lines()
            .find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB"))
            .ok_or("the server has ended")?;
        Ok(value.parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself: then there is nothing left to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn cpu_clock(process: &Child) -> Result<ClockId> {
    let id = nix::unistd::Pid::from_raw(process.id().try_into()?);
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
