use std::sync::Arc;

use flate2::{Compress, Compression, FlushCompress};
use proptest::prelude::*;
use relay_wire::frame::{COMPRESSED, encode, encode_close};

use super::*;
use crate::flow::{
    credit::{Pool, Window},
    ledger::Ledger,
};

fn deflate(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() * 2 + 100);
    Compress::new(Compression::fast(), false)
        .compress_vec(message, &mut out, FlushCompress::Sync)
        .unwrap();
    out.truncate(out.len() - 4);
    out
}

fn frame(opcode: Opcode, fin: bool, rsv: u8, payload: &[u8]) -> Vec<u8> {
    let header = Header::new(opcode, fin, payload.len());
    Header { rsv, ..header }.frame(payload)
}

fn chunk(bytes: Vec<u8>, payload: usize, window: &Arc<Window>) -> Chunk {
    Chunk {
        compressed: true,
        ..Chunk::of_payload(bytes, payload, window)
    }
}

/// The messages in these frames, none of which is compressed: kind and payload of each.
fn messages(mut bytes: &[u8]) -> Vec<(Opcode, Vec<u8>)> {
    let mut all: Vec<(Opcode, Vec<u8>)> = Vec::new();
    let mut ended = true;
    while let Some((header, len)) = Header::parse(bytes).unwrap() {
        let (payload, rest) = bytes[len..].split_at(header.len as usize);
        assert_eq!(header.rsv, 0);
        assert_eq!(header.opcode == Opcode::Continuation, !ended);
        if ended {
            all.push((header.opcode, Vec::new()));
        }
        all.last_mut().unwrap().1.extend_from_slice(payload);
        ended = header.fin;
        bytes = rest;
    }
    assert!(bytes.is_empty() && ended);
    all
}

/// All that comes out.
fn drain(unpacker: &mut Unpacker) -> Result<Vec<u8>, Broken> {
    let mut out = Vec::new();
    while let Some(mut piece) = unpacker.take()? {
        piece.credit.given();
        out.extend_from_slice(&piece.bytes);
    }
    Ok(out)
}

fn message() -> impl Strategy<Value = (bool, Vec<u8>)> {
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..100),
        (any::<u8>(), 0..100_000usize).prop_map(|(byte, len)| vec![byte; len]),
        Just(vec![5; PIECE]),
        Just(vec![5; 2 * PIECE]),
    ];
    (any::<bool>(), payload)
}

proptest! {
    /// However the messages come (several in one chunk, one in several frames or in parts of a frame),
    /// they come out as they were, and each byte that was taken is given once.
    #[test]
    fn messages_come_out_as_they_were(
        all in prop::collection::vec((message(), 0..3u8, 1..5usize), 1..5),
    ) {
        let (pool, ledger) = (Pool::new(usize::MAX), Arc::new(Ledger::default()));
        let window = Window::part_of(&pool, &ledger, usize::MAX);
        let mut unpacker = Unpacker::new(1 << 20);
        let (mut expected, mut out, mut run, mut in_run) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for ((compressed, payload), way, pieces) in all {
            let rsv = if compressed { COMPRESSED } else { 0 };
            let sent = if compressed { deflate(&payload) } else { payload.clone() };
            expected.push((Opcode::Binary, payload));
            if way == 0 || !compressed {
                run.extend(frame(Opcode::Binary, true, rsv, &sent));
                in_run += sent.len();
                continue;
            }
            unpacker.push(chunk(std::mem::take(&mut run), std::mem::take(&mut in_run), &window).into());
            let size = sent.len().div_ceil(pieces).max(1);
            let count = sent.chunks(size).len();
            if way == 1 {
                for (index, piece) in sent.chunks(size).enumerate() {
                    let (opcode, rsv) = if index == 0 { (Opcode::Binary, rsv) } else { (Opcode::Continuation, 0) };
                    let part = frame(opcode, index + 1 == count, rsv, piece);
                    unpacker.push(chunk(part, piece.len(), &window).into());
                    out.extend(drain(&mut unpacker).unwrap());
                }
            } else {
                let whole = frame(Opcode::Binary, true, rsv, &sent);
                let (header, _) = whole.split_at(whole.len() - sent.len());
                let mut parts = vec![chunk(header.to_vec(), 0, &window)];
                parts.extend(sent.chunks(size).map(|piece| chunk(piece.to_vec(), piece.len(), &window)));
                unpacker.push(Delivery::Chunks(parts));
            }
        }
        unpacker.push(chunk(run, in_run, &window).into());
        out.extend(drain(&mut unpacker).unwrap());
        prop_assert!(unpacker.is_idle());
        prop_assert_eq!(messages(&out), expected);
        prop_assert_eq!(window.used(), 0);
        let account = ledger.account();
        prop_assert_eq!(account.given, account.taken);
        prop_assert_eq!(account.held, 0);
    }
}

