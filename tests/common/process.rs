//! The relay as a process of its own: its memory, its files and the way it ends are nobody else's.

use std::{
    env, fs, io,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use super::{DEADLINE, Frame, Raw, http::UPGRADE, wire::PING, within};

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_claude-distill-relay");
/// How often to look at what tells of no change by itself.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Looks that must all see the same before it counts as standing still.
const STILL: u32 = 60;
/// How long it may take until then.
const STILL_WITHIN: Duration = Duration::from_secs(150);

/// A relay that is about to be started.
pub(crate) struct Start {
    command: Command,
    directory: TempDir,
}

impl Start {
    /// The program itself, on a free port of 127.0.0.1, with budgets that no test meets by accident.
    pub(crate) fn new() -> Self {
        Self::through(Command::new(PROGRAM))
    }

    /// The program as the last argument of a shell script: `exec "$@"` starts it.
    pub(crate) fn script(script: &str) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh", PROGRAM]);
        Self::through(shell)
    }

    /// The program as `command` starts it, in a directory of its own and with nothing of ours in
    /// its environment.
    pub(crate) fn through(mut command: Command) -> Self {
        let directory = TempDir::new().expect("a directory");
        command.current_dir(&directory).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            let ours = ["RELAY_", "LISTEN_", "NOTIFY_", "WATCHDOG_"];
            if ours.iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(&*name);
            }
        }
        command.env_remove("JOURNAL_STREAM");
        let start = Self { command, directory };
        start
            .env("RUST_LOG", "warn,claude_distill_relay::process=info")
            .env("RELAY_PORT", 0)
            .env("RELAY_RATE_LIMIT_MAX", 100_000)
            .env("RELAY_FAILED_JOIN_MAX", 100_000)
    }

    pub(crate) fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.command.env(name, value.to_string());
        self
    }

    /// What the process has as its standard input.
    pub(crate) fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.command.stdin(stdin);
        self
    }

    /// Starts it, and waits until it listens.
    pub(crate) fn run(mut self) -> Relay {
        let mut child = self.command.spawn().expect("a relay");
        let stderr = BufReader::new(child.stderr.take().expect("its stderr"));
        let (send, lines) = mpsc::channel();
        thread::spawn(move || {
            // To the end, whether or not anybody still wants to hear it: a full pipe would stop it.
            for line in stderr.lines().map_while(Result::ok) {
                let _ = send.send(line);
            }
        });
        let mut relay = Relay {
            child,
            lines,
            said: Vec::new(),
            addr: SocketAddr::from(([0, 0, 0, 0], 0)),
            _directory: self.directory,
        };
        let line = relay.line_with("listening on ");
        let addr = line.split("listening on ").nth(1);
        let addr = addr.and_then(|rest| rest.split(": ").next());
        relay.addr = addr.and_then(|addr| addr.parse().ok()).expect("an address");
        relay
    }
}

/// A running relay, killed when dropped.
pub(crate) struct Relay {
    child: Child,
    lines: Receiver<String>,
    /// What was taken from them.
    said: Vec<String>,
    addr: SocketAddr,
    _directory: TempDir,
}

