//! The reader against every split of its input, and against everything a client must not send.

mod compressed;
mod progress;

use proptest::prelude::*;

use relay_wire::frame::{encode, encode_masked};

use super::*;
use crate::flow::data::Data;

const MAX_MESSAGE: u64 = 1000;

/// What a client means to send.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Sent {
    Message(Opcode, Vec<u8>),
    Close,
}

/// A masked frame.
fn masked(opcode: Opcode, fin: bool, payload: &[u8]) -> Vec<u8> {
    encode_masked(opcode, fin, payload, [0x12, 0x34, 0x56, 0x78])
}

/// A message in fragments that end at `cuts`, with a Ping after each.
fn fragments(kind: Opcode, payload: &[u8], cuts: &[usize], pings: bool) -> Vec<u8> {
    let mut frames = Vec::new();
    let mut start = 0;
    for &cut in cuts {
        let cut = cut.clamp(start, payload.len());
        let opcode = if frames.is_empty() {
            kind
        } else {
            Opcode::Continuation
        };
        frames.extend(masked(opcode, false, &payload[start..cut]));
        if pings {
            frames.extend(masked(Opcode::Ping, true, b"between"));
        }
        start = cut;
    }
    let opcode = if frames.is_empty() {
        kind
    } else {
        Opcode::Continuation
    };
    frames.extend(masked(opcode, true, &payload[start..]));
    frames
}

fn reader(joining: bool) -> (FrameReader, Arc<Window>) {
    let window = Window::new(1 << 20);
    let mut reader = FrameReader::new(MAX_MESSAGE, Arc::clone(&window));
    if joining {
        reader.join_messages();
    }
    (reader, window)
}

/// Feeds `input` in pieces that end at `cuts`; puts together again what comes out.
struct Peer {
    message: Option<(Opcode, Vec<u8>)>,
    got: Vec<Sent>,
    /// Apart from the rest, which they may overtake.
    pings: Vec<Vec<u8>>,
    violation: Option<Ending>,
}

impl Peer {
    fn read(reader: &mut FrameReader, input: &[u8], cuts: &[usize]) -> Self {
        let mut peer = Self {
            message: None,
            got: Vec::new(),
            pings: Vec::new(),
            violation: None,
        };
        let mut start = 0;
        for &cut in cuts.iter().chain([&input.len()]) {
            let cut = cut.clamp(start, input.len());
            let mut piece = &input[start..cut];
            start = cut;
            while let Some(event) = reader.next(&mut piece) {
                peer.take(event);
                if peer.violation.is_some() || peer.got.last() == Some(&Sent::Close) {
                    return peer;
                }
            }
            assert!(piece.is_empty(), "all of a piece is used");
        }
        peer
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Data(Data::Messages(chunk)) => self.frames(&chunk.bytes),
            Event::Data(Data::Fragment(fragment)) => {
                assert_eq!(fragment.first, self.message.is_none());
                self.frames(&fragment.chunk.bytes);
                assert_eq!(fragment.fin, self.message.is_none());
            }
            Event::Ping(payload) => self.pings.push(payload),
            Event::Pong(_) => panic!("no Pong was awaited"),
            Event::Close(_) => self.got.push(Sent::Close),
            Event::Violation(violation) => self.violation = Some(violation),
        }
    }

    fn frames(&mut self, mut bytes: &[u8]) {
        while let Some((header, len)) = Header::parse(bytes).unwrap() {
            assert!(header.mask.is_none() && header.rsv == 0);
            let end = len + header.len as usize;
            match &mut self.message {
                None => self.message = Some((header.opcode, bytes[len..end].to_vec())),
                Some((_, payload)) => {
                    assert_eq!(header.opcode, Opcode::Continuation);
                    payload.extend_from_slice(&bytes[len..end]);
                }
            }
            if header.fin {
                let (kind, payload) = self.message.take().unwrap();
                self.got.push(Sent::Message(kind, payload));
            }
            bytes = &bytes[end..];
        }
        assert!(bytes.is_empty(), "no frame is cut");
    }
}

prop_compose! {
    fn any_message()(
        text in "\\PC{0,80}",
        noise in prop::collection::vec(any::<u8>(), 0..300),
        binary: bool,
        pings: bool,
        mut cuts in prop::collection::vec(0..300usize, 0..4),
    ) -> (Sent, Vec<u8>) {
        cuts.sort_unstable();
        let (kind, payload) = if binary { (Opcode::Binary, noise) } else { (Opcode::Text, text.into_bytes()) };
        let bytes = fragments(kind, &payload, &cuts, pings);
        (Sent::Message(kind, payload), bytes)
    }
}

