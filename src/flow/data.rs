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
    /// Of the bytes assembled for senders, while it is one of them.
    pub assembled: Option<Share>,
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
            assembled: None,
            compressed: false,
        }
    }

    /// The same, where so many of the bytes are a client's payload.
    pub fn of_payload(bytes: impl Into<Bytes>, payload: usize, window: &Arc<Window>) -> Self {
        let mut chunk = Self::new(bytes, window);
        chunk.credit.take_payload(payload);
        chunk
    }
}

/// Whole frames for one socket. Nothing else may come between their bytes.
#[derive(Debug)]
pub enum Delivery {
    /// Frames in one chunk.
    Chunk(Chunk),
    /// One frame in several chunks.
    Parts(Vec<Chunk>),
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
            Self::Parts(parts) => parts,
        }
    }

    /// Books its payload as dropped.
    pub fn dropped(self, why: Dropped) {
        let chunks = match self {
            Self::Chunk(chunk) => vec![chunk],
            Self::Parts(parts) => parts,
        };
        for mut chunk in chunks {
            chunk.credit.dropped(why);
        }
    }

    /// How many bytes it has, headers included.
    pub fn size(&self) -> usize {
        self.chunks().iter().map(|chunk| chunk.bytes.len()).sum()
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
    /// Books its payload as dropped.
    pub fn dropped(self, why: Dropped) {
        let mut chunk = match self {
            Self::Messages(chunk) => chunk,
            Self::Fragment(fragment) => fragment.chunk,
        };
        chunk.credit.dropped(why);
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
