//! What has to be seen of a message before it is passed on: that it is text, or, where it is compressed and
//! its recipient cannot be trusted with it unseen, that it can be inflated, and to what.

use relay_wire::{
    ending::Ending,
    frame::{Header, Opcode},
    utf8::Utf8Check,
};

use crate::flow::{event::Counts, inflate::Inflater};

/// Bytes of a compressed message that are inflated at once: what comes of them is a thousand times as much
/// at the most.
pub(super) const SLICE: usize = 1024;
/// Bytes that may come out in one turn before the rest has to wait for the next.
pub(super) const MOST_INFLATED: u32 = 1024 * 1024;

/// What is seen of one message.
#[derive(Debug)]
pub(super) enum Check {
    Nothing,
    Text(Utf8Check),
    Inside(Box<Inflater>),
}

/// Whether this turn may inflate more, behind what it has done so far.
pub(super) fn has_time(counts: &Counts) -> bool {
    counts.inflating() < MOST_INFLATED
}

impl Check {
    /// Of a message that begins so, by what can be seen without inflating it.
    pub(super) fn outside(first: &Header) -> Self {
        match first {
            Header {
                opcode: Opcode::Text,
                rsv: 0,
                ..
            } => Self::Text(Utf8Check::default()),
            _ => Self::Nothing,
        }
    }

    /// Of a compressed message of this kind, which may have so many bytes once it is inflated.
    pub(super) fn inside(kind: Opcode, limit: u64) -> Self {
        Self::Inside(Box::new(Inflater::new(kind, limit)))
    }

    /// Sees the next of the message's bytes, or that there is no more.
    ///
    /// # Errors
    ///
    /// What is wrong with the message.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        last: bool,
        counts: &mut Counts,
    ) -> Result<(), Ending> {
        match self {
            Self::Nothing => Ok(()),
            Self::Text(text) => {
                let good = text.feed(bytes) && (!last || text.is_complete());
                good.then_some(()).ok_or(Ending::InvalidUtf8)
            }
            Self::Inside(inflater) => {
                let before = inflater.size();
                let good = inflater.look(bytes, last);
                counts.inflated += (inflater.size() - before) as u32;
                good
            }
        }
    }

    /// Bytes that it was inflated to so far, where it is.
    pub(super) fn inflated(&self) -> Option<u64> {
        match self {
            Self::Inside(inflater) => Some(inflater.size()),
            _ => None,
        }
    }
}
