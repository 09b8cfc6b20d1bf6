//! Messages that are compressed: passed on as they came, and looked into where they are to be.

use flate2::{Compress, Compression, FlushCompress};
use proptest::prelude::*;

use super::*;

fn deflate(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() * 2 + 100);
    Compress::new(Compression::default(), false)
        .compress_vec(message, &mut out, FlushCompress::Sync)
        .unwrap();
    out.truncate(out.len() - 4);
    out
}

/// A masked frame with RSV1.
fn first(kind: Opcode, fin: bool, payload: &[u8]) -> Vec<u8> {
    let header = Header::new(kind, fin, payload.len());
    Header {
        rsv: COMPRESSED,
        mask: Some([9, 8, 7, 6]),
        ..header
    }
    .frame(payload)
}

fn reader(limit: u64, looking: bool) -> FrameReader {
    let mut reader = FrameReader::new(limit, Window::new(1 << 30));
    reader.allow_compression();
    reader.join_messages();
    if looking {
        reader.look_inside();
    }
    reader
}

/// All that a reader passes on, as it would be written, with what ended it, and how many turns it took.
fn read(reader: &mut FrameReader, pieces: &[&[u8]]) -> (Vec<Vec<u8>>, Option<Ending>, usize) {
    let (mut passed, mut turns) = (Vec::new(), 0);
    for piece in pieces {
        let mut rest = *piece;
        loop {
            match reader.next(&mut rest) {
                Some(Event::Data(data)) => {
                    let chunk = match data {
                        Data::Messages(chunk) => chunk,
                        Data::Fragment(fragment) => fragment.chunk,
                    };
                    assert!(chunk.compressed);
                    passed.push(chunk.bytes.to_vec());
                }
                Some(Event::Violation(ending)) => return (passed, Some(ending), turns),
                Some(_) => {}
                None => {
                    turns += 1;
                    let most = check::MOST_INFLATED + check::SLICE as u32 * 1100;
                    assert!(reader.take_counts().inflated < most);
                    if rest.is_empty() {
                        break;
                    }
                }
            }
        }
    }
    (passed, None, turns)
}

#[test]
fn what_is_passed_on_blindly_keeps_its_bit_and_is_not_looked_at() {
    let nonsense = first(Opcode::Text, true, b"\xff\xff");
    let begun = first(Opcode::Text, false, b"\xff");
    let ended = masked(Opcode::Continuation, true, b"\xc0");
    let mut reader = reader(100, false);
    let whole = [&nonsense[..], &nonsense].concat();
    let (passed, violation, _) = read(&mut reader, &[&whole, &begun, &ended]);
    assert_eq!(violation, None);
    let expected: [&[u8]; 3] = [
        b"\xc1\x02\xff\xff\xc1\x02\xff\xff",
        b"\x41\x01\xff",
        b"\x80\x01\xc0",
    ];
    assert_eq!(passed, expected);
}

#[test]
fn the_bit_means_nothing_where_it_was_not_negotiated_and_on_other_frames() {
    let (mut plain, _) = super::reader(true);
    let message = first(Opcode::Text, true, &deflate(b"hello"));
    assert_eq!(
        Peer::read(&mut plain, &message, &[]).violation,
        Some(Ending::ReservedBits)
    );
    for (before, kind) in [
        (false, Opcode::Ping),
        (false, Opcode::Close),
        (true, Opcode::Continuation),
    ] {
        let mut reader = reader(100, false);
        let begun = first(Opcode::Text, false, b"");
        let bytes = [
            if before { begun } else { Vec::new() },
            first(kind, true, b""),
        ]
        .concat();
        assert_eq!(
            read(&mut reader, &[&bytes]).1,
            Some(Ending::ReservedBits),
            "{kind:?}"
        );
    }
}

proptest! {
    /// What is good passes as it came, wherever it is cut; what is none ends the stream.
    #[test]
    fn what_is_looked_into_passes_as_it_came(
        text in "\\PC{0,200}",
        times in 1..200usize,
        spoiled in prop::option::of(any::<prop::sample::Index>()),
        frames in 1..4usize,
        cuts in prop::collection::vec(0..3000usize, 0..6),
    ) {
        let mut bytes = deflate(text.repeat(times).as_bytes());
        if let Some(at) = spoiled {
            let at = at.index(bytes.len());
            bytes[at] ^= 0x40;
        }
        let limit = 1 << 20;
        let good = crate::flow::inflate::whole(&bytes, Opcode::Text, limit).is_some();
        let size = bytes.len().div_ceil(frames);
        let count = bytes.chunks(size).len();
        let stream: Vec<u8> = bytes.chunks(size).enumerate().flat_map(|(index, piece)| {
            let fin = index + 1 == count;
            match index {
                0 => first(Opcode::Text, fin, piece),
                _ => masked(Opcode::Continuation, fin, piece),
            }
        }).collect();
        let mut pieces = Vec::new();
        let mut rest = &stream[..];
        for cut in cuts {
            let (piece, more) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = more;
        }
        pieces.push(rest);
        let mut reader = reader(limit as u64, true);
        let (passed, violation, _) = read(&mut reader, &pieces);
        prop_assert_eq!(violation.is_none(), good);
        if good {
            let mut came = Vec::new();
            let mut written = &passed.concat()[..];
            while let Some((header, len)) = Header::parse(written).unwrap() {
                prop_assert_eq!(header.rsv, if came.is_empty() { COMPRESSED } else { 0 });
                let (payload, more) = written[len..].split_at(header.len as usize);
                came.extend_from_slice(payload);
                written = more;
            }
            prop_assert_eq!(came, bytes);
        }
    }
}

#[test]
fn what_swells_is_looked_into_bit_by_bit() {
    let size = 20 << 20;
    let swelling = deflate(&vec![0; size]);
    let message = first(Opcode::Binary, true, &swelling);
    let (passed, violation, turns) = read(&mut reader(size as u64, true), &[&message]);
    assert_eq!((passed.len() > 1, violation), (true, None));
    assert!(turns >= 4, "{turns} turns");
    // Many messages that are small take turns as well: each needs a state of its own.
    let many = first(Opcode::Binary, true, &deflate(b"")).repeat(1000);
    let (_, violation, turns) = read(&mut reader(100, true), &[&many]);
    assert_eq!(violation, None);
    assert!(turns >= 10, "{turns} turns");
    // And those that have no byte.
    let many = first(Opcode::Binary, true, b"").repeat(1000);
    let (_, violation, turns) = read(&mut reader(100, true), &[&many]);
    assert_eq!(violation, None);
    assert!(turns >= 10, "{turns} turns");
}

#[test]
fn what_swells_over_the_limit_is_refused_with_its_size() {
    let message = first(Opcode::Binary, true, &deflate(&vec![0; 20 << 20]));
    let mut reader = reader(1 << 20, true);
    let (_, violation, _) = read(&mut reader, &[&message]);
    assert_eq!(violation, Some(Ending::MessageTooBig));
    let oversize = reader.oversize().unwrap();
    assert_eq!(oversize.limit, 1 << 20);
    assert!((1 << 20..2 << 20).contains(&oversize.size), "{oversize:?}");
}
