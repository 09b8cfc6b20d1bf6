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
    task::{Context, Poll, ready},
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
    is_shut: bool,
    /// Whether the client takes nothing any more.
    is_deaf: bool,
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
    /// The client is gone, and what it said is said.
    Client,
    /// This node's Close is said, with what still waits for the client.
    Closed(Vec<u8>),
    /// The room's node has ended it, and the client has been given all that came.
    Room(Last),
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
        self.taken = self.taken.saturating_add(count).min(self.bytes.len());
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
            is_shut: false,
            is_deaf: false,
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

    /// What still waits for the client, where a Close may follow it.
    pub fn rest(&self) -> Option<&[u8]> {
        self.frames.is_between().then(|| self.to_client.rest())
    }

    /// Moves what there is. Whoever is waited for wakes the task.
    ///
    /// What the client says goes first: it may have said its last, and hung up on what comes to it.
    pub fn poll(
        &mut self,
        client: &mut (impl AsyncRead + AsyncWrite + Unpin),
        buffer: &mut [u8],
        task: &mut Context<'_>,
    ) -> Turn {
        let mut turn = Turn::default();
        self.poll_up(client, buffer, task, &mut turn);
        if let Poll::Ready(end) = self.poll_down(client, buffer, task, &mut turn) {
            turn.end = Some(end);
        }
        turn
    }

    /// From the room's node to the client.
    fn poll_down(
        &mut self,
        client: &mut (impl AsyncWrite + Unpin),
        buffer: &mut [u8],
        task: &mut Context<'_>,
        turn: &mut Turn,
    ) -> Poll<End> {
        let mut moved = 0;
        while moved < TURN {
            if self.frames.is_between()
                && let Some(close) = self.closing.take()
            {
                self.to_client.push(&close);
                return Poll::Ready(End::Closed(self.to_client.rest().to_vec()));
            }
            if !self.to_client.is_empty() {
                let written = Pin::new(&mut *client).poll_write(task, self.to_client.rest());
                let count = self.given(ready!(written), turn);
                self.to_client.take(count);
                continue;
            }
            let mut read = ReadBuf::new(buffer);
            let came = ready!(Pin::new(&mut self.upstream).poll_read(task, &mut read));
            let bytes = read.filled();
            if came.is_err() || bytes.is_empty() {
                return Poll::Ready(match self.is_deaf {
                    true => End::Client,
                    false => End::Room(self.frames.last()),
                });
            }
            moved += bytes.len();
            if self.is_deaf {
                continue;
            }
            let bytes = match self.closing {
                // Nothing behind the frame that is being passed on.
                Some(_) => &bytes[..self.frames.pass_one(bytes)],
                None => {
                    self.frames.pass(bytes);
                    bytes
                }
            };
            match Pin::new(&mut *client).poll_write(task, bytes) {
                Poll::Ready(written) => {
                    let count = self.given(written, turn).min(bytes.len());
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

    /// Notes what of a write to the client has come; returns how many bytes need not be held any longer. Who takes none
    /// any more may have said something all the same.
    fn given(&mut self, written: io::Result<usize>, turn: &mut Turn) -> usize {
        match written {
            Ok(count @ 1..) => {
                turn.sent += count;
                count
            }
            Ok(0) | Err(_) => {
                self.is_deaf = true;
                usize::MAX
            }
        }
    }

    /// From the client to the room's node. That the node is gone is told by the other direction.
    fn poll_up(
        &mut self,
        client: &mut (impl AsyncRead + Unpin),
        buffer: &mut [u8],
        task: &mut Context<'_>,
        turn: &mut Turn,
    ) {
        while turn.received < TURN {
            if !self.to_room.is_empty() {
                match Pin::new(&mut self.upstream).poll_write(task, self.to_room.rest()) {
                    Poll::Ready(Ok(count @ 1..)) => self.to_room.take(count),
                    Poll::Ready(_) | Poll::Pending => return self.flush(task),
                }
                continue;
            }
            if self.client_over {
                return self.shut(task);
            }
            let mut read = ReadBuf::new(buffer);
            let came = Pin::new(&mut *client).poll_read(task, &mut read);
            let Poll::Ready(came) = came else {
                return self.flush(task);
            };
            // Who resets the connection takes nothing any more either.
            self.is_deaf |= came.is_err();
            let bytes = read.filled();
            self.client_over = came.is_err() || bytes.is_empty();
            turn.received += bytes.len();
            if self.client_over {
                continue;
            }
            // From the buffer that all share: what is copied is what the system does not take at once.
            match Pin::new(&mut self.upstream).poll_write(task, bytes) {
                Poll::Ready(Ok(count @ 1..)) => self.to_room.push(&bytes[count..]),
                Poll::Ready(_) | Poll::Pending => {
                    self.to_room.push(bytes);
                    return self.flush(task);
                }
            }
        }
        turn.more = true;
    }

    /// TLS may hold what was written.
    fn flush(&mut self, task: &mut Context<'_>) {
        let _ = Pin::new(&mut self.upstream).poll_flush(task);
    }

    fn shut(&mut self, task: &mut Context<'_>) {
        if !self.is_shut && Pin::new(&mut self.upstream).poll_shutdown(task).is_ready() {
            self.is_shut = true;
        }
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