impl Relay {
    /// Starts a relay with these settings.
    pub(crate) fn start(settings: &[(&str, u64)]) -> Self {
        let start = Start::new();
        let set = |start: Start, &(name, value): &(&str, u64)| start.env(name, value);
        settings.iter().fold(start, set).run()
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).expect("a process id");
        kill(Pid::from_raw(pid), signal).expect("a signal");
    }

    /// Stops it in its tracks, until SIGCONT: what comes meanwhile waits with the system.
    pub(crate) async fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
        while self.proc("stat").split(' ').nth(2) != Some("T") {
            tokio::task::yield_now().await;
        }
    }

    /// The first line of its log from here on that has `text` in it.
    pub(crate) fn line_with(&mut self, text: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.said.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout) => {
                    panic!("no line with {text:?} but {:#?}", self.said)
                }
            }
        }
    }

    /// How many lines of the log of a relay that has ended have `text` in them.
    pub(crate) fn lines_with(&mut self, text: &str) -> usize {
        assert!(self.status().is_some(), "it may have more to say");
        self.said.extend(self.lines.iter());
        self.said.iter().filter(|line| line.contains(text)).count()
    }

    /// Stops it, as a service manager does, and waits for its good end.
    pub(crate) async fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.ended().await;
        assert!(status.success(), "{status}");
    }

    /// Its status, if it has ended.
    pub(crate) fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a status")
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let ending = async {
            loop {
                if let Some(status) = self.status() {
                    return status;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        within("the end of the relay", ending).await
    }

    /// A file of its own in `/proc`.
    pub(crate) fn proc(&self, name: &str) -> String {
        let path = format!("/proc/{}/{name}", self.pid());
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Bytes of memory in use, by their name in `/proc/PID/status`.
    fn memory(&self, name: &str) -> usize {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|rest| rest.split_whitespace().nth(1));
        let kib: usize = kib.and_then(|kib| kib.parse().ok()).expect("a size");
        kib * 1024
    }

    /// Watches its resident memory from here on.
    pub(crate) fn watch_memory(&self) -> Growth<'_> {
        let path = format!("/proc/{}/clear_refs", self.pid());
        fs::write(path, "5").expect("a new high-water mark");
        Growth {
            relay: self,
            before: self.memory("VmRSS"),
        }
    }

    /// A connection on which nothing was said yet, with buffers of a few KiB, so that little of
    /// what is not read is hidden in the system.
    pub(crate) async fn dial(&self) -> Raw {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(16 * 1024).expect("SO_RCVBUF");
        socket.set_send_buffer_size(16 * 1024).expect("SO_SNDBUF");
        let stream = within("a connection", socket.connect(self.addr)).await;
        Raw::over(stream.expect("a connection"))
    }

    /// A session.
    pub(crate) async fn connect(&self) -> Raw {
        self.connect_by(UPGRADE).await
    }

    /// A session, by the head of a request that is not `UPGRADE`.
    pub(crate) async fn connect_by(&self, head: &str) -> Raw {
        let mut raw = self.dial().await;
        raw.upgrade(head).await;
        raw
    }

    /// A session of the system's own buffers, through which the relay reads as much at once as it
    /// may.
    pub(crate) async fn connect_wide(&self) -> Raw {
        let stream = within("a connection", TcpStream::connect(self.addr)).await;
        let mut raw = Raw::over(stream.expect("a connection"));
        raw.upgrade(UPGRADE).await;
        raw
    }

    /// A pair of two such sessions.
    pub(crate) async fn wide_pair(&self) -> (Raw, Raw) {
        paired(self.connect_wide().await, self.connect_wide().await).await
    }

    /// A sender and its receiver, the sender told of it.
    pub(crate) async fn pair(&self) -> (Raw, Raw) {
        paired(self.connect().await, self.connect().await).await
    }

    /// A receiver in that room, paired or queued.
    pub(crate) async fn receiver(&self, code: &str) -> Raw {
        let mut receiver = self.connect().await;
        receiver.join(code).await;
        receiver
    }

    /// One of its metrics; one that was never counted is 0.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let asking = async {
            let mut stream = TcpStream::connect(self.addr).await?;
            stream
                .write_all(b"GET /metrics HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n")
                .await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            io::Result::Ok(answer)
        };
        let answer = within("the metrics", asking).await.expect("the metrics");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let mut values = answer
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
        values.next().unwrap_or(0)
    }

    /// Waits until a metric is what it must become.
    pub(crate) async fn until(&self, name: &str, holds: impl Fn(u64) -> bool) {
        let looking = async {
            while !holds(self.metric(name).await) {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        within(name, looking).await;
    }

    /// Waits until the relay reads nothing more: what it does not take, it never will.
    pub(crate) async fn until_still(&self) {
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

impl Drop for Relay {
    fn drop(&mut self) {
        // Either may fail, and only because the relay has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
        if thread::panicking() {
            let said: Vec<_> = self.lines.try_iter().collect();
            eprintln!("the relay's log: {:#?} {said:#?}", self.said);
        }
    }
}

/// Has one session open a room and the other join it, until the first is told.
async fn paired(mut sender: Raw, mut receiver: Raw) -> (Raw, Raw) {
    let code = sender.create_room().await;
    receiver.join(&code).await;
    sender.expect_peer().await;
    (sender, receiver)
}

impl Raw {
    /// The next frame for somebody who answers pings, as a living client does.
    pub(crate) async fn next_alive(&mut self, awaited: &str) -> Frame {
        loop {
            let frame = self.next(awaited).await;
            if frame.opcode != PING {
                return frame;
            }
            self.pong(&frame.payload).await;
        }
    }

    /// Waits until the relay ends the connection, whatever it says before.
    pub(crate) async fn ended(&mut self) {
        while self.try_fill(1, "the end of the connection").await {
            self.seen.clear();
        }
    }

    /// Writes what a relay may not take any more.
    pub(crate) async fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer().write_all(bytes).await
    }
}

/// What a relay's resident memory was, to be held against what it became.
pub(crate) struct Growth<'a> {
    relay: &'a Relay,
    before: usize,
}

impl Growth<'_> {
    /// Bytes by which it has grown at its highest.
    pub(crate) fn peak(&self) -> usize {
        self.relay.memory("VmHWM").saturating_sub(self.before)
    }

    /// Bytes by which it is larger now.
    pub(crate) fn now(&self) -> usize {
        self.relay.memory("VmRSS").saturating_sub(self.before)
    }

    /// Its peak stayed within `bytes`.
    pub(crate) fn assert_within(&self, bytes: usize, what: &str) {
        let peak = self.peak();
        println!("{what}: {} KiB of {} KiB", peak / 1024, bytes / 1024);
        assert!(peak <= bytes, "{what}: grew by {peak} bytes, over {bytes}");
    }
}
