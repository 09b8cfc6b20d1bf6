//! A line between a client and a relay, which carries so many bytes a second, takes its time, and has
//! buffers of its own, as routers and proxies have. A TCP forwarder on loopback stands for it.
//!
//! ```text
//! who sends ─► at most `buffer` bytes wait ─► so many bytes a second ─► `delay` ─► who receives
//! ```
//!
//! Who sends is read up to the buffer, however slow the line is, and beyond it not at all. Each way is one
//! loop: a chunk arrives when the line has carried all before it, no sooner than `delay` after it was
//! taken, plus its own length at the line's rate. Ends pass through in order: a close, or a reset, arrives
//! behind what was sent before it.

#[cfg(test)]
mod tests;

use std::{
    convert::Infallible,
    future::pending,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc as threads,
    },
    thread,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpSocket, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};

/// What the system may hold of each way at each of the forwarder's sockets, beyond `buffer`; it doubles
/// this. With less, TCP on loopback waits for its timers.
const SYSTEM: u32 = 64 << 10;
/// The most that is passed on at once.
const CHUNK: u64 = 64 << 10;
/// What is passed on at once, as a part of a second of the line.
const CHUNKS_A_SECOND: u64 = 100;
/// By how much the forwarder may be late, and make up for it. Who does not take what arrived for longer
/// has lost that time, as on any line.
const LATE: Duration = Duration::from_millis(50);

/// Bytes a second of a line of so many Mbit/s.
pub const fn mbit(mbit: f64) -> u64 {
    (mbit * 125_000.0) as u64
}

/// What a line is like. Each connection through it has all of it.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Bytes a second to the client.
    pub down: u64,
    /// Bytes a second from the client.
    pub up: u64,
    /// How long a byte is under way, in each direction.
    pub delay: Duration,
    /// Bytes taken from whoever sends that have not arrived yet, in each direction.
    pub buffer: usize,
}

impl Default for Line {
    /// As fast as it goes, with a buffer of a MiB.
    fn default() -> Self {
        Self {
            down: u64::MAX,
            up: u64::MAX,
            delay: Duration::ZERO,
            buffer: 1 << 20,
        }
    }
}

impl Line {
    /// Of so many bytes a second in each direction.
    pub fn of(rate: u64) -> Self {
        Self {
            down: rate,
            up: rate,
            ..Self::default()
        }
    }

    /// Lays it to a relay. It is served by a thread of its own, until it is dropped.
    pub fn lay(self, relay: SocketAddr) -> Forwarder {
        let carried = Arc::new(Carried::default());
        let (started, start) = threads::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let (cuts, cut) = watch::channel(());
        let counts = Arc::clone(&carried);
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(async {
                let listener = listener().expect("a port to listen on");
                let addr = listener.local_addr().expect("an address");
                started.send(addr).expect("somebody who waits");
                tokio::select! {
                    () = serve(listener, relay, self, counts, cut) => {}
                    _ = stopped => {}
                }
            });
        });
        Forwarder {
            addr: start.recv().expect("a forwarder"),
            carried,
            cuts,
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

/// Bytes that have arrived, over all connections.
#[derive(Default)]
struct Carried {
    down: AtomicU64,
    up: AtomicU64,
}

/// A line in use; its connections end without a word when it is dropped.
pub struct Forwarder {
    addr: SocketAddr,
    carried: Arc<Carried>,
    cuts: watch::Sender<()>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Forwarder {
    /// The client's end of it.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where a WebSocket client finds the relay.
    pub fn url(&self) -> String {
        format!("ws://{}/", self.addr)
    }

    /// Resets the connections there are, and what is on its way is lost; new ones are carried as ever.
    pub fn cut(&self) {
        self.cuts.send_replace(());
    }

    /// Bytes that have arrived at the client.
    pub fn down(&self) -> u64 {
        self.carried.down.load(Relaxed)
    }

    /// Bytes of the client that have arrived at the relay.
    pub fn up(&self) -> u64 {
        self.carried.up.load(Relaxed)
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(thread::JoinHandle::join);
        if !thread::panicking() {
            ended
                .expect("a thread")
                .expect("a forwarder that does not panic");
        }
    }
}

fn socket() -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Before it connects or listens, as the window is agreed on then.
    socket.set_recv_buffer_size(SYSTEM)?;
    socket.set_send_buffer_size(SYSTEM)?;
    Ok(socket)
}

fn listener() -> io::Result<TcpListener> {
    let socket = socket()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    socket.listen(1024)
}

async fn serve(
    listener: TcpListener,
    relay: SocketAddr,
    line: Line,
    carried: Arc<Carried>,
    cut: watch::Receiver<()>,
) {
    loop {
        let (mut client, _) = listener.accept().await.expect("a connection");
        let (carried, mut cut) = (Arc::clone(&carried), cut.clone());
        cut.mark_unchanged();
        tokio::spawn(async move {
            let relay = async { socket()?.connect(relay).await };
            let Ok(mut relay) = relay.await else {
                reset(&client);
                return;
            };
            tokio::select! {
                () = carry(&mut client, &mut relay, line, &carried) => return,
                Ok(()) = cut.changed() => {}
            }
            reset(&client);
            reset(&relay);
        });
    }
}

/// Carries what both have to say, until both have closed or one has gone away with a reset.
async fn carry(client: &mut TcpStream, relay: &mut TcpStream, line: Line, carried: &Carried) {
    for socket in [&*client, &*relay] {
        socket.set_nodelay(true).expect("TCP_NODELAY");
    }
    let dead = [const { AtomicBool::new(false) }; 2];
    let [client_is_dead, relay_is_dead] = &dead;
    let way = |rate, from_is_dead, to_is_dead, carried| Way {
        rate,
        delay: line.delay,
        buffer: line.buffer,
        from_is_dead,
        to_is_dead,
        carried,
    };
    let up = way(line.up, client_is_dead, relay_is_dead, &carried.up);
    let down = way(line.down, relay_is_dead, client_is_dead, &carried.down);
    let (from_client, to_client) = client.split();
    let (from_relay, to_relay) = relay.split();
    let ways = tokio::try_join!(
        up.carry(from_client, to_relay),
        down.carry(from_relay, to_client)
    );
    if ways.is_err() || dead.iter().any(|dead| dead.load(Relaxed)) {
        reset(client);
        reset(relay);
    }
}

/// Makes the end of a connection a reset.
fn reset(socket: &TcpStream) {
    // It fails only where the connection has ended already.
    drop(SockRef::from(socket).set_linger(Some(Duration::ZERO)));
}

/// One direction of a connection.
struct Way<'a> {
    /// Bytes a second.
    rate: u64,
    delay: Duration,
    buffer: usize,
    /// Whether a write to the end that this way reads from has failed. The system tells of a reset once,
    /// to whoever reads or writes next; after that the end looks as if it had closed.
    from_is_dead: &'a AtomicBool,
    to_is_dead: &'a AtomicBool,
    carried: &'a AtomicU64,
}

