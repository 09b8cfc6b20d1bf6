//! What waits to be written to a socket.

use std::{collections::VecDeque, mem};

use bytes::{Buf, Bytes, BytesMut};
use relay_wire::frame::{Header, Opcode};

use super::data::{Chunk, Delivery};

/// Slots an empty outbox keeps for the next chunks; a longer queue was a rarity, and goes.
const KEPT_SLOTS: usize = 8;

/// After so many fragments that were cut off one message, those that follow may be twice as long, up to
/// `LONGEST_CUT` bytes: libraries refuse a message in more than 4,096 (Python's `websockets` does), and one of
/// 64 MiB comes to fewer.
const CUTS: u32 = 256;
/// Under three seconds at 100 kbit/s.
const LONGEST_CUT: usize = 32 * 1024;

/// A queue of encoded frames, whole ones in each chunk. Control frames may be put in front of the data
/// that wait, right behind the chunk that is being written. A chunk keeps its credit until its last byte is
/// with the system, and its payload is given then.
///
/// It has no bound of its own: credits bound what their owners put here.
#[derive(Debug, Default)]
pub struct Outbox {
    chunks: VecDeque<Chunk>,
    /// Whether the first entry is written in part.
    begun: bool,
    /// Fragments that were cut off the message in progress.
    cuts: u32,
    /// Bytes that the system has, and how many of them were a client's payload.
    written: u64,
    given: u64,
}

impl Outbox {
    /// Puts frames at the end.
    pub fn push(&mut self, delivery: impl Into<Delivery>) {
        if self.chunks.capacity() == 0 {
            // Of many a session there is no more at once, ever.
            self.chunks.reserve_exact(1);
        }
        match delivery.into() {
            Delivery::Chunk(chunk) => self.chunks.push_back(chunk),
            Delivery::Chunks(chunks) => self.chunks.extend(chunks),
        }
    }

    /// Puts control frames in front of all data that wait; returns the place behind them.
    pub fn push_urgent(&mut self, frames: Chunk) -> u64 {
        self.chunks.insert(self.lead(), frames);
        self.written + self.urgent() as u64
    }

    /// Entries at the front that are no data, or are written in part.
    fn lead(&self) -> usize {
        let begun = usize::from(self.begun);
        let next = self.chunks.range(begun..);
        begun + next.take_while(|it| it.ours && !it.is_ping()).count()
    }

