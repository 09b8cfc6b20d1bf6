//! The whole messages of one read, in the frames that their recipient gets.

use std::{mem, sync::Arc};

use bytes::Bytes;
use relay_wire::frame::Header;

use crate::flow::{
    credit::Window,
    data::{Chunk, Data},
};

#[derive(Debug, Default)]
pub(super) struct Run {
    frames: Vec<u8>,
    /// Bytes of `frames` that are payload.
    payload: usize,
    compressed: bool,
}

impl Run {
    /// Adds a message's only frame: its header, and the payload that `write` appends; `more` bytes of input
    /// are left behind those.
    ///
    /// # Errors
    /// As `write` does. The frame is then taken back.
    pub(super) fn push<T, E>(
        &mut self,
        header: &Header,
        more: usize,
        write: impl FnOnce(&mut Vec<u8>) -> Result<T, E>,
    ) -> Result<T, E> {
        let (encoded, len) = Header {
            mask: None,
            ..*header
        }
        .encode();
        let start = self.frames.len();
        if start == 0 {
            // What is written is never longer than what was read.
            let payload = header.len as usize;
            self.frames.reserve_exact(len + payload + more);
        }
        self.frames.extend_from_slice(&encoded[..len]);
        let written = write(&mut self.frames).inspect_err(|_| self.frames.truncate(start))?;
        self.payload += self.frames.len() - start - len;
        self.compressed |= header.rsv != 0;
        Ok(written)
    }

    /// All of it, if there is any.
    pub(super) fn take(&mut self, window: &Arc<Window>) -> Option<Data> {
        // Taken even if empty: a message that was refused has left its memory behind.
        let run = mem::take(self);
        if run.frames.is_empty() {
            return None;
        }
        // Boxed, so that it keeps no more memory alive than it is charged for.
        let frames = Bytes::from(run.frames.into_boxed_slice());
        Some(Data::Messages(Chunk {
            compressed: run.compressed,
            ..Chunk::of_payload(frames, run.payload, window)
        }))
    }
}
