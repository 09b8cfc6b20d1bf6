//! Room codes: how one is made, read as typed, and named in a log.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::OnceLock,
};

/// The longest code.
pub const MAX_CODE: usize = 16;

const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// The key to a room: 4 to 16 characters out of `[a-z0-9]`.
///
/// Whoever knows it may join, so its `Debug` and `Display`, which end up in logs, show a short hash
/// under a key of this process alone; [`RoomCode::reveal`] is for the client.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RoomCode {
    bytes: [u8; MAX_CODE],
    len: u8,
}

impl RoomCode {
    /// A code of `len` characters from the operating system's random source.
    ///
    /// # Errors
    ///
    /// Where the random source fails.
    pub fn random(len: usize) -> Result<Self, getrandom::Error> {
        let mut bytes = [0; MAX_CODE];
        let mut filled = 0;
        while filled < len.min(MAX_CODE) {
            let mut noise = [0; 32];
            getrandom::fill(&mut noise)?;
            // 252 is 7 × 36: from there on some characters would be likelier than others.
            let fair = noise.iter().filter(|&&byte| byte < 252);
            for (slot, byte) in bytes[filled..len.min(MAX_CODE)].iter_mut().zip(fair) {
                *slot = ALPHABET[usize::from(byte % 36)];
                filled += 1;
            }
        }
        Ok(Self {
            bytes,
            len: filled as u8,
        })
    }

    /// Reads a code as a person typed it: in any case, with blanks around it.
    pub fn from_typed(text: &str) -> Option<Self> {
        let text = text.trim().as_bytes();
        if text.is_empty() || text.len() > MAX_CODE {
            return None;
        }
        let mut bytes = [0; MAX_CODE];
        for (slot, byte) in bytes.iter_mut().zip(text) {
            *slot = byte.to_ascii_lowercase();
        }
        let known = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        bytes[..text.len()].iter().all(known).then_some(Self {
            bytes,
            len: text.len() as u8,
        })
    }

    /// The code itself, for those who may know it.
    pub fn reveal(&self) -> String {
        self.as_bytes()
            .iter()
            .map(|&byte| char::from(byte))
            .collect()
    }

    /// The code as a number in base 36: evenly spread, and the same everywhere.
    pub fn number(&self) -> u128 {
        let digits = self.as_bytes().iter().map(|byte| match byte {
            b'a'..=b'z' => byte - b'a',
            _ => byte - b'0' + 26,
        });
        digits.fold(0, |number, digit| 36 * number + u128::from(digit))
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Display for RoomCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        static KEY: OnceLock<RandomState> = OnceLock::new();
        let hash = KEY.get_or_init(RandomState::new).hash_one(self);
        write!(f, "#{:06x}", hash & 0xff_ffff)
    }
}

impl fmt::Debug for RoomCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    #[test]
    fn codes_are_as_long_as_asked_and_use_the_whole_alphabet() {
        let mut seen = HashSet::new();
        for len in 4..=MAX_CODE {
            for _ in 0..200 {
                let code = RoomCode::random(len)
                    .map(|code| code.reveal())
                    .unwrap_or_default();
                assert_eq!(code.len(), len);
                seen.extend(code.bytes());
            }
        }
        assert_eq!(seen.len(), 36);
    }

    #[test]
    fn no_character_is_likelier_than_another() {
        let codes = 20_000;
        let mut counts = HashMap::<u8, i64>::new();
        for code in (0..codes).filter_map(|_| RoomCode::random(MAX_CODE).ok()) {
            for byte in code.reveal().bytes() {
                *counts.entry(byte).or_default() += 1;
            }
        }
        // Seven standard deviations, which chance exceeds once in ten billion runs; a character
        // that one byte more in 253 leads to is thirteen away.
        let (mean, most) = (codes * MAX_CODE as i64 / 36, 7 * 93);
        let odd = counts
            .iter()
            .find(|(_, count)| (*count - mean).abs() > most);
        assert_eq!(odd, None);
    }

    #[test]
    fn a_code_is_its_number_in_base_36() {
        let number = |text: &str| RoomCode::from_typed(text).map(|code| code.number());
        for (text, expected) in [
            ("a", 0),
            ("z", 25),
            ("0", 26),
            ("9", 35),
            ("ba", 36),
            ("b0", 36 + 26),
            ("c9z", 2 * 36 * 36 + 35 * 36 + 25),
        ] {
            assert_eq!(number(text), Some(expected), "{text}");
        }
        let largest = number(&"9".repeat(MAX_CODE));
        assert_eq!(largest, Some(36_u128.pow(MAX_CODE as u32) - 1));
    }

    #[test]
    fn codes_are_read_as_people_type_them() {
        let read = |text: &str| RoomCode::from_typed(text).map(|code| code.reveal());
        assert_eq!(read(" A7f3B2\t").as_deref(), Some("a7f3b2"));
        let longest = "x".repeat(MAX_CODE);
        assert_eq!(read(&longest), Some(longest));
        let long = "x".repeat(MAX_CODE + 1);
        for bad in ["", "  ", "a7-3b2", "a7 3b2", "а7f3b2", "ａ7f3b2", &long] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_log_shows_which_code_is_which_and_never_a_code() {
        let codes = ["secret", "other1", "other2"].map(|text| RoomCode::from_typed(text).unwrap());
        let shown = codes.map(|code| code.to_string());
        assert_eq!(shown, codes.map(|code| format!("{code:?}")));
        for hash in &shown {
            let digits = hash.strip_prefix('#').unwrap();
            assert!(digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
        let distinct: HashSet<_> = shown.iter().collect();
        assert!(distinct.len() > 1, "{shown:?}");
    }
}
