//! The bytes of a client whose room is on another node: what it says goes there, and what the room's node says
//! comes back, as it is. That node is the one that knows the client's frames, answers its Pings and keeps its
//! time; here nothing is looked into but where frames of its end, since a Close of this node's own has to stand
//! between two.
//!
//! Each direction holds what one read has brought and nobody has taken, and reads no more until that is gone:
//! so a slow client slows down the room's node, as it does where both are one.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use relay_client::stream::Stream;
use relay_wire::frame::{Header, MAX_SENT_HEADER, Opcode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::visit::Upstream;

/// Bytes that one direction moves before others have their turn.
const TURN: usize = 256 * 1024;

/// The two directions between a client and its room's node.
pub struct Pipe {
    upstream: Stream,
    to_client: Held,
    to_room: Held,
    frames: Frames,
    /// The Close that is to follow the frame which is being passed on.
    closing: Option<Vec<u8>>,
    /// Whether the client says no more, and whether the room's node knows.
    client_over: bool,
    shut: bool,
}

/// What one turn has moved.
#[derive(Debug, Default)]
pub struct Turn {
    /// Bytes read from the client.
    pub received: usize,
    /// Bytes written to the client.
    pub sent: usize,
    /// Whether there may be more to move, after the others' turn.
    pub more: bool,
    /// How it ends, if it does.
    pub end: Option<End>,
}

/// How a pipe ends.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The client is gone.
    Client,
    /// This node's Close is said, with what still waits for the client.
    Closed(Vec<u8>),
    /// The room's node has ended it.
    Room {
        /// What still waits for the client.
        rest: Vec<u8>,
        /// How far it came.
        last: Last,
    },
}

/// What the room's node said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// A Close: the session is over.
    Close,
    /// Some other frame, to its end.
    Whole,
    /// A part of a frame.
    Part,
}

/// Bytes that were read and not taken.
#[derive(Default)]
struct Held {
    bytes: Vec<u8>,
    taken: usize,
}

impl Held {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    fn is_empty(&self) -> bool {
        self.rest().is_empty()
    }

