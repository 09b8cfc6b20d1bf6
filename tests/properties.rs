//! The properties of the relay's parsers, tried on generated input with every test run. The fuzz
//! targets in `fuzz/` search with the same properties, and for longer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../fuzz/properties/inflate.rs"]
mod inflate;
#[path = "../fuzz/properties/reader.rs"]
mod reader;
#[path = "../fuzz/properties/reference.rs"]
mod reference;
#[path = "../fuzz/properties/request.rs"]
mod request;

use claude_distill_relay::flow::{
    credit::Window,
    data::Data,
    reader::{Event, FrameReader},
};
use flate2::{Compress, Compression, FlushCompress};
use proptest::{collection::vec, option, prelude::*, sample::select};
use relay_wire::{
    code::RoomCode,
    frame::{Header, Opcode},
    request::{Join, Request},
};
use serde_json::{Value, json};

use self::reader::{Input, PING};

/// A client's frame, good but for a fault now and then.
fn frame(opcode: Opcode, fin: bool, payload: Vec<u8>, key: [u8; 4], fault: Fault) -> Vec<u8> {
    let mut header = Header::new(opcode, fin, payload.len());
    header.mask = Some(key);
    if let Fault::Length(len) = fault {
        header.len = len;
    }
    let mut frame = header.frame(&payload);
    if let Fault::Flip(at, bit) = fault {
        let at = at.index(frame.len());
        frame[at] ^= 1 << bit;
    }
    frame
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    /// One bit is wrong, in the header as often as not.
    Flip(prop::sample::Index, u8),
    /// The header announces this.
    Length(u64),
}

fn fault() -> impl Strategy<Value = Fault> {
    let lengths = prop_oneof![0..200u64, any::<u64>(), Just((1 << 63) - 1), Just(1 << 63)];
    prop_oneof![
        30 => Just(Fault::None),
        1 => (any::<prop::sample::Index>(), 0..8u8).prop_map(|(at, bit)| Fault::Flip(at, bit)),
        1 => lengths.prop_map(Fault::Length),
    ]
}

fn payload(text: bool) -> BoxedStrategy<Vec<u8>> {
    let noise = || vec(any::<u8>(), 0..300);
    if !text {
        return prop_oneof![8 => noise(), 1 => vec(any::<u8>(), 65_000..66_000)].boxed();
    }
    let good = "\\PC{0,150}".prop_map(String::into_bytes);
    prop_oneof![20 => good, 1 => noise()].boxed()
}

fn control() -> impl Strategy<Value = Vec<u8>> {
    let short = || vec(any::<u8>(), 0..126);
    let pong = prop_oneof![short(), Just(PING.to_be_bytes().to_vec())];
    let close = (any::<u16>(), "\\PC{0,20}")
        .prop_map(|(code, reason)| [&code.to_be_bytes(), reason.as_bytes()].concat());
    let content = prop_oneof![
        8 => short().prop_map(|payload| (Opcode::Ping, payload)),
        8 => pong.prop_map(|payload| (Opcode::Pong, payload)),
        1 => close.prop_map(|payload| (Opcode::Close, payload)),
    ];
    (content, any::<[u8; 4]>(), fault())
        .prop_map(|((opcode, payload), key, fault)| frame(opcode, true, payload, key, fault))
}

/// The frames of a message, cut anywhere, with control frames between them.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let content = any::<bool>().prop_flat_map(|text| (Just(text), payload(text)));
    let part = (
        any::<prop::sample::Index>(),
        any::<[u8; 4]>(),
        fault(),
        option::of(control()),
    );
    (content, vec(part, 1..5)).prop_map(|((text, mut payload), parts)| {
        let (mut bytes, count) = (Vec::new(), parts.len());
        let first = if text { Opcode::Text } else { Opcode::Binary };
        for (i, (cut, key, fault, control)) in parts.into_iter().enumerate() {
            let last = i + 1 == count;
            let rest = match last {
                true => Vec::new(),
                false => payload.split_off(cut.index(payload.len() + 1)),
            };
            let opcode = if i == 0 { first } else { Opcode::Continuation };
            bytes.extend(frame(opcode, last, payload, key, fault));
            bytes.extend(control.into_iter().flatten());
            payload = rest;
        }
        bytes
    })
}

/// Streams of messages, and of nothing anyone would send, in pieces of any size.
fn input() -> impl Strategy<Value = Input> {
    let stream = prop_oneof![
        8 => vec(prop_oneof![4 => message(), 1 => control()], 0..12)
            .prop_map(|frames| frames.concat()),
        1 => vec(any::<u8>(), 0..400),
    ];
    let lengths = prop_oneof![
        Just(vec![usize::MAX]),
        vec(1..4usize, 1..4),
        vec(1..400usize, 1..8),
        vec(1..70_000usize, 1..4),
    ];
    let max = select(vec![1, 125, 126, 1000, 65_536, 1 << 32]);
    (stream, lengths, max, any::<bool>()).prop_map(|(stream, lengths, max, joining)| {
        let mut rest = stream.as_slice();
        let mut lengths = lengths.iter().cycle();
        let mut pieces = Vec::new();
        while let (false, Some(&length)) = (rest.is_empty(), lengths.next()) {
            let (piece, more) = rest.split_at(length.min(rest.len()));
            pieces.push(piece.to_vec());
            rest = more;
        }
        Input {
            pieces,
            max,
            joining,
        }
    })
}

