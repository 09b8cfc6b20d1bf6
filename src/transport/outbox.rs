//! What waits to be written to a socket.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use tokio::io::AsyncWrite;

use super::data::Chunk;

/// Chunks given to the system in one call.
const MAX_SLICES: usize = 32;
/// Slots an empty outbox keeps for the next chunks; a longer queue was a rarity, and goes.
const KEPT_SLOTS: usize = 8;

/// A queue of encoded frames. Each keeps its credit until its last byte is with the system.
///
/// It has no bound of its own: credits bound what their owners put here.
#[derive(Debug, Default)]
pub struct Outbox {
    chunks: VecDeque<Chunk>,
}

impl Outbox {
    /// Puts a chunk at the end.
    pub fn push(&mut self, chunk: Chunk) {
        self.chunks.push_back(chunk);
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Forgets what waits, for a peer that will not take it.
    pub fn clear(&mut self) {
        self.chunks = VecDeque::new();
    }

    /// Writes until nothing waits or the socket takes no more, and says how many bytes that were;
    /// `cx` is woken when the socket takes more.
    pub fn write_to(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> io::Result<usize> {
        let mut written = 0;
        while !self.chunks.is_empty() {
            match self.write_once(io, cx) {
                Poll::Ready(count) => written += count?,
                Poll::Pending => return Ok(written),
            }
        }
        Ok(written)
    }

    /// Has `send` take what it can at once, and says how many bytes that were.
    pub fn offer_to(
        &mut self,
        mut send: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut written = 0;
        while let Some(first) = self.chunks.front() {
            match send(&first.bytes) {
                Ok(count) => {
                    self.advance(count);
                    written += count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    fn write_once(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let written = match self.chunks.front() {
            Some(only) if self.chunks.len() == 1 => {
                ready!(Pin::new(io).poll_write(cx, &only.bytes))?
            }
            _ => {
                let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                let filled = slices.iter_mut().zip(&self.chunks);
                let count = filled
                    .map(|(slice, chunk)| *slice = IoSlice::new(&chunk.bytes))
                    .count();
                ready!(Pin::new(io).poll_write_vectored(cx, &slices[..count]))?
            }
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.advance(written);
        Poll::Ready(Ok(written))
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(first) = self.chunks.front_mut() {
            if first.bytes.len() > written {
                first.bytes.advance(written);
                return;
            }
            written -= first.bytes.len();
            self.chunks.pop_front();
        }
        if self.chunks.capacity() > KEPT_SLOTS {
            self.chunks = VecDeque::new();
        }
    }
}