    /// Takes the Ping that has no data in front of it, if there is one: it is to be made now, and put there.
    pub fn take_ping(&mut self) -> bool {
        let place = self.lead();
        let due = self.chunks.get(place).is_some_and(Chunk::is_ping);
        if due {
            self.chunks.remove(place);
        }
        due
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Whether data are next, and none of them are written yet.
    pub fn is_at_data(&self) -> bool {
        !self.is_empty() && self.lead() == 0
    }

    /// Bytes of the entry that is next.
    pub fn next_len(&self) -> usize {
        self.chunks.front().map_or(0, |chunk| chunk.bytes.len())
    }

    /// Bytes at the front that go whatever may be on its way: what is written in part, and no data.
    pub fn urgent(&self) -> usize {
        let front = self.chunks.range(..self.lead());
        front.map(|chunk| chunk.bytes.len()).sum()
    }

    /// Bytes of payload in front of what may be put at the front now.
    pub fn payload_before_urgent(&self) -> u64 {
        let front = self.chunks.range(..self.lead());
        let unwritten: usize = front.map(|chunk| chunk.credit.payload()).sum();
        self.given + unwritten as u64
    }

    /// Forgets what waits, for a peer that will not take it.
    pub fn clear(&mut self) {
        self.chunks = VecDeque::new();
        self.begun = false;
    }

    /// The place behind all that the system has.
    pub fn written_to(&self) -> u64 {
        self.written
    }

    /// Bytes of clients' payload that the system has.
    pub fn given(&self) -> u64 {
        self.given
    }

    /// So much payload comes to nothing that has to be written.
    pub fn gave(&mut self, payload: usize) {
        self.given += payload as u64;
    }

    /// Whether the system has everything in front of this place.
    pub fn has_written(&self, place: u64) -> bool {
        place <= self.written
    }

    /// What is to be written next, in order: `most` bytes, but the first chunk whole.
    pub fn slices(&self, most: usize) -> impl Iterator<Item = &[u8]> {
        let mut left = Some(most);
        let made = self.chunks.iter().take_while(|chunk| !chunk.is_ping());
        made.map_while(move |chunk| {
            let bytes = &chunk.bytes[..];
            let first = left == Some(most);
            left = left?.checked_sub(bytes.len());
            (first || left.is_some()).then_some(bytes)
        })
    }

    /// Forgets the first `count` bytes: the system has them, and their credit comes back.
    pub fn written(&mut self, mut count: usize) {
        self.written += count as u64;
        while let Some(first) = self.chunks.front_mut().filter(|it| !it.is_ping()) {
            if first.bytes.len() > count {
                first.bytes.advance(count);
                self.begun |= count > 0;
                return;
            }
            count -= first.bytes.len();
            self.given += first.credit.payload() as u64;
            first.credit.given();
            self.chunks.pop_front();
            self.begun = false;
        }
        if self.chunks.capacity() > KEPT_SLOTS && self.chunks.is_empty() {
            self.chunks = VecDeque::new();
        }
    }

    /// Has the frame that is next go in fragments of at most `most` bytes (RFC 6455 §5.4), for a line on
    /// which a long one takes its time, and nothing can go between the bytes of a frame. Cuts off one.
    /// Those of a long message may have more.
    pub fn cut(&mut self, most: usize) {
        if self.begun {
            return;
        }
        let Some(chunk) = self.chunks.front_mut().filter(|chunk| !chunk.ours) else {
            return;
        };
        // What is neither a further fragment nor a control frame begins a message.
        if chunk
            .bytes
            .first()
            .is_some_and(|first| matches!(first & 0x0f, 1..8))
        {
            self.cuts = 0;
        }
        let most = (most << (self.cuts / CUTS).min(8)).min(LONGEST_CUT);
        if chunk.bytes.len() > most
            && let Some((bytes, payload)) = cut_off(&mut chunk.bytes, most)
        {
            self.cuts += 1;
            // What was charged comes back with the rest.
            let mut piece = Chunk::uncharged(bytes, chunk.credit.window());
            piece.credit.take_over(&mut chunk.credit, payload);
            self.chunks.push_front(piece);
        }
    }
}

/// Takes the first of these frames, as many as have `most` bytes together, or if the first has more than
/// that so many of its payload. Returns them, and how many of the bytes are payload.
fn cut_off(frames: &mut Bytes, most: usize) -> Option<(Bytes, usize)> {
    let (mut whole, mut inside) = (0, 0);
    let (header, header_len, payload) = loop {
        let (header, header_len) = Header::parse(&frames[whole..]).ok()??;
        let payload = usize::try_from(header.len).ok()?;
        if whole + payload > most {
            break (header, header_len, payload);
        }
        whole += header_len + payload;
        inside += payload;
    };
    if whole > 0 {
        return Some((frames.split_to(whole), inside));
    }
    let end = header_len + most;
    let piece = Header {
        fin: false,
        len: most as u64,
        ..header
    };
    let piece = piece.frame(&frames[header_len..end]);
    let rest = Header {
        fin: header.fin,
        ..Header::new(Opcode::Continuation, true, payload - most)
    };
    let (encoded, len) = rest.encode();
    // In place, in front of the rest: what stood there is in the piece. `most` is longer than a header.
    let mut bytes = BytesMut::from(mem::take(frames));
    bytes[end - len..end].copy_from_slice(&encoded[..len]);
    bytes.advance(end - len);
    *frames = bytes.freeze();
    Some((piece.into(), most))
}

#[cfg(test)]
mod tests;
