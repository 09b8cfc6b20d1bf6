//! Who is compared: the relay, and four programs in `benches/peers` to hold it against.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use relay_testing::{process, program::Program};

use crate::machine::output_of;

/// What a peer does with what it is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    /// Pairs WebSocket clients under a room code.
    Relay,
    /// Passes TCP bytes to the load program's own second end.
    Forward,
}

/// A program the load is put on.
pub(crate) struct Peer {
    /// For the command line and the results.
    pub(crate) name: &'static str,
    /// For the reader.
    pub(crate) title: &'static str,
    pub(crate) job: Job,
    /// `None` if it is not installed.
    pub(crate) version: Option<String>,
    program: fn(&Ports) -> Program,
}

/// The loopback ports a peer gets.
pub(crate) struct Ports {
    /// Where it listens.
    pub(crate) listen: u16,
    /// Where a forwarder finds its backend.
    pub(crate) backend: u16,
}

impl Peer {
    pub(crate) fn program(&self, ports: &Ports) -> Program {
        (self.program)(ports)
    }
}

/// Every peer, the relay first.
pub(crate) fn all() -> Vec<Peer> {
    let version = format!("claude-distill-relay {}", env!("CARGO_PKG_VERSION"));
    vec![
        Peer {
            name: "relay",
            title: "this relay",
            job: Job::Relay,
            version: Some(version.clone()),
            program: |ports| relay(&process::program(), ports.listen, 1),
        },
        Peer {
            name: "relay-2w",
            title: "this relay, 2 workers",
            job: Job::Relay,
            version: Some(version),
            program: |ports| relay(&process::program(), ports.listen, 2),
        },
        Peer {
            name: "python",
            title: "Python websockets",
            job: Job::Relay,
            version: output_of(Command::new(python()).args([
                "-c",
                "import platform, websockets as w; \
                 print('Python', platform.python_version(), 'websockets', w.__version__)",
            ])),
            program: |ports| script(python(), "python/relay.py", ports),
        },
        Peer {
            name: "ws",
            title: "Node ws",
            job: Job::Relay,
            version: output_of(Command::new("node").current_dir(folder()).args([
                "-p",
                "`Node ${process.versions.node}, ws ${require('./node_modules/ws/package').version}`",
            ])),
            program: |ports| script("node", "ws/relay.mjs", ports),
        },
        Peer {
            name: "bun",
            title: "Bun (uWebSockets)",
            job: Job::Relay,
            version: output_of(Command::new(bun()).arg("--version")).map(|version| format!("Bun {version}")),
            program: |ports| script(bun(), "bun/relay.ts", ports),
        },
        Peer {
            name: "haproxy",
            title: "HAProxy (TCP only)",
            job: Job::Forward,
            version: output_of(Command::new("haproxy").arg("-v"))
                .and_then(|line| Some(format!("HAProxy {}", line.split(' ').nth(2)?))),
            program: haproxy,
        },
    ]
}

/// A build of the relay with limits that no load here reaches; all else is as it comes.
pub(crate) fn relay(program: &OsStr, port: u16, workers: usize) -> Program {
    Program::new(program)
        .env("RELAY_HOST", "127.0.0.1")
        .env("RELAY_PORT", port)
        .env("RELAY_WORKERS", workers)
        .env("RELAY_RATE_LIMIT_MAX", 1_000_000)
        .env("RELAY_ADDRESS_RATE_LIMIT_MAX", 1_000_000)
        .env("RELAY_ADDRESS_SESSIONS", 20_000)
        .env("RELAY_ADDRESS_ROOMS", 20_000)
        .env("RELAY_MAX_SESSIONS", 20_000)
        .env("RELAY_MAX_ROOMS", 20_000)
}

fn script(interpreter: impl AsRef<OsStr>, path: &str, ports: &Ports) -> Program {
    let port = ports.listen.to_string();
    Program::new(interpreter)
        .args([folder().join(path)])
        .args([port])
}

/// A forwarder to the backend's port.
pub(crate) fn haproxy(ports: &Ports) -> Program {
    Program::new("haproxy")
        .env("PORT", ports.listen)
        .env("BACKEND_PORT", ports.backend)
        .args(["-db", "-f"])
        .args([folder().join("haproxy/forward.cfg")])
}

/// The interpreter of the peers, which has `websockets`.
pub(crate) fn python() -> PathBuf {
    folder().join("venv/bin/python")
}

fn bun() -> PathBuf {
    folder().join("node_modules/bun/bin/bun")
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers")
}
