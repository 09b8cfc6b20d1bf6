//! A message that comes in several frames, or in several reads.

use std::sync::Arc;

use relay_wire::frame::{Header, Opcode};

use super::check::Check;
use crate::flow::{
    credit::Window,
    data::{Chunk, Fragment, Part},
};

/// How many fragments little reads make of a message at most: libraries refuse one in too many (Python's
/// `websockets` one in more than 4,096), which a thin line would make of a long one. What waits for more is
/// no longer than that part of the message.
pub const MOST_FRAGMENTS: u64 = 1024;
/// Bytes that wait for more at most, however long the message.
const MOST_WAITING: u64 = 64 * 1024;

/// The message in progress.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) kind: Opcode,
    pub(super) rsv: u8,
    /// Payload announced so far, over all of its frames.
    pub(super) size: u64,
    /// Whether a fragment of it has been passed on.
    pub(super) started: bool,
    pub(super) check: Check,
}

impl Message {
    pub(super) fn is_looked_into(&self) -> bool {
        matches!(self.check, Check::Inside(_))
    }

    /// Bytes that it is passed on with at least, where more of it comes: its first as soon as there is one.
    pub(super) fn least_fragment(&self) -> usize {
        match self.started {
            true => MOST_WAITING.min(self.size / MOST_FRAGMENTS) as usize,
            false => 0,
        }
    }

    /// What has come of it as a fragment, charged to `window`.
    pub(super) fn fragment(&self, part: Part, fin: bool, window: &Arc<Window>) -> Fragment {
        let (opcode, rsv) = if self.started {
            (Opcode::Continuation, 0)
        } else {
            (self.kind, self.rsv)
        };
        let header = Header {
            rsv,
            ..Header::new(opcode, fin, part.payload().len())
        };
        let (frame, header_len) = part.into_frame(&header);
        Fragment {
            first: !self.started,
            fin,
            kind: self.kind,
            rsv: self.rsv,
            chunk: Chunk {
                compressed: self.rsv != 0,
                ..Chunk::new(frame, window)
            },
            header_len,
        }
    }
}
