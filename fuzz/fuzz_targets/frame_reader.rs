//! Any bytes, in any pieces, as a client's stream.
#![no_main]

#[path = "../properties/reader.rs"]
mod reader;
#[path = "../properties/reference.rs"]
mod reference;

use libfuzzer_sys::fuzz_target;

/// Limits on each side of where a length takes more bytes, and the least and the most there is.
const LIMITS: [u64; 8] = [1, 125, 126, 1000, 65_535, 65_536, 100_000, 1 << 32];

/// A byte of settings and eight lengths of pieces, over and over; the rest is the stream, in one
/// stretch, so that a mutation of it stays one.
fn input(bytes: &[u8]) -> Option<reader::Input> {
    let (&settings, bytes) = bytes.split_first()?;
    let (lengths, mut stream) = bytes.split_first_chunk::<8>()?;
    let mut pieces = Vec::new();
    for &length in lengths.iter().cycle() {
        if stream.is_empty() {
            break;
        }
        // The last value stands for all there is.
        let length = match length {
            u8::MAX => stream.len(),
            length => stream.len().min(usize::from(length) + 1),
        };
        let (piece, rest) = stream.split_at(length);
        pieces.push(piece.to_vec());
        stream = rest;
    }
    Some(reader::Input {
        pieces,
        max: LIMITS[usize::from(settings % 8)],
        joining: settings & 8 != 0,
    })
}

fuzz_target!(|bytes: &[u8]| {
    if let Some(input) = input(bytes) {
        reader::check(&input);
    }
});
