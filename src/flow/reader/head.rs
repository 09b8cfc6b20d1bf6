//! The header of a frame, which may come in pieces.

use relay_wire::{
    ending::Ending,
    frame::{Header, MAX_HEADER},
};

/// A header that is not all there yet.
#[derive(Debug, Default)]
pub(super) struct Head {
    bytes: [u8; MAX_HEADER],
    len: usize,
}

impl Head {
    /// Bytes that are there of the next header.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Takes a header from the input, or what there is of it.
    ///
    /// # Errors
    ///
    /// As of [`Header::parse`].
    #[inline]
    pub(super) fn take(&mut self, input: &mut &[u8]) -> Result<Option<Header>, Ending> {
        let kept = self.len;
        let (header, len) = if kept == 0 {
            match Header::parse(input)? {
                Some((header, len)) => (header, len),
                None => {
                    self.keep(input);
                    return Ok(None);
                }
            }
        } else {
            let more = input.len().min(MAX_HEADER - kept);
            self.bytes[kept..kept + more].copy_from_slice(&input[..more]);
            match Header::parse(&self.bytes[..kept + more])? {
                Some((header, len)) => (header, len - kept),
                None => {
                    self.len += more;
                    *input = &[];
                    return Ok(None);
                }
            }
        };
        self.len = 0;
        *input = &input[len..];
        Ok(Some(header))
    }

    fn keep(&mut self, input: &mut &[u8]) {
        self.bytes[..input.len()].copy_from_slice(input);
        self.len = input.len();
        *input = &[];
    }
}