    fn take(&mut self, count: usize) {
        self.taken += count;
        if self.is_empty() {
            // Who is idle holds no memory for this.
            *self = Self::default();
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
}

impl Pipe {
    /// A pipe to `upstream`. The client is given `first` before what comes from there, and the room's node
    /// `unread`, which the client has said already.
    pub fn new(upstream: Upstream, first: Vec<u8>, unread: Vec<u8>) -> Self {
        let mut pipe = Self {
            upstream: upstream.stream,
            to_client: Held::default(),
            to_room: Held::default(),
            frames: Frames::default(),
            closing: None,
            client_over: false,
            shut: false,
        };
        pipe.frames.pass(&upstream.rest);
        pipe.to_client.push(&first);
        pipe.to_client.push(&upstream.rest);
        pipe.to_room.push(&unread);
        pipe
    }

    /// Has this Close frame follow the frame that is being passed on to the client, and nothing follow that.
    pub fn close(&mut self, frame: Vec<u8>) {
        self.closing.get_or_insert(frame);
    }

    /// Moves what there is. Whoever is waited for wakes the task.
    pub fn poll(
        &mut self,
        client: &mut (impl AsyncRead + AsyncWrite + Unpin),
        buffer: &mut [u8],
        task: &mut Context<'_>,
    ) -> Turn {
        let mut turn = Turn::default();
        match self.poll_down(client, buffer, task, &mut turn) {
            Poll::Ready(Ok(end)) => turn.end = Some(end),
            Poll::Ready(Err(_)) => turn.end = Some(End::Client),
            Poll::Pending => {
                if let Poll::Ready(Err(_)) = self.poll_up(client, buffer, task, &mut turn) {
                    turn.end = Some(End::Client);
                }
            }
        }
        turn
    }

    /// From the room's node to the client. An error is the client's.
    fn poll_down(
        &mut self,
        client: &mut (impl AsyncWrite + Unpin),
        buffer: &mut [u8],
        task: &mut Context<'_>,
        turn: &mut Turn,
    ) -> Poll<io::Result<End>> {
        while turn.sent < TURN {
            if self.frames.is_between()
                && let Some(close) = self.closing.take()
            {
                self.to_client.push(&close);
                return Poll::Ready(Ok(End::Closed(self.to_client.rest().to_vec())));
            }
            if !self.to_client.is_empty() {
                let Poll::Ready(count) =
                    Pin::new(&mut *client).poll_write(task, self.to_client.rest())
                else {
                    return Poll::Pending;
                };
                let count = some(count?)?;
                self.to_client.take(count);
                turn.sent += count;
                continue;
            }
            let mut read = ReadBuf::new(buffer);
            let came = Pin::new(&mut self.upstream).poll_read(task, &mut read);
            let bytes = match came {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !read.filled().is_empty() => read.filled(),
                Poll::Ready(_) => {
                    let last = self.frames.last();
                    let rest = self.to_client.rest().to_vec();
                    return Poll::Ready(Ok(End::Room { rest, last }));
                }
            };
            let bytes = match self.closing {
                // Nothing behind the frame that is being passed on.
                Some(_) => &bytes[..self.frames.pass_one(bytes)],
                None => {
                    self.frames.pass(bytes);
                    bytes
                }
            };
            match Pin::new(&mut *client).poll_write(task, bytes) {
                Poll::Ready(count) => {
                    let count = some(count?)?;
                    turn.sent += count;
                    self.to_client.push(&bytes[count..]);
                }
                Poll::Pending => {
                    self.to_client.push(bytes);
                    return Poll::Pending;
                }
            }
        }
        turn.more = true;
        Poll::Pending
    }

    /// From the client to the room's node. An error is the client's: where the room's node is gone, the other
    /// direction tells.
    fn poll_up(
        &mut self,
        client: &mut (impl AsyncRead + Unpin),
        buffer: &mut [u8],
        task: &mut Context<'_>,
        turn: &mut Turn,
    ) -> Poll<io::Result<()>> {
        while turn.received < TURN {
            if !self.to_room.is_empty() {
                match Pin::new(&mut self.upstream).poll_write(task, self.to_room.rest()) {
                    Poll::Ready(Ok(count @ 1..)) => self.to_room.take(count),
                    Poll::Ready(_) | Poll::Pending => return self.poll_flush(task),
                }
                continue;
            }
            if self.client_over {
                return self.poll_shut(task);
            }
            let mut read = ReadBuf::new(buffer);
            match Pin::new(&mut *client).poll_read(task, &mut read) {
                Poll::Pending => return self.poll_flush(task),
                Poll::Ready(result) => result?,
            }
            let bytes = read.filled();
            self.client_over = bytes.is_empty();
            turn.received += bytes.len();
            if self.client_over {
                continue;
            }
            // From the buffer that all share: what is copied is what the system does not take at once.
            match Pin::new(&mut self.upstream).poll_write(task, bytes) {
                Poll::Ready(Ok(count @ 1..)) => self.to_room.push(&bytes[count..]),
                Poll::Ready(_) | Poll::Pending => {
                    self.to_room.push(bytes);
                    return self.poll_flush(task);
                }
            }
        }
        turn.more = true;
        Poll::Pending
    }

    /// TLS may hold what was written.
    fn poll_flush(&mut self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = Pin::new(&mut self.upstream).poll_flush(task);
        Poll::Pending
    }

    fn poll_shut(&mut self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.shut && Pin::new(&mut self.upstream).poll_shutdown(task).is_ready() {
            self.shut = true;
        }
        Poll::Pending
    }
}

/// Bytes that were written, of which there are some.
fn some(count: usize) -> io::Result<usize> {
    match count {
        0 => Err(io::ErrorKind::WriteZero.into()),
        count => Ok(count),
    }
}

/// Where the frames end of what is passed on (RFC 6455 §5.2).
#[derive(Debug, Default)]
struct Frames {
    head: [u8; MAX_SENT_HEADER],
    /// Bytes of the head that have come.
    read: usize,
    /// Bytes of the payload that have not.
    left: u64,
    closed: bool,
}

impl Frames {
    /// Whether no frame is passed on in part.
    fn is_between(&self) -> bool {
        self.read == 0 && self.left == 0
    }

    fn last(&self) -> Last {
        match self.is_between() {
            true if self.closed => Last::Close,
            true => Last::Whole,
            false => Last::Part,
        }
    }

    /// These bytes are passed on.
    fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[self.pass_one(bytes)..];
        }
    }

    /// Passes bytes on to the end of the frame that they begin with or go on with; returns how many.
    fn pass_one(&mut self, bytes: &[u8]) -> usize {
        let mut passed = 0;
        while self.left == 0 {
            let Some(&byte) = bytes.get(passed) else {
                return passed;
            };
            self.head[self.read] = byte;
            self.read += 1;
            passed += 1;
            match Header::parse(&self.head[..self.read]) {
                Ok(Some((header, _))) => {
                    self.read = 0;
                    self.closed |= header.opcode == Opcode::Close;
                    self.left = header.len;
                    if header.len == 0 {
                        return passed;
                    }
                }
                // Of what no relay says the end is never found, so that nothing is put between.
                Err(_) => {
                    self.read = 0;
                    self.left = u64::MAX;
                }
                Ok(None) if self.read == MAX_SENT_HEADER => {
                    self.read = 0;
                    self.left = u64::MAX;
                }
                Ok(None) => {}
            }
        }
        let rest = bytes.len() - passed;
        let count = usize::try_from(self.left).map_or(rest, |left| left.min(rest));
        self.left -= count as u64;
        passed + count
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
