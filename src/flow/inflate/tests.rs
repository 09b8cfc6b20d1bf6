use std::io::Write;

use flate2::{Compress, Compression, FlushCompress, write::DeflateEncoder};
use proptest::prelude::*;

use super::*;

/// Compresses as RFC 7692 §7.2.1 has it, with a window of so many bits.
fn deflate(message: &[u8], bits: u8) -> Vec<u8> {
    let mut state = Compress::new_with_window_bits(Compression::fast(), false, bits);
    let mut out = Vec::with_capacity(message.len() * 2 + 100);
    state
        .compress_vec(message, &mut out, FlushCompress::Sync)
        .unwrap();
    assert_eq!(state.total_in(), message.len() as u64);
    assert!(out.ends_with(TAIL));
    out.truncate(out.len() - TAIL.len());
    out
}

/// Inflates what comes in these pieces, so many bytes at a time.
fn inflate(pieces: &[&[u8]], kind: Opcode, limit: u64, room: usize) -> Result<Vec<u8>, Ending> {
    let mut inflater = Inflater::new(kind, limit);
    let (mut message, mut out) = (Vec::new(), vec![0; room]);
    for (index, piece) in pieces.iter().enumerate() {
        let last = index + 1 == pieces.len();
        let mut input = *piece;
        loop {
            let len = inflater.inflate(&mut input, last, &mut out)?;
            message.extend_from_slice(&out[..len]);
            if len < room {
                assert!(input.is_empty());
                break;
            }
        }
    }
    assert_eq!(inflater.size(), message.len() as u64);
    Ok(message)
}

fn cut<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.sort_unstable();
    let ends = cuts.iter().copied().chain([bytes.len()]);
    let begins = [0].into_iter().chain(cuts.iter().copied());
    begins.zip(ends).map(|(a, b)| &bytes[a..b]).collect()
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..400),
        prop::collection::vec(0..3u8, 0..5000),
        (any::<u8>(), 0..50_000usize).prop_map(|(byte, len)| vec![byte; len]),
    ]
}

proptest! {
    #[test]
    fn a_message_comes_out_as_it_was_wherever_it_is_cut(
        message in message(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        bits in 9..=15u8,
        room in 1..3000usize,
    ) {
        let compressed = deflate(&message, bits);
        let pieces = cut(&compressed, &cuts);
        let size = message.len() as u64;
        prop_assert_eq!(inflate(&pieces, Opcode::Binary, size, room), Ok(message.clone()));
        let mut looks = Inflater::new(Opcode::Binary, size);
        for (index, piece) in pieces.iter().enumerate() {
            prop_assert_eq!(looks.look(piece, index + 1 == pieces.len()), Ok(()));
        }
        prop_assert_eq!(looks.size(), size);
        if size > 0 {
            let short = inflate(&pieces, Opcode::Binary, size - 1, room);
            prop_assert_eq!(short, Err(Ending::MessageTooBig));
        }
    }

    #[test]
    fn any_bytes_are_judged_alike_however_they_come(
        bytes in prop::collection::vec(any::<u8>(), 0..100),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        room in 1..3000usize,
        text: bool,
    ) {
        let kind = if text { Opcode::Text } else { Opcode::Binary };
        let at_once = inflate(&[&bytes], kind, 10_000, 20_000);
        prop_assert_eq!(inflate(&cut(&bytes, &cuts), kind, 10_000, room).is_ok(), at_once.is_ok());
    }

    #[test]
    fn text_is_judged_as_what_it_is_once_it_is_inflated(
        text in "\\PC{0,60}",
        noise in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        room in 1..50usize,
    ) {
        let mut bytes = text.into_bytes();
        if let (Some((at, byte)), false) = (noise, bytes.is_empty()) {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let compressed = deflate(&bytes, 9);
        let came = inflate(&cut(&compressed, &cuts), Opcode::Text, 1000, room);
        prop_assert_eq!(came.is_ok(), std::str::from_utf8(&bytes).is_ok());
    }
}

/// RFC 7692 §7.2.3.1 to §7.2.3.5, and an empty message (§7.2.3.6).
#[test]
fn the_examples_of_the_standard_come_out() {
    let hello = |bytes: &[u8]| whole(bytes, Opcode::Text, 100);
    let expected = Some(b"Hello".to_vec());
    let examples: [&[u8]; 4] = [
        &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
        &[
            0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
        ],
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
        &[
            0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
        ],
    ];
    for example in examples {
        assert_eq!(hello(example), expected, "{example:x?}");
    }
    assert_eq!(hello(&[0x00]), Some(Vec::new()));
    // A last frame that had nothing more to flush.
    assert_eq!(hello(&[]), Some(Vec::new()));
}

#[test]
fn what_is_behind_the_last_block_is_no_message() {
    let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    for (behind, good) in [
        (&[][..], true),
        (&[0], true),
        (&[1], false),
        (&[0, 0], false),
        (&last, false),
    ] {
        let bytes = [&last, behind].concat();
        let came = inflate(&[&bytes], Opcode::Text, 100, 200);
        assert_eq!(came.is_ok(), good, "{behind:?}");
        let cut = bytes.split_at(last.len());
        assert_eq!(inflate(&[cut.0, cut.1], Opcode::Text, 100, 1).is_ok(), good);
    }
    let mut twice = Inflater::new(Opcode::Text, 100);
    assert_eq!(twice.look(&[&last[..], &[0]].concat(), false), Ok(()));
    assert_eq!(twice.look(&[0], true), Err(Ending::BadCompression));
}

#[test]
fn what_is_no_stream_is_refused() {
    // A block of the type that there is not, and a distance to before the beginning.
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&[7; 1000]).unwrap();
    let good = encoder.finish().unwrap();
    assert_eq!(
        inflate(&[&good], Opcode::Binary, 1000, 10).unwrap(),
        [7; 1000]
    );
    for bad in [&[0x06][..], &[0xff; 10], &[0x02, 0x02, 0x02]] {
        let came = inflate(&[bad], Opcode::Binary, 1000, 10);
        assert_eq!(came, Err(Ending::BadCompression), "{bad:x?}");
    }
}

#[test]
fn a_bomb_is_stopped_at_the_limit() {
    let bomb = deflate(&vec![0; 10_000_000], 15);
    let mut inflater = Inflater::new(Opcode::Binary, 1_000_000);
    assert_eq!(inflater.look(&bomb, false), Err(Ending::MessageTooBig));
    assert!(inflater.size() <= 1_000_000 + GLANCE as u64);
    assert_eq!(whole(&bomb, Opcode::Binary, 4096), None);
    let fits = deflate(&[b'x'; 4096], 9);
    assert_eq!(whole(&fits, Opcode::Text, 4096), Some(vec![b'x'; 4096]));
    let over = deflate(&[b'x'; 4097], 9);
    assert_eq!(whole(&over, Opcode::Text, 4096), None);
}
