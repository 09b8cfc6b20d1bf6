//! What a session has of the thread it is on: its socket, to read and to write, an alarm, and its place
//! in the line of the sessions there that read. When it reads and writes is for the pump.

use std::{
    cell::RefCell,
    ffi::c_int,
    future::Future,
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context as Task, Poll, ready},
    time::{Duration, Instant},
};

use actix_rt::{
    net::TcpStream,
    time::{Sleep, sleep},
};
use futures_util::FutureExt;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::PollSemaphore;

use crate::flow::outbox::Outbox;

/// Sessions of each line that may go on reading without their sockets each time the runtime looks at
/// sockets. It takes up a few of them at a time (`process::worker`): if all who go on, as they have
/// left something unread, had their turn in between, hardly anybody else would have one.
const GOING_ON: usize = 1;

/// When an alarm rings that nobody has set: the first turn, which comes at once, sets it.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Bytes read in one call. All sessions of a worker share one buffer of this size: what is read is
/// copied out of it while it is unmasked, so an idle session has none.
pub(super) const READ: usize = 64 * 1024;

/// Chunks given to the system in one call.
const MAX_SLICES: usize = 32;

/// More is to follow: the FIN, so that the last bytes need no packet of their own.
const WITH_FIN: c_int = libc::MSG_MORE;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into());
}

/// Who goes on reading without a socket to wake it. There are two lines, so that however many have
/// always more to say than one turn takes, who waits for its receiver is not behind them.
struct Lines {
    /// Those whose turn ended before all was read.
    more: Arc<Semaphore>,
    /// Those whose window was full and has opened.
    opened: Arc<Semaphore>,
}

thread_local! {
    static LINES: Lines = Lines {
        more: Arc::new(Semaphore::new(GOING_ON)),
        opened: Arc::new(Semaphore::new(GOING_ON)),
    };
}

/// Why reading stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    /// There is nothing to read.
    Empty,
    /// There may be more to read, after the others' turn.
    More,
    /// So much is under way that no more is wanted until its window opens again.
    Full,
    /// This phase of the session is none to read in.
    Unwanted,
    /// Not before this moment.
    Until(Instant),
}

