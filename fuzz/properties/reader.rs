//! What must hold of the frame reader, whatever a client sends and however it arrives.
//!
//! 1. It never panics.
//! 2. What it passes on re-encodes to the messages the reference reads, and it ends as the
//!    reference does; a message cut short is never passed on as a whole one.
//! 3. Text that is not UTF-8 never comes out, but for the good part of a message in progress.
//! 4. What it holds and what it emits is bounded by the bytes it was given, whatever lengths they
//!    announce: by the credit it charges, and by the memory it asks for.

use std::sync::Arc;

use claude_distill_relay::flow::{
    credit::Window,
    data::{Data, OVERHEAD},
    reader::{Event, FrameReader, MOST_FRAGMENTS},
};
use relay_wire::frame::{Header, MAX_SENT_HEADER, Opcode};

use crate::reference::{self, End, Item, Message, Reading};

/// The number of the Ping whose Pong the reader is told to wait for.
pub const PING: u64 = 1;

/// A stream, and how it is read.
#[derive(Debug, Clone)]
pub struct Input {
    /// What the client sends, in the pieces it arrives in.
    pub pieces: Vec<Vec<u8>>,
    /// The longest message allowed.
    pub max: u64,
    /// Whether whole messages may be joined.
    pub joining: bool,
}

/// Reads the stream and asserts all of the above.
pub fn check(input: &Input) {
    let expected = reference::read(&input.pieces.concat(), input.max);
    compare(&expected, &Outcome::of(input), input.waiting());
    check_memory(input);
}

impl Input {
    fn reader(&self) -> (FrameReader, Arc<Window>) {
        // No limit: what the reader takes is its caller's business.
        let window = Window::new(usize::MAX);
        let mut reader = FrameReader::new(self.max, Arc::clone(&window));
        if self.joining {
            reader.join_messages();
        }
        assert_eq!(reader.next_ping(), PING);
        (reader, window)
    }

    /// How much of a message may wait for more of it.
    fn waiting(&self) -> usize {
        (self.max / MOST_FRAGMENTS) as usize
    }
}

/// What came of a stream.
#[derive(Default)]
struct Outcome {
    messages: Vec<Message>,
    partial: Option<Message>,
    pings: Vec<Vec<u8>>,
    /// How many messages were whole when the awaited Pong was reported.
    pong_after: Option<usize>,
    end: Option<End>,
}

impl Outcome {
    fn of(input: &Input) -> Self {
        let (mut reader, window) = input.reader();
        let mut outcome = Self::default();
        for piece in &input.pieces {
            let mut rest = piece.as_slice();
            let (mut data, mut emitted) = (Vec::new(), 0);
            while outcome.end.is_none()
                && let Some(event) = reader.next(&mut rest)
            {
                if let Event::Data(one) = &event {
                    emitted += 1;
                    outcome.data(one);
                }
                if let Some(one) = outcome.event(event) {
                    data.push(one);
                }
            }
            if outcome.end.is_none() {
                assert!(rest.is_empty(), "bytes were left behind");
            }
            // Each costs its overhead and at most one header that the client did not write. Joined,
            // there are six at most: the rest of a message, whole ones, and part of the next, and,
            // behind the one awaited Pong, all three again.
            assert!(
                !input.joining || emitted <= 6,
                "{emitted} pieces of one read"
            );
            let came = input.waiting() + piece.len();
            let most = came + emitted * (OVERHEAD + MAX_SENT_HEADER);
            assert!(window.used() <= most, "{} of {most}", window.used());
            drop(data);
            assert_eq!(window.used(), 0, "credit was kept");
        }
        outcome
    }

    /// Notes an event, or hands its data back for the caller to keep.
    fn event(&mut self, event: Event) -> Option<Data> {
        match event {
            Event::Data(data) => return Some(data),
            Event::Ping(payload) => self.pings.push(payload),
            Event::Pong(PING) => {
                let earlier = self.pong_after.replace(self.messages.len());
                assert!(earlier.is_none(), "one Pong was awaited");
            }
            Event::Pong(other) => panic!("a Pong for Ping {other}"),
            Event::Close(code) => self.end = Some(End::Close(code)),
            Event::Violation(violation) => {
                self.end = Some(End::Breach(violation.close_code().into_iter().collect()));
            }
        }
        None
    }

