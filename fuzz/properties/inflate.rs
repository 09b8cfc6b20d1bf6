//! What must hold of inflating a message, whatever a client calls one and however it arrives.
//!
//! 1. It never panics.
//! 2. However it is cut, and however little is asked for at a time, the same comes out of it, and looking
//!    into it judges it alike.
//! 3. No more comes out than the limit and one read of it, and no text that is not UTF-8.
//! 4. It takes the memory of one state, whatever comes out.

use claude_distill_relay::flow::inflate::Inflater;
use relay_wire::frame::Opcode;

/// The most that the state of a message takes.
const STATE: u64 = 64 * 1024;

/// A message, and how it is read.
#[derive(Debug, Clone)]
pub struct Input {
    /// What the client sends, in the pieces it arrives in.
    pub pieces: Vec<Vec<u8>>,
    /// Whether it is text.
    pub text: bool,
    /// Bytes that may come of it.
    pub limit: u64,
    /// Bytes that are asked for at a time.
    pub room: usize,
}

/// Inflates it in several ways and asserts all of the above.
pub fn check(input: &Input) {
    let at_once = inflate(&[input.pieces.concat()], input, 1 << 16);
    let in_pieces = inflate(&input.pieces, input, input.room);
    assert_eq!(in_pieces.is_some(), at_once.is_some());
    if let Some(message) = &at_once {
        assert_eq!(in_pieces.as_ref(), at_once.as_ref());
        assert!(message.len() as u64 <= input.limit);
        assert!(!input.text || std::str::from_utf8(message).is_ok());
    }
    let mut good = true;
    let memory = allocation_counter::measure(|| {
        let mut inflater = inflater(input);
        let last = input.pieces.len().saturating_sub(1);
        let mut pieces = input.pieces.iter().enumerate();
        good = pieces.all(|(index, piece)| inflater.look(piece, index == last).is_ok());
    });
    assert_eq!(
        good || input.pieces.is_empty(),
        at_once.is_some() || input.pieces.is_empty()
    );
    assert!(memory.bytes_max <= STATE, "{}", memory.bytes_max);
    assert_eq!(memory.bytes_current, 0);
}

fn inflater(input: &Input) -> Inflater {
    let kind = if input.text {
        Opcode::Text
    } else {
        Opcode::Binary
    };
    Inflater::new(kind, input.limit)
}

fn inflate(pieces: &[Vec<u8>], input: &Input, room: usize) -> Option<Vec<u8>> {
    let mut inflater = inflater(input);
    let (mut message, mut out) = (Vec::new(), vec![0; room]);
    for (index, piece) in pieces.iter().enumerate() {
        let mut rest = piece.as_slice();
        loop {
            let last = index + 1 == pieces.len();
            let len = inflater.inflate(&mut rest, last, &mut out).ok()?;
            message.extend_from_slice(&out[..len]);
            if len < room {
                assert!(rest.is_empty(), "bytes were left behind");
                break;
            }
        }
    }
    Some(message)
}
