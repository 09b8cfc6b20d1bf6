//! Putting a receiver's message together before its sender sees any of it.

use std::sync::Arc;

use bytes::Bytes;

use crate::transport::{
    credit::{Credit, Window},
    data::{Chunk, Fragment, OVERHEAD},
    frame::{Header, Opcode},
};

/// Fragments shorter than this are copied together: their bookkeeping would outweigh them. As much
/// of a message is free of the budget, so that those who spend it on long messages cannot keep
/// others from saying a word that happens to come in two parts.
const SMALL: usize = 4096;
/// Bytes of copied fragments in one part.
const PART: usize = 64 * 1024;

/// The memory set apart for assembled messages is spent.
#[derive(Debug, PartialEq, Eq)]
pub struct OutOfBuffers;

/// A message that is not whole yet.
///
/// Its bytes are charged to the relay's budget for such messages, and no longer to the window of
/// their receiver, which would otherwise never be let send the rest.
#[derive(Debug)]
pub struct Assembly {
    kind: Opcode,
    rsv: u8,
    size: usize,
    parts: Vec<(Bytes, Credit)>,
    tail: Vec<u8>,
    tail_credit: Credit,
}

impl Assembly {
    /// Starts with the first fragment of a message.
    pub fn new(first: &Fragment, buffers: &Arc<Window>) -> Self {
        Self {
            kind: first.kind,
            rsv: first.rsv,
            size: 0,
            parts: Vec::new(),
            tail: Vec::new(),
            tail_credit: Credit::charge(buffers, 0),
        }
    }

    /// Adds a fragment.
    pub fn add(&mut self, fragment: &Fragment) -> Result<(), OutOfBuffers> {
        let payload = fragment.payload();
        let buffers = Arc::clone(self.tail_credit.window());
        let charge = |amount| Credit::try_charge(&buffers, amount).ok_or(OutOfBuffers);
        let free = if self.size <= SMALL { self.size } else { 0 };
        self.size += payload.len();
        if self.size <= SMALL {
            self.tail.extend_from_slice(payload);
            return Ok(());
        }
        self.tail_credit.merge(charge(free)?);
        if payload.len() < SMALL {
            self.tail_credit.merge(charge(payload.len())?);
            self.tail.extend_from_slice(payload);
            if self.tail.len() >= PART {
                self.seal_tail();
            }
        } else {
            let credit = charge(payload.len() + OVERHEAD)?;
            self.seal_tail();
            let payload = fragment.chunk.bytes.slice(fragment.header_len..);
            self.parts.push((payload, credit));
        }
        Ok(())
    }

    fn seal_tail(&mut self) {
        if !self.tail.is_empty() {
            let empty = Credit::charge(self.tail_credit.window(), 0);
            let credit = std::mem::replace(&mut self.tail_credit, empty);
            let tail = std::mem::take(&mut self.tail).into_boxed_slice();
            self.parts.push((Bytes::from(tail), credit));
        }
    }

    /// The whole message, as one frame. From here on it counts against `window` as well, its
    /// receiver's: while the sender has not taken it, no more is read.
    pub fn finish(mut self, window: &Arc<Window>) -> impl Iterator<Item = Chunk> {
        self.seal_tail();
        let header = Header {
            rsv: self.rsv,
            ..Header::new(self.kind, true, self.size)
        };
        let (encoded, len) = header.encode();
        let header = Chunk::new(Bytes::copy_from_slice(&encoded[..len]), window);
        let window = Arc::clone(window);
        let chunks = self.parts.into_iter().map(move |(bytes, credit)| Chunk {
            assembled: Some(credit),
            ..Chunk::new(bytes, &window)
        });
        std::iter::once(header).chain(chunks)
    }
}