/// Streams of DEFLATE, with a fault or without, and what is none.
fn compressed() -> impl Strategy<Value = inflate::Input> {
    let message = prop_oneof![
        "\\PC{0,150}".prop_map(String::into_bytes),
        vec(any::<u8>(), 0..300),
        (any::<u8>(), 0..100_000usize).prop_map(|(byte, len)| vec![byte; len]),
    ];
    let deflated = (message, option::of((any::<prop::sample::Index>(), 0..8u8)));
    let deflated = deflated.prop_map(|(message, fault)| {
        let mut bytes = Vec::with_capacity(2 * message.len() + 100);
        let mut state = Compress::new(Compression::default(), false);
        let flush = FlushCompress::Sync;
        state.compress_vec(&message, &mut bytes, flush).unwrap();
        bytes.truncate(bytes.len() - 4);
        if let Some((at, bit)) = fault {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        bytes
    });
    let bytes = prop_oneof![4 => deflated, 1 => vec(any::<u8>(), 0..200)];
    let limits = select(vec![0, 1, 100, 1000, 65_536, 1 << 30]);
    (bytes, 1..500usize, any::<bool>(), limits, 1..3000usize).prop_map(
        |(bytes, length, text, limit, room)| inflate::Input {
            pieces: bytes.chunks(length).map(<[u8]>::to_vec).collect(),
            text,
            limit,
            room,
        },
    )
}

/// Any JSON, not very large.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-z_]{0,8}", inner, 0..4)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_frame_reader_reads_as_the_reference_does(input in input()) {
        reader::check(&input);
    }

    #[test]
    fn a_compressed_message_is_judged_alike_however_it_comes(input in compressed()) {
        inflate::check(&input);
    }

    #[test]
    fn a_request_of_any_bytes_is_taken_if_it_is_json(bytes in vec(any::<u8>(), 0..200)) {
        request::check(&bytes);
    }

    #[test]
    fn a_request_that_is_almost_json_is_judged_as_json_is(
        code in "\\PC{0,12}",
        at: prop::sample::Index,
        byte: u8,
    ) {
        let join = json!({ "type": "JOIN_ROOM", "room_id": code });
        let resume = json!({ "type": "RESUME_ROOM", "room_id": code, "resume_token": "A".repeat(71) });
        let create = json!({ "type": "CREATE_ROOM", "resume": true, "expires_in": 7200 });
        for request in [join, resume, create] {
            let mut request = request.to_string().into_bytes();
            request::check(&request);
            let at = at.index(request.len());
            request[at] = byte;
            request::check(&request);
        }
    }

    #[test]
    fn a_join_is_understood_whatever_stands_beside_it(
        code in "\\PC{0,12}",
        others in prop::collection::hash_map("[a-z_]{0,8}", any_json(), 0..4),
    ) {
        let mut request: Value = others.into_iter().collect();
        request["type"] = "JOIN_ROOM".into();
        request["room_id"] = code.clone().into();
        let join = Some(Request::Join(Join {
            code: RoomCode::from_typed(&code),
            queue_updates: false,
        }));
        prop_assert_eq!(Request::parse(request.to_string().as_bytes()), join);
        prop_assert_eq!(Request::parse(format!("{request:#}").as_bytes()), join);
    }

    #[test]
    fn json_of_another_type_is_no_request(json in any_json()) {
        request::check(json.to_string().as_bytes());
        let request = json!({ "type": json });
        prop_assert_eq!(Request::parse(request.to_string().as_bytes()), None);
    }
}

/// However many messages a read brings, they are unmasked into one buffer that is as large as they
/// need, and no larger.
#[test]
fn the_messages_of_one_read_take_one_buffer() {
    for (count, size) in [(1000, 64), (1, 60_000)] {
        let message = frame(Opcode::Binary, true, vec![7; size], [9; 4], Fault::None);
        let input = message.repeat(count);
        let mut reader = FrameReader::new(1 << 20, Window::new(1 << 20));
        reader.join_messages();
        let memory = allocation_counter::measure(|| {
            assert!(matches!(
                reader.next(&mut &input[..]),
                Some(Event::Data(Data::Messages(_)))
            ));
        });
        // The buffer, what is in it when that is cut to its size, and the counter of both.
        assert!(memory.count_total <= 3, "{memory:?}");
        assert!(memory.bytes_max <= 2 * input.len() as u64, "{memory:?}");
    }
}

/// Found by the property above: the reader kept the memory of a message it had refused.
#[test]
fn a_refused_text_leaves_no_memory_behind() {
    let text = vec![0xff; 1500];
    reader::check(&Input {
        pieces: vec![frame(Opcode::Text, true, text, [0; 4], Fault::None)],
        max: 65_536,
        joining: true,
    });
}
