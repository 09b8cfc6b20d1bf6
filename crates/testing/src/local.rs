//! A relay on a free port, on a thread of this process.

use std::{
    env, io,
    net::SocketAddr,
    panic,
    sync::{Mutex, Once, mpsc},
    thread,
    time::{Duration, Instant},
};

use claude_distill_relay::{
    config::{Config, NatsServers, Secret},
    observe::metrics::Snapshot,
    process::{Counters, Relay, worker},
};
use relay_client::url::Url;
use tokio::sync::oneshot;

use crate::{
    http,
    metrics::Metrics,
    nats::{Nats, SECRET},
    port::Port,
    wait::DEADLINE,
};

const THREAD: &str = "relay under test";
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Panics inside a relay. The runtime catches those of a single session, so that nobody else would
/// hear of them.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// How long after its start a node can say that a code is nowhere, with some to spare.
const SETTLING: Duration = Duration::from_millis(3000);

/// A running relay. Dropping it stops it, and fails the test if it panicked or does not stop.
///
/// With `RELAY_TEST_CLUSTER=1` it is three nodes of a cluster, and whoever asks for its address is given that of
/// one of them at random. What it has counted is the sum: somebody whose room is on another node is a session on
/// both.
pub struct TestRelay {
    nodes: Vec<Node>,
    _nats: Option<Nats>,
}

/// One relay, on a thread of its own.
struct Node {
    addr: SocketAddr,
    counters: Counters,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<io::Result<()>>>,
}

