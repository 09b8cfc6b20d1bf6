//! Bytes and text without a pattern, so that a lost or a swapped piece cannot go unseen.

use rand::{RngExt, SeedableRng, rngs::StdRng};

/// The same numbers in every run, so that a failure can be repeated.
pub fn seeded(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// `length` such bytes.
pub fn noise(rng: &mut StdRng, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rng.fill(&mut bytes[..]);
    bytes
}

/// Text of `length` bytes, with characters of one to four of them.
pub fn prose(rng: &mut StdRng, length: usize) -> String {
    const CHARACTERS: [char; 8] = ['a', 'Z', '7', '"', 'é', 'ß', '語', '🦀'];
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let next = CHARACTERS[rng.random_range(0..CHARACTERS.len())];
        text.push(if text.len() + next.len_utf8() > length {
            '.'
        } else {
            next
        });
    }
    text
}
