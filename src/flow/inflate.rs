//! Inflating a compressed message (RFC 7692 §7.2.2): as it comes, and as much of it as is asked for.
//!
//! What comes out is counted, against the limit of a message, and if it is text it has to be UTF-8. Nothing
//! is kept of it but the window that inflating needs. The state of a message is 48 KiB (the window is 32),
//! made for it and gone with it, and a session has one at most: who sends compressed messages is sent them
//! as they are.

use flate2::{Decompress, FlushDecompress, Status};
use relay_wire::{ending::Ending, frame::Opcode, utf8::Utf8Check};

/// What a sender takes from the end of a message, and an inflater puts back (RFC 7692 §7.2.1).
const TAIL: &[u8] = &[0, 0, 0xff, 0xff];
/// Bytes that are inflated at once where only their number and their UTF-8 matter.
const GLANCE: usize = 8 * 1024;

/// The state of one message.
#[derive(Debug)]
pub struct Inflater {
    state: Decompress,
    /// What is still to come of the tail.
    tail: &'static [u8],
    /// Whether a block has said that it is the last, and what is behind it.
    ended: bool,
    padded: bool,
    size: u64,
    limit: u64,
    text: Option<Utf8Check>,
}

impl Inflater {
    /// For a message of this kind, which may have `limit` bytes once it is inflated.
    pub fn new(kind: Opcode, limit: u64) -> Self {
        Self {
            state: Decompress::new(false),
            tail: TAIL,
            ended: false,
            padded: false,
            size: 0,
            limit,
            text: (kind == Opcode::Text).then(Utf8Check::default),
        }
    }

    /// Bytes that have come out so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Inflates `input`, behind which the message ends if it is the `last`, as far as `out` has room.
    /// Returns how many bytes of `out` are filled: fewer than there are once all of the input is used up.
    ///
    /// # Errors
    ///
    /// [`Ending::BadCompression`], [`Ending::MessageTooBig`] and [`Ending::InvalidUtf8`]: the message is of
    /// no use from here on.
    pub fn inflate(
        &mut self,
        input: &mut &[u8],
        last: bool,
        out: &mut [u8],
    ) -> Result<usize, Ending> {
        let mut filled = self.step(input, out)?;
        if self.ended {
            self.skip_padding(input)?;
        } else if last && filled < out.len() {
            let mut tail = self.tail;
            filled += self.step(&mut tail, &mut out[filled..])?;
            self.tail = tail;
        }
        self.size += filled as u64;
        if self.size > self.limit {
            return Err(Ending::MessageTooBig);
        }
        if let Some(text) = &mut self.text {
            let is_whole = last && filled < out.len();
            if !text.feed(&out[..filled]) || is_whole && !text.is_complete() {
                return Err(Ending::InvalidUtf8);
            }
        }
        Ok(filled)
    }

    /// Inflates all of `input` into nothing.
    ///
    /// # Errors
    ///
    /// As of [`Inflater::inflate`].
    pub fn look(&mut self, mut input: &[u8], last: bool) -> Result<(), Ending> {
        let mut out = [0; GLANCE];
        while self.inflate(&mut input, last, &mut out)? == GLANCE {}
        Ok(())
    }

    /// Uses up the input, fills `out`, or comes to the end of the last block.
    fn step(&mut self, input: &mut &[u8], out: &mut [u8]) -> Result<usize, Ending> {
        if self.ended {
            return Ok(0);
        }
        let (taken, given) = (self.state.total_in(), self.state.total_out());
        let result = self.state.decompress(input, out, FlushDecompress::None);
        self.ended = result.map_err(|_| Ending::BadCompression)? == Status::StreamEnd;
        *input = &input[(self.state.total_in() - taken) as usize..];
        Ok((self.state.total_out() - given) as usize)
    }

    /// Behind a last block only the first byte of an empty one may come (RFC 7692 §7.2.3.4): whether
    /// anything else is of the message is something that libraries do not agree on.
    fn skip_padding(&mut self, input: &mut &[u8]) -> Result<(), Ending> {
        match *input {
            [] => {}
            [0] if !self.padded => self.padded = true,
            _ => return Err(Ending::BadCompression),
        }
        *input = &[];
        Ok(())
    }
}

/// All of a compressed message, if that has at most `limit` bytes.
pub fn whole(mut compressed: &[u8], kind: Opcode, limit: usize) -> Option<Vec<u8>> {
    let mut message = vec![0; limit + 1];
    let len = Inflater::new(kind, limit as u64)
        .inflate(&mut compressed, true, &mut message)
        .ok()?;
    message.truncate(len);
    Some(message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
