//! What is shared, and what its receiver answers: texts in files, and their hashes.

use std::{fs, path::Path};

use rand::{RngExt, rngs::StdRng};
use relay_testing::seeded;
use ring::digest::{SHA256, digest};

/// What a text is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Hexadecimal digits, as in the payloads of today's clients: half of it can be compressed away.
    Hex,
    /// Any characters of Unicode, of one to four bytes: hardly anything of it can.
    Unicode,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Hex, Self::Unicode];

    /// A text of `length` bytes.
    fn text(self, rng: &mut StdRng, length: usize) -> String {
        let mut text = String::with_capacity(length);
        while text.len() < length {
            let next = match self {
                Self::Hex => char::from(b"0123456789abcdef"[rng.random_range(0..16)]),
                // As many of one byte as of two and of three, which are few among all there are.
                Self::Unicode => match rng.random_range(0..4) {
                    0 => rng.random_range('\0'..'\u{80}'),
                    1 => rng.random_range('\u{80}'..'\u{800}'),
                    2 => rng.random_range('\u{800}'..'\u{10000}'),
                    _ => rng.random_range('\u{10000}'..=char::MAX),
                },
            };
            let left = length - text.len();
            text.push(if next.len_utf8() > left { '.' } else { next });
        }
        text
    }
}

/// Both texts of a round.
pub struct Share {
    pub payload: Text,
    pub answer: Text,
}

/// A text in a file.
pub struct Text {
    pub path: String,
    /// Its bytes.
    pub length: usize,
    /// The SHA-256 of it, in hexadecimal.
    pub hash: String,
}

impl Share {
    /// In this folder: a payload of so many bytes, and an answer of an eighth of that.
    pub fn new(folder: &Path, kind: Kind, length: usize) -> Self {
        let mut rng = seeded(13);
        let mut text = |role, length| {
            let path = folder.join(format!("{kind:?}-{role}"));
            let text = kind.text(&mut rng, length);
            fs::write(&path, &text).unwrap();
            Text {
                path: path.to_str().unwrap().to_owned(),
                length,
                hash: hash(text.as_bytes()),
            }
        };
        Self {
            payload: text("payload", length),
            answer: text("answer", length / 8),
        }
    }
}

/// The SHA-256 of these bytes, in hexadecimal.
pub fn hash(bytes: &[u8]) -> String {
    let hash = digest(&SHA256, bytes);
    hash.as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
