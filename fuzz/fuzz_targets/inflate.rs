//! Any bytes, in any pieces, as a compressed message.
#![no_main]

#[path = "../properties/inflate.rs"]
mod inflate;

use libfuzzer_sys::fuzz_target;

/// A byte of settings, and one each for the length of a piece and for what is asked for at a time; the
/// rest is the message.
fn input(bytes: &[u8]) -> Option<inflate::Input> {
    let (&[settings, length, room], message) = bytes.split_first_chunk()?;
    let pieces = message.chunks(usize::from(length) + 1);
    Some(inflate::Input {
        pieces: pieces.map(<[u8]>::to_vec).collect(),
        text: settings & 1 != 0,
        limit: 1 << (settings >> 4),
        room: usize::from(room) + 1,
    })
}

fuzz_target!(|bytes: &[u8]| {
    if let Some(input) = input(bytes) {
        inflate::check(&input);
    }
});