proptest! {
    #[test]
    fn messages_come_out_as_they_went_in_however_they_are_split(
        messages in prop::collection::vec(any_message(), 0..6),
        mut cuts in prop::collection::vec(0..2000usize, 0..20),
        joining: bool,
    ) {
        cuts.sort_unstable();
        let input: Vec<u8> = messages.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        let (mut reader, window) = reader(joining);
        let peer = Peer::read(&mut reader, &input, &cuts);
        let sent: Vec<_> = messages.into_iter().map(|(sent, _)| sent).collect();
        prop_assert_eq!(peer.violation, None);
        prop_assert_eq!(peer.got, sent);
        prop_assert_eq!(window.used(), 0, "what was taken is given back");
    }

    #[test]
    fn any_bytes_are_read_or_refused_the_same_however_they_are_split(
        input in prop::collection::vec(any::<u8>(), 0..200),
        first in prop::sample::select(vec![0x01u8, 0x02, 0x81, 0x82, 0x89, 0x88]),
        mut cuts in prop::collection::vec(0..200usize, 0..10),
    ) {
        cuts.sort_unstable();
        let input = [&[first, 0x80 | 5], &input[..]].concat();
        let (mut whole, mut split) = (reader(true).0, reader(true).0);
        let whole = Peer::read(&mut whole, &input, &[]);
        let split = Peer::read(&mut split, &input, &cuts);
        prop_assert_eq!(whole.got, split.got);
        prop_assert_eq!(whole.pings, split.pings);
        prop_assert_eq!(whole.violation, split.violation);
    }
}

#[test]
fn every_single_split_of_an_exchange_reads_the_same() {
    let long = vec![7; 300];
    let mut input = masked(Opcode::Text, true, "grüße".as_bytes());
    input.extend(fragments(
        Opcode::Text,
        "grüße".as_bytes(),
        &[1, 3, 3],
        true,
    ));
    input.extend(masked(Opcode::Binary, true, b""));
    input.extend(masked(Opcode::Binary, true, &long));
    input.extend(masked(Opcode::Close, true, b"\x03\xe8"));
    let (mut whole, _) = reader(true);
    let whole = Peer::read(&mut whole, &input, &[]);
    assert_eq!((whole.got.len(), whole.pings.len()), (5, 3));
    let every: Vec<usize> = (0..input.len()).collect();
    for cuts in every.windows(1).chain([&every[..]]) {
        let (mut split, _) = reader(true);
        let split = Peer::read(&mut split, &input, cuts);
        assert_eq!(
            (&split.got, &split.pings),
            (&whole.got, &whole.pings),
            "cut at {cuts:?}"
        );
    }
}

#[test]
fn what_a_client_must_not_send_is_named() {
    let mut reserved = masked(Opcode::Binary, true, b"x");
    reserved[0] |= 0x40;
    let mut unknown = masked(Opcode::Binary, true, b"x");
    unknown[0] = 0x83;
    let huge = [&[0x82, 0xff][..], &(1u64 << 63).to_be_bytes(), &[0; 4]].concat();
    let top = [&[0x82, 0xff][..], &(u64::MAX >> 1).to_be_bytes(), &[0; 4]].concat();
    let inside = [
        masked(Opcode::Text, false, b"a"),
        masked(Opcode::Text, true, b"b"),
    ]
    .concat();
    let sum = fragments(
        Opcode::Binary,
        &[0; MAX_MESSAGE as usize + 1],
        &[500],
        false,
    );
    for (input, violation) in [
        (encode(Opcode::Text, b"x"), Ending::UnmaskedFrame),
        (reserved, Ending::ReservedBits),
        (unknown, Ending::UnknownOpcode),
        (huge, Ending::BadLength),
        (top, Ending::MessageTooBig),
        (sum, Ending::MessageTooBig),
        (inside, Ending::FragmentOutOfOrder),
        (
            masked(Opcode::Continuation, true, b"x"),
            Ending::FragmentOutOfOrder,
        ),
        (masked(Opcode::Ping, false, b""), Ending::BadControlFrame),
        (
            masked(Opcode::Ping, true, &[0; 126]),
            Ending::BadControlFrame,
        ),
        (masked(Opcode::Close, true, b"\x03"), Ending::BadCloseFrame),
        (masked(Opcode::Text, true, b"\xff"), Ending::InvalidUtf8),
        (masked(Opcode::Text, true, b"\xe2\x82"), Ending::InvalidUtf8),
        (
            fragments(Opcode::Text, b"ok\xff", &[2], false),
            Ending::InvalidUtf8,
        ),
        (
            fragments(Opcode::Text, b"\xe2\x82", &[1], false),
            Ending::InvalidUtf8,
        ),
    ] {
        for joining in [false, true] {
            let (mut reader, window) = reader(joining);
            let good = masked(Opcode::Text, true, b"before");
            let peer = Peer::read(&mut reader, &[good, input.clone()].concat(), &[]);
            assert_eq!(peer.violation, Some(violation), "{input:x?}");
            assert_eq!(peer.got, [Sent::Message(Opcode::Text, b"before".to_vec())]);
            assert_eq!(window.used(), 0);
        }
    }
}