    /// Reads what would be written to the other side.
    fn data(&mut self, data: &Data) {
        let (chunk, fragment) = match data {
            Data::Messages(chunk) => (chunk, None),
            Data::Fragment(fragment) => (&fragment.chunk, Some(fragment)),
        };
        if let Some(fragment) = fragment {
            let (_, header_len) = parse(&chunk.bytes);
            assert_eq!(fragment.payload(), &chunk.bytes[header_len..]);
            assert_eq!(fragment.first, self.partial.is_none());
        }
        let mut bytes = &chunk.bytes[..];
        while !bytes.is_empty() {
            let (header, header_len) = parse(bytes);
            let len = usize::try_from(header.len).unwrap();
            let (payload, rest) = bytes[header_len..].split_at(len);
            bytes = rest;
            self.frame(&header, payload);
            match fragment {
                None => assert!(self.partial.is_none(), "part of a message among whole ones"),
                Some(fragment) => {
                    assert!(rest.is_empty(), "a fragment is one frame");
                    assert_eq!(fragment.fin, header.fin);
                }
            }
        }
    }

    fn frame(&mut self, header: &Header, payload: &[u8]) {
        assert_eq!((header.mask, header.rsv), (None, 0));
        let text = match header.opcode {
            Opcode::Text => true,
            Opcode::Binary => false,
            opcode => {
                assert_eq!(opcode, Opcode::Continuation);
                self.partial
                    .as_ref()
                    .expect("a continuation of nothing")
                    .text
            }
        };
        let starts = header.opcode != Opcode::Continuation;
        assert_eq!(starts, self.partial.is_none());
        let mut message = self.partial.take().unwrap_or_default();
        message.text = text;
        message.payload.extend_from_slice(payload);
        if header.fin {
            self.messages.push(message);
        } else {
            self.partial = Some(message);
        }
    }
}

/// The header of a frame the relay would write, in its shortest form.
fn parse(bytes: &[u8]) -> (Header, usize) {
    let (header, len) = Header::parse(bytes).unwrap().expect("half a header");
    let (shortest, shortest_len) = header.encode();
    assert_eq!(bytes[..len], shortest[..shortest_len]);
    (header, len)
}

fn compare(expected: &Reading, outcome: &Outcome, waiting: usize) {
    let messages = |item: &Item| match item {
        Item::Message(message) => Some(message.clone()),
        _ => None,
    };
    let pings = |item: &Item| match item {
        Item::Ping(payload) => Some(payload.clone()),
        _ => None,
    };
    let whole: Vec<_> = expected.items.iter().filter_map(messages).collect();
    assert_eq!(outcome.messages, whole);
    let pinged: Vec<_> = expected.items.iter().filter_map(pings).collect();
    assert_eq!(outcome.pings, pinged);
    let awaited = |item: &Item| *item == Item::Pong(PING.to_be_bytes().to_vec());
    let before = expected.items.iter().position(awaited);
    let pong_after = before.map(|at| expected.items[..at].iter().filter_map(messages).count());
    assert_eq!(outcome.pong_after, pong_after);

    let nothing = Message::default();
    let there = expected.partial.as_ref().unwrap_or(&nothing);
    let passed = outcome.partial.as_ref().unwrap_or(&nothing);
    if !passed.payload.is_empty() {
        assert_eq!(passed.text, there.text);
    }
    assert!(there.payload.starts_with(&passed.payload));
    if passed.text
        && let Err(error) = std::str::from_utf8(&passed.payload)
    {
        assert_eq!(error.error_len(), None, "bad text was passed on");
    }
    match (&expected.end, &outcome.end) {
        (End::OutOfBytes, None) => {
            assert!(there.payload.len() - passed.payload.len() <= waiting);
        }
        (End::Breach(any), Some(End::Breach(one))) => {
            assert!(any.contains(&one[0]), "{one:?} for {any:?}");
        }
        (expected, outcome) => assert_eq!(Some(expected), outcome.as_ref()),
    }
}

/// Reads it all again, and looks at nothing but the memory it takes.
fn check_memory(input: &Input) {
    let (mut reader, _window) = input.reader();
    let mut held = 0;
    for piece in &input.pieces {
        let mut rest = piece.as_slice();
        let mut ended = false;
        let memory = allocation_counter::measure(|| {
            while !ended && let Some(event) = reader.next(&mut rest) {
                ended = matches!(event, Event::Close(_) | Event::Violation(_));
            }
        });
        // A buffer that has grown by doubling is twice what is in it, and while it grows its
        // former self is there too; the joined copy of a fragmented message comes on top.
        let most = 4 * (input.waiting() + piece.len()) + 2048;
        assert!(
            memory.bytes_max <= most as u64,
            "{} of {most}",
            memory.bytes_max
        );
        held += memory.bytes_current;
        let most = 256 + 2 * input.waiting() as i64;
        assert!(held <= most, "{held} bytes are kept, over {most}");
        if ended {
            return;
        }
    }
}