/// Something on its way.
struct Piece {
    taken: Instant,
    what: What,
}

enum What {
    Bytes {
        bytes: Bytes,
        /// The part of the buffer that they have until they have arrived.
        _room: OwnedSemaphorePermit,
    },
    Close,
    Reset,
}

/// An end of the connection that is none of the close handshake's.
struct WasReset;

impl Way<'_> {
    /// Until the end of this way has arrived, which is an error if it is a reset.
    async fn carry(&self, from: ReadHalf<'_>, to: WriteHalf<'_>) -> Result<(), WasReset> {
        // The buffer bounds it.
        let (queue, waiting) = mpsc::unbounded_channel();
        let taking = async {
            self.take(from, queue).await;
            pending::<Infallible>().await
        };
        tokio::select! {
            end = self.give(waiting, to) => end,
            never = taking => match never {},
        }
    }

    async fn take(&self, mut from: ReadHalf<'_>, queue: mpsc::UnboundedSender<Piece>) {
        let chunk = (self.rate / CHUNKS_A_SECOND).clamp(1 << 10, CHUNK) as usize;
        let chunk = chunk.min(self.buffer);
        let room = Arc::new(Semaphore::new(self.buffer));
        let mut buffer = BytesMut::new();
        loop {
            let permits = Arc::clone(&room).acquire_many_owned(chunk as u32);
            let mut room = permits.await.expect("a semaphore that is never closed");
            buffer.reserve(chunk);
            let read = (&mut from).take(chunk as u64).read_buf(&mut buffer).await;
            let taken = Instant::now();
            let what = match read {
                Ok(0) if !self.from_is_dead.load(Relaxed) => What::Close,
                Ok(0) | Err(_) => What::Reset,
                Ok(read) => {
                    let used = room.split(read).expect("no more than was asked for");
                    What::Bytes {
                        bytes: buffer.split().freeze(),
                        _room: used,
                    }
                }
            };
            let more = matches!(what, What::Bytes { .. });
            // Nobody receives it where the other end is dead.
            if queue.send(Piece { taken, what }).is_err() || !more {
                return;
            }
        }
    }

    async fn give(
        &self,
        mut waiting: mpsc::UnboundedReceiver<Piece>,
        mut to: WriteHalf<'_>,
    ) -> Result<(), WasReset> {
        // When the last piece arrives.
        let mut last = Instant::now();
        while let Some(piece) = waiting.recv().await {
            last = last.max(piece.taken + self.delay);
            if let What::Bytes { bytes, .. } = &piece.what {
                last += Duration::from_secs_f64(bytes.len() as f64 / self.rate as f64);
            }
            if last > Instant::now() {
                sleep_until(last).await;
            }
            let given = match &piece.what {
                What::Bytes { bytes, .. } => to.write_all(bytes).await,
                What::Close => to.shutdown().await,
                What::Reset => return Err(WasReset),
            };
            if given.is_err() {
                // What that end has said before still arrives, by the other way, and its reset behind it.
                self.to_is_dead.store(true, Relaxed);
                return Ok(());
            }
            if let What::Bytes { bytes, .. } = &piece.what {
                self.carried.fetch_add(bytes.len() as u64, Relaxed);
            }
            last = last.max(Instant::now() - LATE);
        }
        Ok(())
    }
}