#[test]
fn what_is_just_within_the_limits_is_read() {
    let payload = vec![7; MAX_MESSAGE as usize];
    let input = [
        masked(Opcode::Ping, true, &[1; 125]),
        masked(Opcode::Binary, true, &payload),
        fragments(Opcode::Binary, &payload, &[500], false),
    ];
    for joining in [false, true] {
        let peer = Peer::read(&mut reader(joining).0, &input.concat(), &[]);
        assert_eq!(peer.violation, None);
        assert_eq!(peer.pings, [[1; 125]]);
        let message = Sent::Message(Opcode::Binary, payload.clone());
        assert_eq!(peer.got, [message.clone(), message]);
    }
}

#[test]
fn a_length_is_refused_before_any_of_its_payload_is_taken() {
    let (mut reader, window) = reader(true);
    let announced = masked(Opcode::Binary, true, &[0; MAX_MESSAGE as usize + 1]);
    let peer = Peer::read(&mut reader, &announced[..8], &[]);
    assert_eq!(peer.violation, Some(Ending::MessageTooBig));
    assert_eq!(window.used(), 0);
}

#[test]
fn bad_text_does_not_leave_with_the_good_before_it() {
    let (mut reader, _) = reader(true);
    let mut input = &masked(Opcode::Text, false, b"good, then \xff")[..];
    assert!(matches!(
        reader.next(&mut input),
        Some(Event::Violation(Ending::InvalidUtf8))
    ));
}

#[test]
fn one_read_is_one_chunk_however_many_frames_are_in_it() {
    let (mut reader, window) = reader(true);
    let many = [
        masked(Opcode::Binary, true, b""),
        fragments(Opcode::Binary, b"abc", &[1, 2], false),
    ];
    let input = many.concat().repeat(1000);
    let mut input = &input[..];
    let Some(Event::Data(Data::Messages(chunk))) = reader.next(&mut input) else {
        panic!("a run of messages");
    };
    assert_eq!(chunk.bytes.len(), 1000 * (2 + 5));
    assert_eq!(
        window.used(),
        chunk.bytes.len() + crate::flow::data::OVERHEAD
    );
    assert!(reader.next(&mut input).is_none());
}

#[test]
fn fragments_without_a_byte_are_free_and_lead_to_nothing() {
    let (mut reader, window) = reader(true);
    let mut input = masked(Opcode::Binary, false, b"");
    input.extend(masked(Opcode::Continuation, false, b"").repeat(1000));
    let mut input = &input[..];
    assert!(reader.next(&mut input).is_none());
    assert_eq!(window.used(), 0);
}

#[test]
fn a_pong_parts_what_was_sent_before_it_from_the_rest() {
    let pong = |number: u64| masked(Opcode::Pong, true, &number.to_be_bytes());
    let data = |byte: u8| masked(Opcode::Binary, true, &[byte]);
    let stale = [
        data(1),
        pong(0),
        masked(Opcode::Pong, true, b"unasked"),
        pong(3),
    ]
    .concat();
    // The second answers the first as well, which then comes too late.
    let input = [stale, data(2), pong(2), data(3), pong(2), pong(1)].concat();
    let (mut reader, _) = reader(true);
    assert_eq!((reader.next_ping(), reader.next_ping()), (1, 2));
    let mut input = &input[..];
    let mut seen = Vec::new();
    while let Some(event) = reader.next(&mut input) {
        seen.push(match event {
            Event::Data(Data::Messages(chunk)) => chunk.bytes.to_vec(),
            Event::Pong(number) => format!("pong {number}").into_bytes(),
            other => panic!("{other:?}"),
        });
    }
    let frame = |byte: u8| encode(Opcode::Binary, &[byte]);
    assert_eq!(
        seen,
        [[frame(1), frame(2)].concat(), b"pong 2".to_vec(), frame(3)]
    );
}
