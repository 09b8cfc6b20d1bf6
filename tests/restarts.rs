//! The relay under a service manager: what it says, what it takes over, and how it ends.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use nix::sys::signal::Signal;
use relay_testing::{
    Raw, frame,
    http::{self, UPGRADE},
    process::{self, Relay, Start},
    program::Program,
    wire::TEXT,
    within,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixDatagram},
};

/// `WATCHDOG_USEC`: the relay is to speak twice as often.
const WATCHDOG: Duration = Duration::from_millis(400);

/// A service manager that listens.
struct Manager {
    socket: UnixDatagram,
    directory: TempDir,
}

impl Manager {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        Self { socket, directory }
    }

    fn start(&self) -> Relay {
        Start::new()
            .env(
                "NOTIFY_SOCKET",
                self.directory.path().join("notify").display(),
            )
            .env("WATCHDOG_USEC", WATCHDOG.as_micros())
            .run()
    }

    async fn next(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).await.unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    /// Waits for a line.
    async fn hears(&self, line: &str) {
        let hearing = async { while !self.next().await.lines().any(|said| said == line) {} };
        within(line, hearing).await;
    }

    /// What was said and not heard yet is forgotten.
    fn forget(&self) {
        while self.socket.try_recv(&mut [0; 4096]).is_ok() {}
    }
}

#[tokio::test]
async fn the_service_manager_hears_of_its_life() {
    let manager = Manager::new();
    let mut relay = manager.start();
    let first = within("the first word", manager.next()).await;
    assert!(first.lines().any(|line| line == "READY=1"), "{first}");
    assert!(first.contains("STATUS=0 sessions, 0 rooms"), "{first}");
    let mut sender = relay.connect().await;
    sender.create_room().await;
    manager.hears("STATUS=1 sessions, 1 rooms").await;
    manager.hears("WATCHDOG=1").await;

    relay.signal(Signal::SIGTERM);
    manager.hears("STOPPING=1").await;
    sender.expect_error("server_shutdown").await;
    sender.expect_close(1012).await;
    assert_eq!(relay.ended().await.code(), Some(0));
}

#[tokio::test]
async fn the_service_manager_hears_when_settings_are_read_again() {
    let manager = Manager::new();
    let relay = manager.start();
    manager.hears("READY=1").await;
    relay.signal(Signal::SIGHUP);
    let told = async {
        loop {
            let said = manager.next().await;
            if said.contains("RELOADING=1") {
                return said;
            }
        }
    };
    let said = within("the beginning", told).await;
    // systemd 253 and newer want the time with it, or give the reload up.
    assert!(
        said.lines().any(|line| line.starts_with("MONOTONIC_USEC=")),
        "{said}"
    );
    manager.hears("READY=1").await;
}

#[tokio::test]
async fn a_process_that_hangs_feeds_no_watchdog() {
    let manager = Manager::new();
    let relay = manager.start();
    manager.hears("WATCHDOG=1").await;
    relay.freeze().await;
    manager.forget();
    let said = tokio::time::timeout(4 * WATCHDOG, manager.next()).await;
    assert!(said.is_err(), "{said:?}");
    relay.signal(Signal::SIGCONT);
    manager.hears("WATCHDOG=1").await;
}

#[tokio::test]
async fn pairs_may_finish_and_the_process_ends_well() {
    let mut relay = Relay::start(&[]);
    let (mut sender, mut receiver) = relay.pair().await;
    let mut waiting = relay.connect().await;
    waiting.create_room().await;
    let mut asking = relay.connect().await;
    asking.round_trip().await;

    relay.signal(Signal::SIGTERM);
    waiting.expect_error("server_shutdown").await;
    waiting.expect_close(1012).await;
    asking.expect_error("server_shutdown").await;
    asking.expect_close(1012).await;
    sender.send(frame(TEXT, "the last")).await;
    assert_eq!(&receiver.next("data").await.payload[..], b"the last");
    assert_eq!(relay.status(), None);

    receiver.vanish();
    sender.expect_peer_gone().await;
    sender.expect_error("server_shutdown").await;
    sender.expect_close(1012).await;
    assert_eq!(relay.ended().await.code(), Some(0));
}

