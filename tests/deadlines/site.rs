//! A relay on the test's own thread, whose clock stands still until it is moved; sockets are real
//! ones.

use std::{
    net::SocketAddr,
    panic::{AssertUnwindSafe, resume_unwind},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use claude_distill_relay::{
    config::Config,
    observe::metrics::Snapshot,
    process::{Counters, Relay, worker},
};
use futures_util::FutureExt;
use relay_testing::{
    DEADLINE, Frame, Raw,
    http::UPGRADE,
    wire::{CLOSE, PING},
};
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::oneshot,
    task,
    time::advance,
};

/// The clock moves in steps of this length, and what follows from one is done before the next.
const STEP: Duration = Duration::from_millis(100);
/// How much faster than the true clock this one runs at most. The system puts off what is sent behind a silence by
/// tens of true milliseconds at times, and nobody is to be dead by that.
const FASTEST: u32 = 100;
/// Each step ends so long after a round time, since the runtime's timers round up.
pub const TICK: Duration = Duration::from_millis(5);
/// A deadline that follows from another one, and is met by the step after it.
pub const LATE: Duration = Duration::from_millis(250);

/// A relay whose clock only this test moves.
pub struct Site {
    addr: SocketAddr,
    counters: Counters,
    /// When its clock began.
    pub begun: Instant,
}

/// Runs a test beside a relay with the defaults, at a clock that stands still.
pub fn at_a_still_clock(test: impl AsyncFnOnce(&Site)) {
    with_config(|_| {}, test);
}

/// The same beside a relay that differs from the defaults in this.
pub fn with_config(adjust: impl FnOnce(&mut Config), test: impl AsyncFnOnce(&Site)) {
    worker::system().unwrap().block_on(async {
        tokio::time::pause();
        // The runtime moves a paused clock by itself whenever all tasks wait, unless a thread works.
        // This one gives up at last, so that what waits in vain meets its own deadline.
        let (awake, asleep) = mpsc::channel::<()>();
        let working = task::spawn_blocking(move || asleep.recv_timeout(10 * DEADLINE).is_err());

        let mut config = Config {
            port: 0,
            ..Config::default()
        };
        adjust(&mut config);
        let relay = Relay::bind(config).unwrap();
        let site = Site {
            addr: relay.local_addrs()[0],
            counters: relay.counters(),
            begun: now(),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let running = actix_rt::spawn(relay.run(async { drop(stopped.await) }));
        // A registry that is dropped by a panic ends the process, without a word of the test's.
        let tested = AssertUnwindSafe(test(&site)).catch_unwind().await;
        // From here on it may move: the drain has deadlines of its own.
        drop((awake, stop));
        working.await.unwrap();
        running.await.unwrap().unwrap();
        tested.unwrap_or_else(|panic| resume_unwind(panic));
    });
}

pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Lets every task do what it can: each is polled many times, and the sockets are looked at.
pub async fn settle() {
    for _ in 0..150 {
        task::yield_now().await;
    }
}

/// The next frame, if one is there; none from a connection that has ended.
pub fn next_now(client: &mut Raw) -> Option<Frame> {
    client.next_or_end("a frame").now_or_never().flatten()
}

/// The last that the relay says: a Close, and the end of the connection.
pub async fn expect_last_close(client: &mut Raw, code: u16, reason: &str) {
    let close = client.next("a close").await;
    let payload = [&code.to_be_bytes()[..], reason.as_bytes()].concat();
    assert_eq!((close.opcode, &close.payload[..]), (CLOSE, &payload[..]));
    assert_eq!(client.next_or_end("the end").await, None);
}

/// Shows that a client lives, whatever else it was sent.
pub async fn answer_pings(client: &mut Raw) {
    settle().await;
    while let Some(frame) = next_now(client) {
        if frame.opcode == PING {
            client.pong(&frame.payload).await;
        }
    }
}

impl Site {
    pub async fn dial(&self) -> Raw {
        Raw::over(TcpStream::connect(self.addr).await.unwrap())
    }

    pub async fn connect(&self) -> Raw {
        let mut raw = self.dial().await;
        raw.upgrade(UPGRADE).await;
        raw
    }

    /// A session of a client behind a trusted proxy.
    pub async fn connect_for(&self, client: &str) -> Raw {
        let mut raw = self.dial().await;
        let head = format!("{UPGRADE}X-Forwarded-For: {client}\r\n");
        raw.upgrade(&head).await;
        raw
    }

    /// A session whose system takes little that it does not read.
    pub async fn connect_narrow(&self) -> Raw {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        let mut raw = Raw::over(socket.connect(self.addr).await.unwrap());
        raw.upgrade(UPGRADE).await;
        raw
    }

    pub async fn pair(&self) -> (Raw, Raw) {
        let (mut sender, code) = self.sender().await;
        let mut receiver = self.connect_narrow().await;
        receiver.join(&code).await;
        sender.expect_peer().await;
        (sender, receiver)
    }

    /// A sender, and the code of its room.
    pub async fn sender(&self) -> (Raw, String) {
        let mut sender = self.connect().await;
        let code = sender.create_room().await;
        (sender, code)
    }

    /// Waits until the relay reads nothing more.
    pub async fn until_still(&self) {
        let (mut last, mut same) = (0, 0);
        while same < 10 {
            settle().await;
            let now = self.counters.snapshot().in_flight;
            same = if now == last { same + 1 } else { 0 };
            last = now;
        }
    }

    pub fn sessions(&self) -> usize {
        self.now().sessions
    }

    /// Moves the clock on while nothing of the relay runs: it is as if the process had stood still.
    pub async fn pause(&self, time: Duration) {
        advance(time).await;
    }

    /// What is outstanding.
    pub fn now(&self) -> Snapshot {
        self.counters.snapshot()
    }

    /// Moves the clock to so long after the beginning.
    pub async fn at(&self, time: Duration) {
        loop {
            settle().await;
            let passed = now() - self.begun;
            let Some(left) = time.checked_sub(passed).filter(|left| !left.is_zero()) else {
                return;
            };
            let rounds = (passed.as_millis() / STEP.as_millis()) as u32 + 1;
            let next = STEP * rounds + TICK;
            let step = left.min(next - passed);
            advance(step).await;
            thread::sleep(step / FASTEST);
        }
    }

    /// The same, while these clients answer their Pings and say nothing else.
    pub async fn alive_until<const N: usize>(&self, time: Duration, mut clients: [&mut Raw; N]) {
        // A Ping that is not there yet is answered the next time, long before its Pong is late.
        const OFTEN: Duration = Duration::from_secs(3);
        while let left = time.saturating_sub(now() - self.begun)
            && !left.is_zero()
        {
            self.at(time - left + left.min(OFTEN)).await;
            for client in &mut clients {
                answer_pings(client).await;
            }
        }
    }

    /// Of `before` sessions one is ended at this time after the beginning, and no sooner.
    pub async fn one_ends_at(&self, before: usize, time: Duration) {
        self.at(time - TICK).await;
        assert_eq!(self.sessions(), before, "sooner than {time:?}");
        self.at(time + LATE).await;
        assert_eq!(self.sessions(), before - 1, "not after {time:?}");
    }
}