#[test]
fn what_the_relay_says_keeps_its_place() {
    let window = Window::new(usize::MAX);
    let mut unpacker = Unpacker::new(1000);
    let message = frame(Opcode::Text, true, COMPRESSED, &deflate(b"hello"));
    unpacker.push(chunk(message, 0, &window).into());
    unpacker.push_ours(Chunk::new(encode(Opcode::Text, b"{}"), &window));
    let out = drain(&mut unpacker).unwrap();
    let expected = [b"hello".to_vec(), b"{}".to_vec()].map(|text| (Opcode::Text, text));
    assert_eq!(messages(&out), expected);
    assert!(unpacker.is_idle());
}

#[test]
fn a_bomb_takes_its_limit_of_time_and_no_memory_but_a_piece() {
    let window = Window::new(usize::MAX);
    let bomb = frame(
        Opcode::Binary,
        true,
        COMPRESSED,
        &deflate(&vec![0; 20_000_000]),
    );
    let (size, limit) = (bomb.len(), 10_000_000);
    let mut unpacker = Unpacker::new(limit);
    unpacker.push(chunk(bomb, 0, &window).into());
    let mut came = 0;
    let broken = loop {
        match unpacker.take() {
            Ok(Some(piece)) => {
                came += piece.bytes.len() as u64;
                assert!(window.used() < size + 2 * PIECE);
            }
            Ok(None) => panic!("an end"),
            Err(broken) => break broken,
        }
    };
    assert_eq!(broken.ending, Ending::MessageTooBig);
    assert!(
        broken
            .oversize
            .is_some_and(|it| it.limit == limit && it.size <= limit + PIECE as u64)
    );
    assert!(
        (limit - PIECE as u64..limit + limit / 1000).contains(&came),
        "{came}"
    );
    assert_eq!(window.used(), 0);
}

#[test]
fn behind_a_broken_message_comes_only_what_the_relay_says() {
    for (bad, kind, ending) in [
        (vec![0xff; 10], Opcode::Binary, Ending::BadCompression),
        (deflate(b"\xc0\x80"), Opcode::Text, Ending::InvalidUtf8),
        (deflate(&[b'x'; 1001]), Opcode::Text, Ending::MessageTooBig),
    ] {
        let window = Window::new(usize::MAX);
        let mut unpacker = Unpacker::new(1000);
        let good = frame(kind, true, COMPRESSED, &deflate(b"good"));
        let bad = frame(kind, true, COMPRESSED, &bad);
        unpacker.push(chunk([good.clone(), bad].concat(), 0, &window).into());
        unpacker.push(chunk(good.clone(), 0, &window).into());
        // Said before anybody knew.
        let ours = Window::new(usize::MAX);
        let close = encode_close(1001, "");
        unpacker.push_ours(Chunk::new(close.clone(), &ours));
        let first = unpacker.take().unwrap().unwrap();
        assert_eq!(messages(&first.bytes), [(kind, b"good".to_vec())]);
        assert_eq!(unpacker.take().unwrap_err().ending, ending);
        unpacker.push(chunk(good, 0, &window).into());
        unpacker.push_ours(Chunk::new(close.clone(), &ours));
        assert_eq!(drain(&mut unpacker).unwrap(), close.repeat(2));
        assert!(!unpacker.is_idle());
    }
}
