//! Who is compared: the relay, and four programs in `benches/peers` to hold it against.

use std::path::{Path, PathBuf};
use std::process::Command;

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
    command: fn(&Ports) -> Command,
}

/// The loopback ports a peer gets.
pub(crate) struct Ports {
    /// Where it listens.
    pub(crate) listen: u16,
    /// Where a forwarder finds its backend.
    pub(crate) backend: u16,
}

impl Peer {
    pub(crate) fn command(&self, ports: &Ports) -> Command {
        (self.command)(ports)
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
            command: |ports| relay(ports.listen, 1),
        },
        Peer {
            name: "relay-2w",
            title: "this relay, 2 workers",
            job: Job::Relay,
            version: Some(version),
            command: |ports| relay(ports.listen, 2),
        },
        Peer {
            name: "python",
            title: "Python websockets",
            job: Job::Relay,
            version: output_of(python().args([
                "-c",
                "import platform, websockets as w; \
                 print('Python', platform.python_version(), 'websockets', w.__version__)",
            ])),
            command: |ports| script(python(), "python/relay.py", ports),
        },
        Peer {
            name: "ws",
            title: "Node ws",
            job: Job::Relay,
            version: output_of(Command::new("node").current_dir(folder()).args([
                "-p",
                "`Node ${process.versions.node}, ws ${require('./node_modules/ws/package').version}`",
            ])),
            command: |ports| script(Command::new("node"), "ws/relay.mjs", ports),
        },
        Peer {
            name: "bun",
            title: "Bun (uWebSockets)",
            job: Job::Relay,
            version: output_of(bun().arg("--version")).map(|version| format!("Bun {version}")),
            command: |ports| script(bun(), "bun/relay.ts", ports),
        },
        Peer {
            name: "haproxy",
            title: "HAProxy (TCP only)",
            job: Job::Forward,
            version: output_of(Command::new("haproxy").arg("-v"))
                .and_then(|line| Some(format!("HAProxy {}", line.split(' ').nth(2)?))),
            command: haproxy,
        },
    ]
}

/// The relay with limits that no load here reaches; all else is as it comes.
fn relay(port: u16, workers: usize) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_claude-distill-relay"));
    command
        .env("RELAY_HOST", "127.0.0.1")
        .env("RELAY_PORT", port.to_string())
        .env("RELAY_WORKERS", workers.to_string())
        .env("RELAY_RATE_LIMIT_MAX", "1000000")
        .env("RELAY_MAX_SESSIONS", "20000")
        .env("RELAY_MAX_ROOMS", "20000");
    command
}

fn script(mut interpreter: Command, path: &str, ports: &Ports) -> Command {
    interpreter
        .arg(folder().join(path))
        .arg(ports.listen.to_string());
    interpreter
}

fn haproxy(ports: &Ports) -> Command {
    let mut command = Command::new("haproxy");
    command
        .env("PORT", ports.listen.to_string())
        .env("BACKEND_PORT", ports.backend.to_string())
        .arg("-db")
        .arg("-f")
        .arg(folder().join("haproxy/forward.cfg"));
    command
}

fn python() -> Command {
    Command::new(folder().join("venv/bin/python"))
}

fn bun() -> Command {
    Command::new(folder().join("node_modules/bun/bin/bun"))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers")
}