#[tokio::test]
async fn what_came_while_it_stood_still_is_delivered_before_it_ends() {
    for workers in [1, 2] {
        let mut relay = Relay::start(&[("RELAY_DRAIN_TIMEOUT", 1), ("RELAY_WORKERS", workers)]);
        let mut pairs = Vec::new();
        for _ in 0..3 {
            pairs.push(relay.pair().await);
        }
        let mut waiting = relay.connect().await;
        waiting.round_trip().await;
        relay.signal(Signal::SIGTERM);
        // The drain has begun.
        waiting.expect_error("server_shutdown").await;
        relay.freeze().await;
        for (sender, _) in &mut pairs {
            sender.send(frame(TEXT, "the last")).await;
        }
        // For longer than the drain may last.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        relay.signal(Signal::SIGCONT);
        for (_, receiver) in &mut pairs {
            assert_eq!(&receiver.next("data").await.payload[..], b"the last");
        }
        drop((pairs, waiting));
        assert_eq!(relay.ended().await.code(), Some(0));
    }
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let (int, term) = ((Signal::SIGINT, 130), (Signal::SIGTERM, 143));
    for ((first, _), (second, status)) in [(term, term), (int, int), (term, int)] {
        let mut relay = Start::new().env("RELAY_DRAIN_TIMEOUT", 3600).run();
        let _pair = relay.pair().await;
        relay.signal(first);
        http::until_stopping(relay.addr());
        relay.signal(second);
        assert_eq!(relay.ended().await.code(), Some(status));
    }
}

/// A client that connects again and again, until it is told to stop.
#[derive(Default)]
struct Connector {
    served: AtomicUsize,
    refused: AtomicUsize,
    cut: AtomicUsize,
}

impl Connector {
    async fn run(self: Arc<Self>, addr: SocketAddr) {
        loop {
            let Ok(mut stream) = TcpStream::connect(addr).await else {
                self.refused.fetch_add(1, SeqCst);
                continue;
            };
            let answered = async {
                // As from afar: the connection is there some time before its request is.
                stream.write_all(UPGRADE.as_bytes()).await?;
                tokio::time::sleep(Duration::from_millis(20)).await;
                stream.write_all(b"\r\n").await?;
                let mut head = [0; 12];
                stream.read_exact(&mut head).await?;
                assert_eq!(&head, b"HTTP/1.1 101");
                io::Result::Ok(())
            };
            let outcome = match answered.await {
                Ok(()) => &self.served,
                Err(_) => &self.cut,
            };
            outcome.fetch_add(1, SeqCst);
        }
    }

    /// Waits until so many more were served.
    async fn until_served(&self, more: usize) {
        let enough = self.served.load(SeqCst) + more;
        let serving = async {
            while self.served.load(SeqCst) < enough {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        within("clients to be served", serving).await;
    }
}

#[tokio::test]
async fn with_a_socket_of_its_managers_nobody_is_refused_over_restarts() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let start = || {
        let script = "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$@\" 3<&0 </dev/null";
        let socket = OwnedFd::from(listener.try_clone().unwrap());
        // Its own port is another one: who is served at this address is served over the socket.
        Start::script(script).stdin(socket).run_at(addr)
    };
    let mut relay = start();
    let connector = Arc::new(Connector::default());
    let connecting: Vec<_> = (0..4)
        .map(|_| tokio::spawn(Arc::clone(&connector).run(addr)))
        .collect();
    for _ in 0..5 {
        connector.until_served(50).await;
        relay.stop().await;
        relay = start();
    }
    connector.until_served(50).await;
    connecting.iter().for_each(|task| task.abort());
    let count = |counter: &AtomicUsize| counter.load(SeqCst);
    let (refused, cut) = (count(&connector.refused), count(&connector.cut));
    assert_eq!((refused, cut), (0, 0), "of {}", count(&connector.served));
}

/// The next process is to have who comes now, so the pages go first.
#[tokio::test]
async fn a_drain_under_its_managers_socket_is_seen_at_the_operators_socket_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("admin.sock");
    let script = "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$@\" 3<&0 </dev/null";
    let mut relay = Start::script(script)
        .stdin(OwnedFd::from(listener))
        .env("RELAY_ADMIN_SOCKET", socket.display())
        .env("RELAY_DRAIN_TIMEOUT", 3600)
        .run_at(addr);
    let pair = relay.pair().await;
    let mut waiting = relay.connect().await;
    waiting.create_room().await;
    relay.signal(Signal::SIGTERM);
    waiting.expect_error("server_shutdown").await;
    let status = Program::new(process::program())
        .args(["--admin-socket".into(), socket])
        .args(["status", "--json"])
        .output();
    let said: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    let seen = (&said["stopping"], &said["pairs"]);
    assert_eq!(seen, (&true.into(), &1.into()), "{said}");
    // Whoever connects waits for the next process.
    let mut page = TcpStream::connect(addr).await.unwrap();
    let ask = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    page.write_all(ask).await.unwrap();
    let answer = tokio::time::timeout(Duration::from_millis(300), page.read_u8()).await;
    assert!(answer.is_err(), "{answer:?}");
    drop((pair, page));
    assert_eq!(relay.ended().await.code(), Some(0));
}

/// Has a script hand these to the program behind it, as systemd does.
const HAND_OVER: &str =
    "export LISTEN_PID=$$ LISTEN_FDS=2; exec \"$@\" 3<&0 4<&1 </dev/null >/dev/null";

