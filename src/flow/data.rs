//! What travels from one session to another: bytes ready to be written, with their credit.

use std::{slice, sync::Arc};

use bytes::Bytes;
use relay_wire::frame::{Header, MAX_SENT_HEADER, Opcode};

use super::{
    credit::{Credit, Share, Window},
    ledger::Dropped,
};

/// Bytes that a chunk is charged beside its own: its part in a mailbox and in an outbox, its own
/// allocation, its counters. Without it a flood of empty frames would be free.
pub const OVERHEAD: usize = 256;

/// Encoded frames, or part of one, on the way to a socket.
#[derive(Debug)]
pub struct Chunk {
    /// What goes on the wire.
    pub bytes: Bytes,
    /// Of the session it came from.
    pub credit: Credit,
    /// Of the memory for messages that the window has no room for, where it is part of one.
    pub buffered: Option<Share>,
    /// Whether it is the relay's own word and no client's data.
    pub ours: bool,
    /// Whether it has something of a compressed message.
    pub compressed: bool,
}

impl Chunk {
    /// `bytes`, charged to `window`.
    pub fn new(bytes: impl Into<Bytes>, window: &Arc<Window>) -> Self {
        let bytes = bytes.into();
        Self {
            credit: Credit::charge(window, bytes.len() + OVERHEAD),
            bytes,
            buffered: None,
            ours: false,
            compressed: false,
        }
    }

    /// The same, where it is the relay's own word.
    pub fn ours(bytes: impl Into<Bytes>, window: &Arc<Window>) -> Self {
        Self {
            ours: true,
            ..Self::new(bytes, window)
        }
    }

    /// A Ping that must stay behind what is in front of it. It has no bytes before its turn has come, so
    /// that the numbers of Pings are in the order in which they are written.
    pub fn ping(window: &Arc<Window>) -> Self {
        Self::ours(Bytes::new(), window)
    }

    /// Whether it is a [`Chunk::ping`]: no frame is without a byte.
    pub fn is_ping(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Data that something else is charged for.
    pub fn uncharged(bytes: impl Into<Bytes>, window: &Arc<Window>) -> Self {
        Self {
            credit: Credit::charge(window, 0),
            bytes: bytes.into(),
            buffered: None,
            ours: false,
            compressed: false,
        }
    }

    /// The same as [`Chunk::new`], where so many of the bytes are a client's payload.
    pub fn of_payload(bytes: impl Into<Bytes>, payload: usize, window: &Arc<Window>) -> Self {
        let mut chunk = Self::new(bytes, window);
        chunk.credit.take_payload(payload);
        chunk
    }
}

/// Whole frames for one socket. Nothing but control frames may come between them.
#[derive(Debug)]
pub enum Delivery {
    /// One chunk of them.
    Chunk(Chunk),
    /// Several, with whole frames in each.
    Chunks(Vec<Chunk>),
}

impl From<Chunk> for Delivery {
    fn from(chunk: Chunk) -> Self {
        Self::Chunk(chunk)
    }
}

impl Delivery {
    fn chunks(&self) -> &[Chunk] {
        match self {
            Self::Chunk(chunk) => slice::from_ref(chunk),
            Self::Chunks(chunks) => chunks,
        }
    }

    /// Books its payload as dropped.
    pub fn dropped(self, why: Dropped) {
        let chunks = match self {
            Self::Chunk(chunk) => vec![chunk],
            Self::Chunks(chunks) => chunks,
        };
        for mut chunk in chunks {
            chunk.credit.dropped(why);
        }
    }

    /// Whether there is something of a compressed message in it.
    pub fn is_compressed(&self) -> bool {
        self.chunks().first().is_some_and(|chunk| chunk.compressed)
    }

    /// How many of them are a client's payload.
    pub fn payload(&self) -> usize {
        let chunks = self.chunks().iter();
        chunks.map(|chunk| chunk.credit.payload()).sum()
    }
}

/// What a client sent, as it can be passed on.
#[derive(Debug)]
pub enum Data {
    /// One whole message or several, one after another.
    Messages(Chunk),
    /// Part of one message.
    Fragment(Fragment),
}

impl Data {
    fn chunk(&mut self) -> &mut Chunk {
        match self {
            Self::Messages(chunk) => chunk,
            Self::Fragment(fragment) => &mut fragment.chunk,
        }
    }

    /// Books its payload as dropped.
    pub fn dropped(mut self, why: Dropped) {
        self.chunk().credit.dropped(why);
    }

    /// Keeps of `loan` what its bytes amount to, for as long as they are kept.
    pub fn charge_to(&mut self, loan: &mut Share) {
        let chunk = self.chunk();
        chunk.buffered = Some(loan.split(chunk.bytes.len() + OVERHEAD));
    }
}

/// Part of a message: a frame of its own on the wire.
#[derive(Debug)]
pub struct Fragment {
    /// Whether the message begins with it.
    pub first: bool,
    /// Whether the message ends with it.
    pub fin: bool,
    /// The message's kind, also in its later fragments.
    pub kind: Opcode,
    /// The message's reserved bits, also in its later fragments.
    pub rsv: u8,
    /// The frame; its payload begins at `header_len`.
    pub chunk: Chunk,
    /// Bytes of header in `chunk`.
    pub header_len: usize,
}

impl Fragment {
    /// The message's bytes in this fragment.
    pub fn payload(&self) -> &[u8] {
        &self.chunk.bytes[self.header_len..]
    }
}

/// A payload that is still growing, with room for the header in front of it, which is known last.
#[derive(Debug)]
pub(super) struct Part(Vec<u8>);

impl Part {
    pub(super) fn with_capacity(payload: usize) -> Self {
        let mut bytes = Vec::with_capacity(MAX_SENT_HEADER + payload);
        bytes.resize(MAX_SENT_HEADER, 0);
        Self(bytes)
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.0[MAX_SENT_HEADER..]
    }

    pub(super) fn grow(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }

    /// Room for so many bytes more.
    pub(super) fn extend(&mut self, bytes: usize) -> &mut [u8] {
        let start = self.0.len();
        self.0.resize(start + bytes, 0);
        &mut self.0[start..]
    }

    /// Keeps the first so many bytes of the payload.
    pub(super) fn truncate(&mut self, payload: usize) {
        self.0.truncate(MAX_SENT_HEADER + payload);
    }

    /// Puts `header` in front; returns the frame and the length of the header.
    pub(super) fn into_frame(mut self, header: &Header) -> (Bytes, usize) {
        let (encoded, len) = header.encode();
        let start = MAX_SENT_HEADER - len;
        self.0[start..MAX_SENT_HEADER].copy_from_slice(&encoded[..len]);
        // Boxed, so that a frame keeps no more memory alive than it was charged for.
        let frame = Bytes::from(self.0.into_boxed_slice()).slice(start..);
        (frame, len)
    }
}

#[cfg(test)]
mod tests;
