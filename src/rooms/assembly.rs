//! Putting a receiver's message together before its sender sees any of it.

use std::{mem, sync::Arc};

use bytes::Bytes;

use relay_wire::frame::{Header, Opcode};

use crate::flow::{
    credit::{Credit, Full, Pool, Share, Window},
    data::{Chunk, Delivery, Fragment, OVERHEAD},
    ledger::Dropped,
};

/// Fragments shorter than this are copied together: their bookkeeping would outweigh them. As much
/// of a message is free of the budget, so that those who spend it on long messages cannot keep
/// others from saying a word that happens to come in two parts.
const SMALL: usize = 4096;
/// Bytes of copied fragments in one part.
const PART: usize = 64 * 1024;

/// The most that a message of so many bytes is charged, however it is cut.
pub const fn most_charged(message: usize) -> usize {
    message.saturating_add((message / SMALL).saturating_mul(OVERHEAD))
}

/// A message that is not whole yet.
///
/// Its bytes are charged to the share of its receiver in the memory for such messages, and no longer to
/// the window of that receiver, which would otherwise never be let send the rest.
#[derive(Debug)]
pub struct Assembly {
    kind: Opcode,
    rsv: u8,
    size: usize,
    /// Frames of it, as they are to be written, and how much of each is payload.
    frames: Vec<(Bytes, usize, Share)>,
    /// Whether the last of them ends the message.
    ended: bool,
    /// What is copied together for the next.
    tail: Vec<u8>,
    tail_share: Share,
    /// Has the payload of all of them, and nothing of the window.
    booked: Credit,
}

impl Drop for Assembly {
    /// It is finished, and has nothing left, or its receiver is gone.
    fn drop(&mut self) {
        self.booked.dropped(Dropped::Unfinished);
    }
}

impl Assembly {
    /// Starts with the first fragment of a message.
    pub fn new(first: &Fragment, buffers: &Arc<Pool>) -> Self {
        Self {
            kind: first.kind,
            rsv: first.rsv,
            size: 0,
            frames: Vec::new(),
            ended: false,
            tail: Vec::new(),
            tail_share: Share::take(buffers, 0),
            booked: Credit::charge(first.chunk.credit.window(), 0),
        }
    }

    /// Adds a fragment.
    ///
    /// # Errors
    ///
    /// Whose memory for such messages is spent.
    pub fn add(&mut self, fragment: &mut Fragment) -> Result<(), Full> {
        let booked = fragment.chunk.credit.payload();
        self.booked.take_over(&mut fragment.chunk.credit, booked);
        let payload = fragment.payload();
        let buffers = Arc::clone(self.tail_share.pool());
        let charge = |amount| Share::try_take(&buffers, amount);
        let free = if self.size <= SMALL { self.size } else { 0 };
        self.size += payload.len();
        if self.size <= SMALL {
            self.tail.extend_from_slice(payload);
            return Ok(());
        }
        self.tail_share.merge(charge(free)?);
        if payload.len() < SMALL {
            self.tail_share.merge(charge(payload.len())?);
            self.tail.extend_from_slice(payload);
            if self.tail.len() >= PART {
                self.seal_tail(false);
            }
        } else {
            let share = charge(payload.len() + OVERHEAD)?;
            // A message may have begun with a fragment that has no byte, and no frame so far.
            let begins_late = self.frames.is_empty() && !fragment.first;
            if !self.tail.is_empty() || begins_late {
                self.seal_tail(false);
            }
            let frame = fragment.chunk.bytes.clone();
            self.frames.push((frame, payload.len(), share));
            self.ended = fragment.fin;
        }
        Ok(())
    }

    /// Makes a frame of what was copied together.
    fn seal_tail(&mut self, fin: bool) {
        let (opcode, rsv) = match self.frames.is_empty() {
            true => (self.kind, self.rsv),
            false => (Opcode::Continuation, 0),
        };
        let tail = mem::take(&mut self.tail);
        let header = Header {
            rsv,
            ..Header::new(opcode, fin, tail.len())
        };
        let none = Share::take(self.tail_share.pool(), 0);
        let share = mem::replace(&mut self.tail_share, none);
        self.frames
            .push((header.frame(&tail).into(), tail.len(), share));
    }

    /// The whole message, in fragments still, so that a control frame need not wait for all of it. From
    /// here on it counts against `window` as well, its receiver's: while the sender has not taken it, no
    /// more is read.
    pub fn finish(mut self, window: &Arc<Window>) -> Delivery {
        if !self.ended {
            self.seal_tail(true);
        }
        let compressed = self.rsv != 0;
        let frames = mem::take(&mut self.frames);
        let chunks = frames.into_iter().map(|(bytes, payload, share)| {
            let mut chunk = Chunk::new(bytes, window);
            chunk.credit.take_over(&mut self.booked, payload);
            chunk.buffered = Some(share);
            chunk.compressed = compressed;
            chunk
        });
        Delivery::Chunks(chunks.collect())
    }
}