#[tokio::test]
async fn all_sockets_of_its_manager_are_served() {
    let sockets = ["127.0.0.1:0", "[::1]:0"].map(|any| TcpListener::bind(any).unwrap());
    let [first, second] = sockets
        .each_ref()
        .map(|socket| socket.local_addr().unwrap());
    let [stdin, stdout] = sockets.map(OwnedFd::from);
    let shell = Program::new("sh")
        .args(["-c", HAND_OVER, "sh"])
        .args([process::program()]);
    let start = Start::through(shell.stdout(stdout)).stdin(stdin);
    let mut relay = start
        .env("RUST_LOG", "info")
        .env("RELAY_WORKERS", 2)
        .run_at(first);
    let line = relay.line_with("listening on ");
    assert!(
        line.contains(&format!("listening on {first}, {second}: ")),
        "{line}"
    );
    // A busy one keeps nobody waiting at the other.
    let busy = Arc::new(Connector::default());
    let connecting: Vec<_> = (0..4)
        .map(|_| tokio::spawn(Arc::clone(&busy).run(second)))
        .collect();
    for addr in [first, second, first] {
        busy.until_served(5).await;
        let stream = within("a connection", TcpStream::connect(addr))
            .await
            .unwrap();
        let mut session = Raw::over(stream);
        session.upgrade(UPGRADE).await;
        session.create_room().await;
    }
    connecting.iter().for_each(|task| task.abort());
    relay.stop().await;
}

#[tokio::test]
async fn a_socket_that_cannot_be_served_ends_the_start_with_the_reason() {
    let listener = || OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap());
    let folder = TempDir::new().unwrap();
    let datagrams = "for datagrams: it has to be ListenStream=";
    let accepting = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = std::net::TcpStream::connect(accepting.local_addr().unwrap()).unwrap();
    let cases = [
        (
            OwnedFd::from(accepting.accept().unwrap().0),
            "a connection and no listener: it has to be Accept=no",
        ),
        (
            std::os::unix::net::UnixListener::bind(folder.path().join("stream"))
                .unwrap()
                .into(),
            "a Unix socket: ListenStream= takes an address and a port, or a port",
        ),
        (
            std::os::unix::net::UnixDatagram::bind(folder.path().join("datagram"))
                .unwrap()
                .into(),
            datagrams,
        ),
        (
            std::net::UdpSocket::bind("127.0.0.1:0").unwrap().into(),
            datagrams,
        ),
        (
            std::fs::File::open("/dev/null").unwrap().into(),
            "no TCP socket",
        ),
    ];
    for (bad, what) in cases {
        let shell = Program::new("sh")
            .args(["-c", HAND_OVER, "sh"])
            .args([process::program()]);
        let output = shell.stdin(listener()).stdout(bad).output();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        let reason =
            format!("what systemd hands to the relay is of no use: socket 2 of 2 is {what}\n");
        assert!(said.ends_with(&reason), "{said}");
    }
    drop(client);
}

#[tokio::test]
async fn killed_under_load_it_serves_as_soon_as_it_is_started_again() {
    let mut relay = Relay::start(&[]);
    let addr = relay.addr();
    for round in 0..5 {
        let mut load: Vec<(Raw, Raw)> = Vec::new();
        for _ in 0..10 {
            let (mut sender, receiver) = relay.pair().await;
            sender
                .write(&frame(TEXT, vec![b'x'; 32 * 1024]).encode())
                .await;
            load.push((sender, receiver));
        }
        relay.signal(Signal::SIGKILL);
        assert_eq!(relay.ended().await.signal(), Some(9));
        for (sender, receiver) in &mut load {
            sender.ended().await;
            receiver.ended().await;
        }
        relay = Start::new().env("RELAY_PORT", addr.port()).run_at(addr);
        let (mut sender, mut receiver) = relay.pair().await;
        let message = format!("after {round}");
        sender.send(frame(TEXT, message.clone())).await;
        assert_eq!(receiver.next("data").await.payload, message.as_bytes());
    }
}

/// The limit of open files of a process, as it is in force.
fn open_files(relay: &Relay) -> usize {
    let limits = relay.proc("limits");
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    line.unwrap()
        .split_whitespace()
        .nth(3)
        .unwrap()
        .parse()
        .unwrap()
}

#[tokio::test]
async fn the_limit_of_open_files_is_raised_to_what_the_sessions_need() {
    const SESSIONS: usize = 300;
    let start = Start::script("ulimit -S -n 128; exec \"$@\"");
    let mut relay = start.env("RELAY_MAX_SESSIONS", SESSIONS).run();
    assert!(open_files(&relay) > SESSIONS);
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        sessions.push(relay.connect().await);
    }
    for session in &mut sessions {
        session.round_trip().await;
    }
    drop(sessions);
    relay.stop().await;
    assert_eq!(relay.lines_with("open files"), 0);
}