/// A session's socket. It must be made on the thread that uses it.
pub(super) struct Socket {
    pub(super) stream: TcpStream,
    alarm: Pin<Box<Sleep>>,
    /// How its last turn ended.
    pub(super) paused: Pause,
    /// Its place in each line, should it stand there.
    more: PollSemaphore,
    opened: PollSemaphore,
    /// Its turn, from when it has one until that is over.
    turn: Option<OwnedSemaphorePermit>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        LINES.with(|lines| Self {
            stream,
            alarm: Box::pin(sleep(FAR)),
            paused: Pause::Empty,
            more: PollSemaphore::new(Arc::clone(&lines.more)),
            opened: PollSemaphore::new(Arc::clone(&lines.opened)),
            turn: None,
        })
    }

    /// Waits for its turn to read. Once it is pending it must be asked each time the session is
    /// woken, whatever its phase: a turn that is given and not taken holds up everybody in line.
    pub(super) fn poll_turn(&mut self, task: &mut Task<'_>) -> Poll<()> {
        // These go on without their sockets.
        let line = match self.paused {
            Pause::More => &mut self.more,
            Pause::Full => &mut self.opened,
            Pause::Empty | Pause::Unwanted | Pause::Until(_) => return Poll::Ready(()),
        };
        if self.turn.is_none() {
            self.turn = ready!(line.poll_acquire(task));
            // A plain wake-up would come sixty times before the runtime looks at other sockets.
            return pin!(tokio::task::yield_now()).poll(task);
        }
        Poll::Ready(())
    }

    /// Gives others their turn.
    pub(super) fn end_turn(&mut self, paused: Pause, task: &mut Task<'_>) {
        self.paused = paused;
        self.turn = None;
        if paused == Pause::More {
            // Asked for the next one at once, as nothing else will wake it.
            let _ = self.poll_turn(task);
        }
    }

    /// Whether something has come that was not read, were it the end of the stream: asked of the system
    /// itself, as the runtime tells of a few sockets at a time.
    pub(super) fn has_unread(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        SockRef::from(&self.stream).peek(&mut byte).is_ok()
    }

    /// Has the session's task polled at that moment.
    pub(super) fn wake_at(&mut self, then: Instant, now: Instant, task: &mut Task<'_>) {
        if then <= now {
            task.waker().wake_by_ref();
            return;
        }
        let then = tokio::time::Instant::from_std(then);
        // An alarm that rings too early costs less than one set anew with every frame.
        if then < self.alarm.deadline() || self.alarm.is_elapsed() {
            self.alarm.as_mut().reset(then);
        }
        if self.alarm.poll_unpin(task).is_ready() {
            task.waker().wake_by_ref();
        }
    }

    /// Has `consume` look at what was read, at most `most` bytes; none at the end of the stream.
    pub(super) fn poll_read(
        &mut self,
        most: usize,
        task: &mut Task<'_>,
        consume: impl FnOnce(&[u8]),
    ) -> Poll<io::Result<usize>> {
        BUFFER.with_borrow_mut(|buffer| {
            let mut buffer = ReadBuf::new(&mut buffer[..most.min(READ)]);
            ready!(Pin::new(&mut self.stream).poll_read(task, &mut buffer))?;
            consume(buffer.filled());
            Poll::Ready(Ok(buffer.filled().len()))
        })
    }

    /// Has `work` move bytes with the buffer that all sessions of the thread share.
    pub(super) fn with_buffer<T>(
        &mut self,
        work: impl FnOnce(&mut TcpStream, &mut [u8]) -> T,
    ) -> T {
        BUFFER.with_borrow_mut(|buffer| work(&mut self.stream, buffer))
    }

    /// Writes about `most` bytes of what waits, or what the system takes of them, and says how many that
    /// were; if fewer, the session's task is woken when it takes more.
    pub(super) fn write(
        &mut self,
        outbox: &mut Outbox,
        most: usize,
        task: &mut Task<'_>,
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut filled = 0;
        for (slice, bytes) in slices.iter_mut().zip(outbox.slices(most)) {
            *slice = IoSlice::new(bytes);
            filled += 1;
        }
        let count = match &slices[..filled] {
            [only] => ready!(stream.poll_write(task, only))?,
            several => ready!(stream.poll_write_vectored(task, several))?,
        };
        outbox.written(count);
        Poll::Ready(match count {
            0 => Err(io::ErrorKind::WriteZero.into()),
            count => Ok(count),
        })
    }

    /// Offers about `most` bytes of what waits to the system without asking the runtime, which may not
    /// have heard yet that there is room. Says how many bytes it took, and why it takes none ever again.
    pub(super) fn offer(&self, outbox: &mut Outbox, most: usize) -> (usize, io::Result<()>) {
        self.send(outbox, most, 0)
    }

    /// The same for the last that is written, as far as it fits: what is shut next goes with it.
    pub(super) fn offer_last(&self, outbox: &mut Outbox) -> (usize, io::Result<()>) {
        self.send(outbox, usize::MAX, WITH_FIN)
    }

    fn send(&self, outbox: &mut Outbox, most: usize, flags: c_int) -> (usize, io::Result<()>) {
        let socket = SockRef::from(&self.stream);
        let mut written = 0;
        while written < most {
            let first = outbox.slices(usize::MAX).next();
            match first.map(|bytes| socket.send_with_flags(bytes, flags)) {
                None => break,
                Some(Ok(count)) => {
                    outbox.written(count);
                    written += count;
                }
                Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => break,
                Some(Err(error)) => return (written, Err(error)),
            }
        }
        (written, Ok(()))
    }

    /// Shuts the sending side.
    pub(super) fn shut(&mut self, task: &mut Task<'_>) {
        // Never pending: a TCP socket is shut in one system call. If it fails, it is gone.
        drop(Pin::new(&mut self.stream).poll_shutdown(task));
    }
}
