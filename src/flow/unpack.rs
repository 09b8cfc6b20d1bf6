//! What a client without compression is sent of compressed messages: the same messages, inflated.
//!
//! What waits is kept compressed, with the credit of who sent it, and inflated as the client takes it, a
//! piece at a time. So a message costs no more memory than what was sent of it, one piece and the state of
//! its inflation, whatever it swells to.

use std::{collections::VecDeque, mem, sync::Arc};

use bytes::Buf;
use relay_wire::{
    ending::Ending,
    frame::{Header, Opcode},
};

use super::{
    data::{Chunk, Delivery, Part},
    event::Oversize,
    inflate::Inflater,
    ledger::Dropped,
};

/// Bytes in one piece: the longest message comes to half as many as the libraries take that count fragments.
const PIECE: usize = 32 * 1024;

/// What waits for one client, in the order in which it is to be written.
#[derive(Debug)]
pub struct Unpacker {
    limit: u64,
    waiting: VecDeque<Chunk>,
    /// What is left of the frame that the first of them is in the middle of, and whether that ends its
    /// message.
    frame: Option<(u64, bool)>,
    message: Option<Message>,
    broken: bool,
    /// Bytes that have come of compressed messages since they were last counted.
    inflated: usize,
    /// Bytes of compressed payload that nothing came of, and so are given, since they were last counted.
    swallowed: usize,
}

/// The compressed message in progress.
#[derive(Debug)]
struct Message {
    kind: Opcode,
    started: bool,
    inflater: Inflater,
}

/// A message that cannot be inflated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken {
    /// What is wrong with it.
    pub ending: Ending,
    /// Its size, where that is what is wrong.
    pub oversize: Option<Oversize>,
}

impl Unpacker {
    /// Nothing waits. Messages may have `limit` bytes once they are inflated.
    pub fn new(limit: u64) -> Self {
        Self {
            limit,
            waiting: VecDeque::new(),
            frame: None,
            message: None,
            broken: false,
            inflated: 0,
            swallowed: 0,
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether it has nothing to do, and would be in the way of what comes next.
    pub fn is_idle(&self) -> bool {
        self.is_empty() && self.message.is_none() && !self.broken
    }

    /// Bytes that have come of compressed messages since the last call.
    pub fn take_inflated(&mut self) -> usize {
        mem::take(&mut self.inflated)
    }

    /// Bytes of compressed payload since the last call that nothing came of: its client lacks nothing.
    pub fn take_swallowed(&mut self) -> usize {
        mem::take(&mut self.swallowed)
    }

    /// Puts something at the end. Behind a message that was broken there is no more of its peer's.
    pub fn push(&mut self, delivery: Delivery) {
        match delivery {
            delivery if self.broken => delivery.dropped(Dropped::Closing),
            Delivery::Chunk(chunk) => self.waiting.push_back(chunk),
            Delivery::Chunks(chunks) => self.waiting.extend(chunks),
        }
    }

    /// Puts a frame of the relay's own at the end.
    pub fn push_ours(&mut self, frame: Chunk) {
        self.waiting.push_back(frame);
    }

    /// The next of what waits that can be written: whole frames.
    ///
    /// # Errors
    ///
    /// A message that is none. Nothing of its peer's that was to follow it is written.
    pub fn take(&mut self) -> Result<Option<Chunk>, Broken> {
        loop {
            match self.waiting.front() {
                None => return Ok(None),
                Some(chunk) if !chunk.compressed => return Ok(self.waiting.pop_front()),
                Some(_) => {}
            }
            if self.frame.is_none()
                && let Some(plain) = self.begin_frame()
            {
                return Ok(Some(plain));
            }
            match self.piece() {
                Ok(Some(piece)) => return Ok(Some(piece)),
                Ok(None) => {}
                Err(ending) => return Err(self.give_up(ending)),
            }
        }
    }

    /// Reads the header of the next frame, which the relay has written in one piece. A message that is not
    /// compressed, between others that are, comes back as it is.
    fn begin_frame(&mut self) -> Option<Chunk> {
        let first = self.waiting.front_mut()?;
        let Ok(Some((header, len))) = Header::parse(&first.bytes) else {
            return self.waiting.pop_front();
        };
        if header.rsv == 0 && self.message.is_none() {
            let end = first.bytes.len().min(len + header.len as usize);
            let frame = first.bytes.split_to(end);
            let mut plain = Chunk::new(frame, first.credit.window());
            let payload = header.len as usize;
            plain.credit.take_over(&mut first.credit, payload);
            return self.book(Some(plain));
        }
        first.bytes.advance(len);
        self.frame = Some((header.len, header.fin));
        self.message.get_or_insert_with(|| Message {
            kind: header.opcode,
            started: false,
            inflater: Inflater::new(header.opcode, self.limit),
        });
        None
    }

    /// Inflates as much of the frame as is there and makes one piece; none where nothing came of it.
    fn piece(&mut self) -> Result<Option<Chunk>, Ending> {
        let (Some((left, fin)), Some(first), Some(message)) =
            (&mut self.frame, self.waiting.front_mut(), &mut self.message)
        else {
            return Ok(None);
        };
        let there =
            usize::try_from(*left).map_or(first.bytes.len(), |left| left.min(first.bytes.len()));
        let is_last = *fin && there as u64 == *left;
        let mut part = Part::with_capacity(PIECE);
        let out = part.extend(PIECE);
        let mut input = &first.bytes[..there];
        let len = message.inflater.inflate(&mut input, is_last, out)?;
        part.truncate(len);
        self.inflated += len;
        let used = there - input.len();
        first.bytes.advance(used);
        *left -= used as u64;
        let ends_frame = *left == 0 && len < PIECE;
        let ends = is_last && ends_frame;
        let made = (len > 0 || ends).then(|| {
            let opcode = match mem::replace(&mut message.started, true) {
                false => message.kind,
                true => Opcode::Continuation,
            };
            let (frame, _) = part.into_frame(&Header::new(opcode, ends, len));
            let mut piece = Chunk::new(frame, first.credit.window());
            piece.credit.take_over(&mut first.credit, used);
            piece
        });
        if ends_frame {
            self.frame = None;
        }
        if ends {
            self.message = None;
        }
        if len == PIECE {
            // There may be more inside, which shows once it is asked for.
            return Ok(made);
        }
        Ok(self.book(made))
    }

    /// Takes leave of a chunk that is used up: what it has left of payload is that of what was `made`.
    fn book(&mut self, mut made: Option<Chunk>) -> Option<Chunk> {
        let used = self.waiting.pop_front_if(|first| first.bytes.is_empty());
        if let Some(mut used) = used {
            let payload = used.credit.payload();
            match &mut made {
                Some(made) => made.credit.take_over(&mut used.credit, payload),
                None => {
                    self.swallowed += payload;
                    used.credit.given();
                }
            }
        }
        made
    }

    fn give_up(&mut self, ending: Ending) -> Broken {
        let message = self.message.take();
        let size = message.map_or(0, |message| message.inflater.size());
        let peer = self.waiting.front();
        let peer = peer.map(|chunk| Arc::clone(chunk.credit.window()));
        self.waiting.retain_mut(|chunk| {
            let is_peers = peer
                .as_ref()
                .is_some_and(|peer| Arc::ptr_eq(peer, chunk.credit.window()));
            if is_peers {
                chunk.credit.dropped(Dropped::Closing);
            }
            !is_peers
        });
        (self.frame, self.broken) = (None, true);
        let limit = self.limit;
        Broken {
            ending,
            oversize: (ending == Ending::MessageTooBig).then_some(Oversize { size, limit }),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
