//! The relay as a process of its own: its memory, its files and the way it ends are nobody else's.

use std::{
    ffi::OsString,
    net::SocketAddr,
    ops::{Deref, DerefMut},
    process::Stdio,
    time::Duration,
};

use tokio::{
    net::{TcpSocket, TcpStream},
    task::spawn_blocking,
};

use crate::{
    http::UPGRADE,
    memory::{self, PEAK, RESIDENT},
    metrics::Metrics,
    pairs::paired,
    port::Port,
    program::{Process, Program, built},
    raw::Raw,
    wait::within,
};

/// How often to look at what tells of no change by itself.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Looks that must all see the same before it counts as standing still.
const STILL: u32 = 60;
/// How long it may take until then.
const STILL_WITHIN: Duration = Duration::from_secs(150);

/// The program under test.
pub fn program() -> OsString {
    built("claude-distill-relay").expect("the relay: cargo build")
}

/// A relay that is about to be started.
pub struct Start {
    program: Program,
    port: Port,
}

impl Start {
    /// The program itself, at a port of its own, with budgets and shares of an address that no
    /// test meets by accident.
    pub fn new() -> Self {
        Self::through(Program::new(program()))
    }

    /// The program as the last argument of a shell script: `exec "$@"` starts it.
    pub fn script(script: &str) -> Self {
        let shell = Program::new("sh").args(["-c", script, "sh"]);
        Self::through(shell.args([program()]))
    }

    /// A program that becomes a relay, by the settings in its environment.
    pub fn through(program: Program) -> Self {
        let port = Port::reserve();
        let start = Self { program, port };
        let number = start.port.number();
        start
            .env("RUST_LOG", "warn")
            .env("RELAY_PORT", number)
            .env("RELAY_ADDRESS_SESSIONS", 100_000)
            .env("RELAY_ADDRESS_ROOMS", 100_000)
            .env("RELAY_ADDRESS_BUFFERED", 1_u64 << 40)
            .env("RELAY_RATE_LIMIT_MAX", 100_000)
            .env("RELAY_ADDRESS_RATE_LIMIT_MAX", 100_000)
            .env("RELAY_FAILED_JOIN_MAX", 100_000)
    }

    /// Where it will listen, unless its settings say otherwise.
    pub fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    /// With a setting, or another variable.
    pub fn env(self, name: &str, value: impl ToString) -> Self {
        let program = self.program.env(name, value);
        Self { program, ..self }
    }

    /// With this as its standard input.
    pub fn stdin(self, stdin: impl Into<Stdio>) -> Self {
        let program = self.program.stdin(stdin);
        Self { program, ..self }
    }

    /// Starts it, and waits until it listens.
    pub fn run(self) -> Relay {
        let addr = self.port.addr();
        self.run_at(addr)
    }

    /// Starts it where its settings do not lead to a port of its own, and waits until it listens at
    /// this address.
    pub fn run_at(self, addr: SocketAddr) -> Relay {
        let mut process = self.program.spawn().expect("a relay");
        process.listens_at(addr).expect("a relay that listens");
        Relay {
            process,
            addr,
            _port: self.port,
        }
    }
}

impl Default for Start {
    fn default() -> Self {
        Self::new()
    }
}

/// A running relay, killed when dropped.
pub struct Relay {
    process: Process,
    addr: SocketAddr,
    /// Nobody else is given it while another relay is to listen there after this one.
    _port: Port,
}

impl Deref for Relay {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Relay {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl Relay {
    /// Starts a relay with these settings.
    pub fn start(settings: &[(&str, u64)]) -> Self {
        let start = Start::new();
        let set = |start: Start, &(name, value): &(&str, u64)| start.env(name, value);
        settings.iter().fold(start, set).run()
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Bytes of its memory, by a field of [`memory`].
    fn memory(&self, field: &str) -> usize {
        memory::of(self.pid(), field).expect("its memory")
    }

    /// Watches its resident memory from here on.
    pub fn watch_memory(&self) -> Growth<'_> {
        memory::forget_peak(self.pid()).expect("a new high-water mark");
        Growth {
            relay: self,
            before: self.memory(RESIDENT),
        }
    }

