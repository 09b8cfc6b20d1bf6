//! What waits to be written to a socket.

use std::{collections::VecDeque, mem};

use bytes::{Buf, Bytes, BytesMut};
use relay_wire::frame::{Header, Opcode};

use super::data::{Chunk, Delivery};

/// Slots an empty outbox keeps for the next chunks; a longer queue was a rarity, and goes.
const KEPT_SLOTS: usize = 8;

/// After so many fragments that were cut off one message, those that follow may be twice as long: libraries
/// refuse a message in too many. A message of 64 MiB comes to four times as many.
const CUTS: u32 = 256;

/// Something that waits.
#[derive(Debug)]
enum Entry {
    /// Whole frames. They keep their credit until the last byte is with the system, and their payload
    /// is given then.
    Frames(Chunk),
    /// A Ping that must stay behind what is in front of it. It is made when its turn has come, so that
    /// the numbers of Pings are in the order in which they are written.
    Ping,
}

/// A queue of encoded frames, whole ones in each chunk. Control frames may be put in front of the data
/// that wait, right behind the chunk that is being written. Data are what has a client's payload.
///
/// It has no bound of its own: credits bound what their owners put here.
#[derive(Debug, Default)]
pub struct Outbox {
    entries: VecDeque<Entry>,
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
        match delivery.into() {
            Delivery::Chunk(chunk) => self.entries.push_back(Entry::Frames(chunk)),
            Delivery::Chunks(chunks) => self.entries.extend(chunks.into_iter().map(Entry::Frames)),
        }
    }

    /// Puts control frames in front of all data that wait; returns the place behind them.
    pub fn push_urgent(&mut self, frames: Chunk) -> u64 {
        self.entries.insert(self.lead(), Entry::Frames(frames));
        self.written + self.urgent() as u64
    }

    /// Entries at the front that are no data, or are written in part.
    fn lead(&self) -> usize {
        let begun = usize::from(self.begun);
        let own = self.entries.range(begun..).take_while(|it| it.is_own());
        begun + own.count()
    }

    /// Puts a Ping at the end, to be made when it comes to the front.
    pub fn push_ping(&mut self) {
        self.entries.push_back(Entry::Ping);
    }

    /// Takes the Ping that has come to the front, if one has: it is to be made now, and put in front.
    pub fn take_ping(&mut self) -> bool {
        let due = !self.begun && matches!(self.entries.front(), Some(Entry::Ping));
        if due {
            self.entries.pop_front();
        }
        due
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether data are next, and none of them are written yet.
    pub fn is_at_data(&self) -> bool {
        !self.is_empty() && self.lead() == 0
    }

    /// Bytes at the front that go whatever may be on its way: what is written in part, and no data.
    pub fn urgent(&self) -> usize {
        let front = self.entries.range(..self.lead());
        front.map(|entry| entry.bytes().len()).sum()
    }

    /// How many of the bytes that wait are a client's payload; counted anew.
    pub fn payload(&self) -> usize {
        let chunks = self.entries.iter().filter_map(Entry::chunk);
        chunks.map(|chunk| chunk.credit.payload()).sum()
    }

    /// Bytes of payload in front of what may be put at the front now.
    pub fn payload_before_urgent(&self) -> u64 {
        let front = self.entries.range(..self.lead()).filter_map(Entry::chunk);
        let unwritten: usize = front.map(|chunk| chunk.credit.payload()).sum();
        self.given + unwritten as u64
    }

    /// Forgets what waits, for a peer that will not take it.
    pub fn clear(&mut self) {
        self.entries = VecDeque::new();
        self.begun = false;
    }

    /// The place behind all that the system has.
    pub fn written_to(&self) -> u64 {
        self.written
    }

    /// Whether the system has everything in front of this place.
    pub fn has_written(&self, place: u64) -> bool {
        place <= self.written
    }

    /// What is to be written next, in order: `most` bytes, but the first chunk whole.
    pub fn slices(&self, most: usize) -> impl Iterator<Item = &[u8]> {
        let mut left = Some(most);
        self.entries.iter().map_while(move |entry| {
            let bytes = &entry.chunk()?.bytes[..];
            let first = left == Some(most);
            left = left?.checked_sub(bytes.len());
            (first || left.is_some()).then_some(bytes)
        })
    }

    /// Forgets the first `count` bytes: the system has them, and their credit comes back.
    pub fn written(&mut self, mut count: usize) {
        self.written += count as u64;
        while let Some(Entry::Frames(first)) = self.entries.front_mut() {
            if first.bytes.len() > count {
                first.bytes.advance(count);
                self.begun |= count > 0;
                return;
            }
            count -= first.bytes.len();
            self.given += first.credit.payload() as u64;
            first.credit.given();
            self.entries.pop_front();
            self.begun = false;
        }
        if self.entries.capacity() > KEPT_SLOTS && self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
    }

    /// Has the frame that is next go in fragments of at most `most` bytes (RFC 6455 §5.4), for a line on
    /// which a long one takes its time, and nothing can go between the bytes of a frame. Cuts off one.
    /// Those of a long message may have more.
    pub fn cut(&mut self, most: usize) {
        if self.begun {
            return;
        }
        let Some(Entry::Frames(chunk)) = self.entries.front_mut() else {
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
        let most = most.saturating_mul(1 << (self.cuts / CUTS).min(8));
        if chunk.bytes.len() > most
            && let Some((bytes, payload)) = cut_off(&mut chunk.bytes, most)
        {
            self.cuts += 1;
            // What was charged comes back with the rest.
            let mut piece = Chunk::uncharged(bytes, chunk.credit.window());
            piece.credit.take_over(&mut chunk.credit, payload);
            self.entries.push_front(Entry::Frames(piece));
        }
    }
}

impl Entry {
    fn chunk(&self) -> Option<&Chunk> {
        match self {
            Self::Frames(chunk) => Some(chunk),
            Self::Ping => None,
        }
    }

    /// Whether it is the relay's own word, which is short.
    fn is_own(&self) -> bool {
        self.chunk()
            .is_some_and(|chunk| chunk.credit.payload() == 0)
    }

    fn bytes(&self) -> &[u8] {
        self.chunk().map_or(&[], |chunk| &chunk.bytes)
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