impl TestRelay {
    /// Starts a relay with the defaults, but budgets and shares of an address that no test meets by
    /// accident.
    pub fn start(adjust: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            host: "127.0.0.1".to_owned(),
            port: 0,
            address_sessions: 100_000,
            address_rooms: 100_000,
            address_buffered: 1 << 40,
            rate_limit_max: 100_000,
            address_rate_limit_max: 100_000,
            failed_join_max: 100_000,
            drain_timeout: Duration::from_millis(200),
            ..Config::default()
        };
        adjust(&mut config);
        watch_for_panics();
        match env::var("RELAY_TEST_CLUSTER").is_ok_and(|it| it == "1") {
            true => Self::three(&config),
            false => Self {
                nodes: vec![Node::start(config)],
                _nats: None,
            },
        }
    }

    fn three(config: &Config) -> Self {
        let nats = Nats::start().expect("a nats-server");
        let nodes = (0..3).map(|_| {
            let port = Port::reserve();
            Node::start(Config {
                port: port.number(),
                cluster_nats: NatsServers::parse(&nats.url()).expect("a URL"),
                cluster_address: Url::parse(&format!("ws://{}", port.addr())).ok(),
                cluster_secret: Secret::parse(SECRET).expect("a secret"),
                ..config.clone()
            })
        });
        let nodes = nodes.collect();
        thread::sleep(SETTLING);
        Self {
            nodes,
            _nats: Some(nats),
        }
    }

    fn node(&self) -> &Node {
        &self.nodes[rand::random_range(0..self.nodes.len())]
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.node().addr
    }

    /// Its port of 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.addr().port()
    }

    /// Where a WebSocket client finds it.
    pub fn url(&self) -> String {
        format!("ws://{}/", self.addr())
    }

    /// What it has counted.
    pub fn metrics(&self) -> Metrics {
        Metrics::sum(self.nodes.iter().map(|node| Metrics::of(node.addr)))
    }

    /// What is outstanding in it.
    pub fn counters(&self) -> Snapshot {
        let all = self.nodes.iter().map(|node| node.counters.snapshot());
        all.reduce(add).expect("a node")
    }

    /// Waits until the counters are as they should become.
    pub async fn until(&self, awaited: &str, holds: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let last = self.counters();
            if holds(&last) {
                return last;
            }
            assert!(
                Instant::now() < deadline,
                "waited in vain for {awaited}: {last:?}"
            );
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Waits until nothing is left of any session but the budgets of their addresses.
    pub async fn settled(&self) {
        let nothing = Snapshot::default();
        self.until("an empty relay", |now| {
            Snapshot {
                addresses: 0,
                handshakes: 0,
                ..now.clone()
            } == nothing
        })
        .await;
        let metrics = self.metrics();
        for waits in ["paused", "untaken"] {
            let family = format!("relay_{waits}_sessions{{");
            for name in metrics.names().filter(|name| name.starts_with(&family)) {
                assert_eq!(metrics.get(name), 0, "{name} where nobody is");
            }
        }
    }

    /// Asks the relay to stop, as a signal would.
    pub fn begin_shutdown(&mut self) {
        for node in &mut self.nodes {
            node.begin_shutdown();
        }
    }

    /// The same, and waits until it has begun to.
    pub fn stop(&mut self) {
        self.begin_shutdown();
        for node in &self.nodes {
            http::until_stopping(node.addr);
        }
    }

    /// Waits for the end of the drain, and returns what `run` did.
    ///
    /// # Errors
    ///
    /// What `run` failed with.
    pub async fn join(mut self) -> io::Result<()> {
        let deadline = Instant::now() + DEADLINE;
        while self.is_running() && Instant::now() < deadline {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        self.nodes.iter_mut().try_for_each(Node::outcome)
    }

    /// Whether `run` has not returned yet.
    pub fn is_running(&self) -> bool {
        self.nodes.iter().any(Node::is_running)
    }
}

impl Node {
    fn start(config: Config) -> Self {
        let (started, start) = mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new()
            .name(THREAD.to_owned())
            .spawn(move || {
                worker::system()?.block_on(async move {
                    let relay = Relay::bind(config)?;
                    let _ = started.send((relay.local_addrs()[0], relay.counters()));
                    relay
                        .run(async move {
                            let _ = stopped.await;
                        })
                        .await
                })
            })
            .expect("a thread");
        let Ok((addr, counters)) = start.recv_timeout(DEADLINE) else {
            panic!("the relay did not start: {:?}", thread.join());
        };
        Self {
            addr,
            counters,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    fn begin_shutdown(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    fn is_running(&self) -> bool {
        self.thread
            .as_ref()
            .is_some_and(|thread| !thread.is_finished())
    }

    fn outcome(&mut self) -> io::Result<()> {
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        assert!(
            thread.is_finished(),
            "the relay did not stop: {:?}",
            self.counters.snapshot()
        );
        thread
            .join()
            .unwrap_or_else(|_| panic!("the relay panicked"))
    }
}

impl Drop for TestRelay {
    fn drop(&mut self) {
        self.begin_shutdown();
        let deadline = Instant::now() + DEADLINE;
        while self.is_running() && Instant::now() < deadline {
            thread::sleep(LOOK_AGAIN);
        }
        if thread::panicking() {
            return; // The test has its own complaint already.
        }
        for node in &mut self.nodes {
            node.outcome().expect("the relay ends well");
        }
        let panics = PANICS
            .lock()
            .map(|panics| panics.join("; "))
            .unwrap_or_default();
        assert!(
            panics.is_empty(),
            "a relay of this test program panicked: {panics}"
        );
    }
}

/// What is outstanding in both.
fn add(one: Snapshot, other: Snapshot) -> Snapshot {
    Snapshot {
        sessions: one.sessions + other.sessions,
        rooms: one.rooms + other.rooms,
        away: one.away + other.away,
        handshakes: one.handshakes + other.handshakes,
        pairs: one.pairs + other.pairs,
        queued: one.queued + other.queued,
        in_flight: one.in_flight + other.in_flight,
        buffered: one.buffered + other.buffered,
        held: one.held + other.held,
        addresses: one.addresses + other.addresses,
        waiting: one.waiting + other.waiting,
    }
}

fn watch_for_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let thread = thread::current();
            let name = thread.name().unwrap_or_default();
            if (name == THREAD || name.starts_with("actix"))
                && let Ok(mut panics) = PANICS.lock()
            {
                panics.push(info.to_string());
            }
            print(info);
        }));
    });
}