    /// A connection on which nothing was said yet, with buffers of a few KiB, so that little of
    /// what is not read is hidden in the system.
    pub async fn dial(&self) -> Raw {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(16 * 1024).expect("SO_RCVBUF");
        socket.set_send_buffer_size(16 * 1024).expect("SO_SNDBUF");
        let stream = within("a connection", socket.connect(self.addr)).await;
        Raw::over(stream.expect("a connection"))
    }

    /// A session.
    pub async fn connect(&self) -> Raw {
        self.connect_by(UPGRADE).await
    }

    /// A session, by the head of a request that is not `UPGRADE`.
    pub async fn connect_by(&self, head: &str) -> Raw {
        let mut raw = self.dial().await;
        raw.upgrade(head).await;
        raw
    }

    /// A session of the system's own buffers, through which the relay reads as much at once as it
    /// may.
    pub async fn connect_wide(&self) -> Raw {
        let stream = within("a connection", TcpStream::connect(self.addr)).await;
        let mut raw = Raw::over(stream.expect("a connection"));
        raw.upgrade(UPGRADE).await;
        raw
    }

    /// A pair of two such sessions.
    pub async fn wide_pair(&self) -> (Raw, Raw) {
        paired(self.connect_wide().await, self.connect_wide().await).await
    }

    /// A sender and its receiver, the sender told of it.
    pub async fn pair(&self) -> (Raw, Raw) {
        paired(self.connect().await, self.connect().await).await
    }

    /// A receiver in that room, paired or queued.
    pub async fn receiver(&self, code: &str) -> Raw {
        let mut receiver = self.connect().await;
        receiver.join(code).await;
        receiver
    }

    /// What it has counted.
    pub async fn metrics(&self) -> Metrics {
        let addr = self.addr;
        // Elsewhere, so that what else goes on in this test goes on meanwhile.
        let asked = spawn_blocking(move || Metrics::of(addr)).await;
        asked.expect("the metrics")
    }

    /// One of its metrics.
    pub async fn metric(&self, name: &str) -> u64 {
        self.metrics().await.get(name)
    }

    /// Waits until a metric is what it must become.
    pub async fn until(&self, name: &str, holds: impl Fn(u64) -> bool) {
        let looking = async {
            while !holds(self.metric(name).await) {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        within(name, looking).await;
    }

    /// Waits until the relay reads nothing more: what it does not take, it never will.
    pub async fn until_still(&self) {
        let (mut last, mut same) = (0, 0);
        let looking = async {
            while same < STILL {
                let now = self.metric("relay_received_bytes_total").await;
                same = if now == last { same + 1 } else { 0 };
                last = now;
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        // Longer than other waits: the system's own buffers take megabytes first, in small pieces.
        let still = tokio::time::timeout(STILL_WITHIN, looking).await;
        still.expect("a relay that reads nothing more");
    }
}

/// What a relay's resident memory was, to be held against what it became.
pub struct Growth<'a> {
    relay: &'a Relay,
    before: usize,
}

impl Growth<'_> {
    /// Bytes by which it has grown at its highest.
    pub fn peak(&self) -> usize {
        self.relay.memory(PEAK).saturating_sub(self.before)
    }

    /// Bytes by which it is larger now.
    pub fn now(&self) -> usize {
        self.relay.memory(RESIDENT).saturating_sub(self.before)
    }

    /// Its peak stayed within `bytes`.
    pub fn assert_within(&self, bytes: usize, what: &str) {
        let peak = self.peak();
        println!("{what}: {} KiB of {} KiB", peak / 1024, bytes / 1024);
        assert!(peak <= bytes, "{what}: grew by {peak} bytes, over {bytes}");
    }
}
