//! Room codes: how one is made, read as typed, and named in a log.
//!
//! # Which characters
//!
//! A code is told to somebody, who types it: over the phone, from a photograph, from a note by hand. So a
//! new one has no two characters that look alike, in either case: of `2 z`, `5 s`, `9 q`, `v u` one is
//! left, of `6 8 b` and `6 9 g` the digits, which have one case, and of `0 o` and `1 l i` none, since
//! each is what people type for the other. 25 are left, and six of them make 2.4 × 10⁸ codes, a ninth
//! of what all 36 would. That is the price: README.md counts what a guess costs, and two characters more
//! than make up for it. What sounds alike (`d t p e`) stays: without it half would be gone again, and who
//! dictates can spell.
//!
//! # How they are read
//!
//! Who types, types more than the code, or something that looks like it. [`RoomCode::from_typed`] makes
//! one code of that, or none, and never several to try: one join is one guess. A look-alike is read
//! as the character it must be where there is only one; `b`, `g` and `o` are themselves, and in no code.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::OnceLock,
};

/// The longest code.
pub const MAX_CODE: usize = 16;

/// What a code may have; new ones are of the first [`NEW`].
const CHARACTERS: &[u8; 36] = b"acdefhjkmnprtvwxy2345678901bgiloqsuz";
const NEW: u8 = 25;

/// Characters of new codes, and what looks like one of them, and like no other.
const LOOK_ALIKES: &[(char, &str)] = &[
    ('2', "zZΖ"),
    ('3', "зЗ"),
    ('5', "sSѕЅ"),
    ('6', "б"),
    ('9', "qQԛԚ"),
    ('a', "аАαΑ"),
    ('c', "сСϲϹ"),
    ('d', "ԁ"),
    ('e', "еЕεΕ"),
    ('h', "нНһҺΗ"),
    ('j', "јЈϳ"),
    ('k', "кКκΚ"),
    ('m', "мМΜ"),
    ('n', "ηΝ"),
    ('p', "рРρΡ"),
    ('t', "тТτΤ"),
    ('v', "uUυνѵѴ"),
    ('w', "ωԝԜ"),
    ('x', "хХχΧ"),
    ('y', "уУγΥ"),
];

/// Letters, for Unicode, that nobody sees (the Hangul fillers).
const UNSEEN: [char; 4] = ['\u{115f}', '\u{1160}', '\u{3164}', '\u{ffa0}'];

/// How many codes of so many characters there are.
pub const fn count(len: u32) -> u128 {
    (NEW as u128).pow(len)
}

/// The key to a room: 4 to 16 characters out of `[a-z0-9]`.
///
/// Whoever knows it may join, so its `Debug` and `Display`, which end up in logs, show a short hash
/// under a key of this process alone, which is longer in the alternate form (`{:#}`); [`RoomCode::reveal`]
/// is for the client.
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
            // 250 is 10 × 25: from there on some characters would be likelier than others.
            let fair = noise.iter().filter(|&&byte| byte < 10 * NEW);
            for (slot, byte) in bytes[filled..len.min(MAX_CODE)].iter_mut().zip(fair) {
                *slot = CHARACTERS[usize::from(byte % NEW)];
                filled += 1;
            }
        }
        Ok(Self {
            bytes,
            len: filled as u8,
        })
    }

    /// Reads a code as a person typed or pasted it: in any case and width, with look-alikes, and with
    /// blanks, dashes, quotes, dots or whatever else is neither letter nor digit, seen or not. It looks no
    /// further than at one character too many.
    pub fn from_typed(text: &str) -> Option<Self> {
        let mut code = Self {
            bytes: [0; MAX_CODE],
            len: 0,
        };
        let seen = |typed: &char| typed.is_alphanumeric() && !UNSEEN.contains(typed);
        for typed in text.chars().filter(seen) {
            *code.bytes.get_mut(usize::from(code.len))? = read(typed)?;
            code.len += 1;
        }
        (code.len > 0).then_some(code)
    }

    /// The code itself, for those who may know it.
    pub fn reveal(&self) -> String {
        self.as_bytes()
            .iter()
            .map(|&byte| char::from(byte))
            .collect()
    }

    /// The code as a number in base 25: evenly spread for new ones, and the same everywhere.
    pub fn number(&self) -> u128 {
        let digits = self.as_bytes().iter().map(|byte| {
            let place = CHARACTERS.iter().position(|character| character == byte);
            place.unwrap_or_default()
        });
        digits.fold(0, |number, digit| u128::from(NEW) * number + digit as u128)
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// The character of a code that was meant by a letter or digit.
fn read(typed: char) -> Option<u8> {
    // The full-width forms of ASCII stand in its order.
    let narrow = match typed {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(typed) - 0xfee0)?,
        _ => typed,
    };
    let alike = LOOK_ALIKES.iter().find(|(_, alike)| alike.contains(narrow));
    let meant = alike.map_or(narrow, |&(meant, _)| meant);
    // By Unicode, for which the sign of the kelvin is a K.
    let meant = meant.to_lowercase().next()?;
    let known = meant.is_ascii_lowercase() || meant.is_ascii_digit();
    known.then_some(meant as u8)
}

impl fmt::Display for RoomCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        static KEY: OnceLock<RandomState> = OnceLock::new();
        let hash = KEY.get_or_init(RandomState::new).hash_one(self);
        match f.alternate() {
            false => write!(f, "#{:06x}", hash >> 40),
            true => write!(f, "#{hash:016x}"),
        }
    }
}

impl fmt::Debug for RoomCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
