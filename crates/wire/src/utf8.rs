//! UTF-8 (RFC 6455 §8.1): of a whole text, and checked as it comes, over the pieces of a message.

/// Whether a whole text is UTF-8.
#[inline]
pub fn is_valid(text: &[u8]) -> bool {
    simdutf8::basic::from_utf8(text).is_ok()
}

/// The check of one text message.
#[derive(Debug, Default)]
pub struct Utf8Check {
    /// The start of a character whose rest has not come yet.
    pending: [u8; 4],
    len: usize,
}

impl Utf8Check {
    /// Whether the text is still good after `bytes`; fails at the first byte that cannot be part
    /// of any character.
    pub fn feed(&mut self, mut bytes: &[u8]) -> bool {
        while self.len > 0 {
            let Some((&byte, rest)) = bytes.split_first() else {
                return true;
            };
            // Four bytes are enough to tell, so there is room while a character is incomplete.
            self.pending[self.len] = byte;
            self.len += 1;
            bytes = rest;
            match std::str::from_utf8(&self.pending[..self.len]) {
                Ok(_) => self.len = 0,
                Err(error) if error.error_len().is_some() => return false,
                Err(_) => {}
            }
        }
        match simdutf8::compat::from_utf8(bytes) {
            Ok(_) => true,
            Err(error) if error.error_len().is_some() => false,
            Err(error) => {
                let tail = &bytes[error.valid_up_to()..];
                self.pending[..tail.len()].copy_from_slice(tail);
                self.len = tail.len();
                true
            }
        }
    }

    /// Whether the message may end here: not inside a character.
    pub fn is_complete(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(bytes: &[u8], cuts: &[usize]) -> bool {
        let mut check = Utf8Check::default();
        let mut from = 0;
        for &cut in cuts.iter().chain([&bytes.len()]) {
            let cut = cut.clamp(from, bytes.len());
            if !check.feed(&bytes[from..cut]) {
                return false;
            }
            from = cut;
        }
        check.is_complete()
    }

    proptest! {
        #[test]
        fn pieces_are_judged_as_the_whole_is(
            text in "\\PC{0,60}",
            noise in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
            mut cuts in prop::collection::vec(0..200usize, 0..8),
        ) {
            let mut bytes = text.into_bytes();
            if let (Some((at, byte)), false) = (noise, bytes.is_empty()) {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            cuts.sort_unstable();
            prop_assert_eq!(check(&bytes, &cuts), std::str::from_utf8(&bytes).is_ok());
        }

        #[test]
        fn any_bytes_are_judged_as_the_standard_library_does(
            bytes in prop::collection::vec(any::<u8>(), 0..12),
        ) {
            let every: Vec<usize> = (0..bytes.len()).collect();
            prop_assert_eq!(check(&bytes, &every), std::str::from_utf8(&bytes).is_ok());
        }
    }

    #[test]
    fn an_impossible_start_fails_before_its_rest_comes() {
        assert!(!Utf8Check::default().feed(b"\xe0\x80"));
        assert!(!Utf8Check::default().feed(b"\xed\xa0"));
        assert!(!Utf8Check::default().feed(b"\xf4\x90"));
        assert!(Utf8Check::default().feed(b"\xf4\x8f"));
    }
}
