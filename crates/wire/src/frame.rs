//! The frame header and the mask of RFC 6455 §5, and what a Close frame carries (§5.5.1, §7.4).
//!
//! Codec only: which frames may follow which, and what becomes of them, is the reader's.

use crate::{ending::Ending, utf8};

/// The longest header there is: two bytes, eight of length, four of mask.
pub const MAX_HEADER: usize = 14;
/// The longest header the relay writes: a server masks nothing.
pub const MAX_SENT_HEADER: usize = 10;
/// The most a control frame may carry (RFC 6455 §5.5).
pub const MAX_CONTROL: u64 = 125;

/// RSV1, on the first frame of a message that is compressed (RFC 7692 §6).
pub const COMPRESSED: u8 = 4;

/// What a frame is (RFC 6455 §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of the message in progress.
    Continuation = 0,
    /// A text message, or its first fragment.
    Text = 1,
    /// A binary message, or its first fragment.
    Binary = 2,
    /// The closing handshake.
    Close = 8,
    /// A sign of life asked for.
    Ping = 9,
    /// A sign of life.
    Pong = 10,
}

impl Opcode {
    fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    /// Close, Ping and Pong: whole, short, and allowed between the fragments of a message.
    pub fn is_control(self) -> bool {
        self as u8 >= 8
    }
}

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whether the frame ends its message.
    pub fin: bool,
    /// RSV1 to RSV3 as the bits 4, 2 and 1. The first, [`COMPRESSED`], is the only one with a meaning.
    pub rsv: u8,
    /// What the frame is.
    pub opcode: Opcode,
    /// The masking key; every frame of a client has one, none of a server's.
    pub mask: Option<[u8; 4]>,
    /// Bytes of payload.
    pub len: u64,
}

impl Header {
    /// The header of an unmasked frame without reserved bits.
    #[inline]
    pub fn new(opcode: Opcode, fin: bool, len: usize) -> Self {
        Self {
            fin,
            rsv: 0,
            opcode,
            mask: None,
            len: len as u64,
        }
    }

    /// Reads the header at the start of `input`, and how many bytes it takes; `None` while it is
    /// not all there. Nothing is believed of the length but that its top bit must be clear.
    ///
    /// # Errors
    ///
    /// [`Ending::UnknownOpcode`] and [`Ending::BadLength`], as soon as they show.
    #[inline]
    pub fn parse(input: &[u8]) -> Result<Option<(Self, usize)>, Ending> {
        let &[first, second, ref rest @ ..] = input else {
            return Ok(None);
        };
        let opcode = Opcode::from_bits(first & 0x0f).ok_or(Ending::UnknownOpcode)?;
        let (len, rest) = match second & 0x7f {
            126 => match rest.split_first_chunk() {
                Some((len, rest)) => (u64::from(u16::from_be_bytes(*len)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((len, rest)) => (u64::from_be_bytes(*len), rest),
                None => return Ok(None),
            },
            short => (u64::from(short), rest),
        };
        if len >> 63 != 0 {
            return Err(Ending::BadLength);
        }
        let (mask, rest) = if second & 0x80 == 0 {
            (None, rest)
        } else {
            match rest.split_first_chunk() {
                Some((key, rest)) => (Some(*key), rest),
                None => return Ok(None),
            }
        };
        let header = Self {
            fin: first & 0x80 != 0,
            rsv: first >> 4 & 0x07,
            opcode,
            mask,
            len,
        };
        Ok(Some((header, input.len() - rest.len())))
    }

    /// The header's bytes and how many of them count, in the shortest form (§5.2).
    #[inline]
    pub fn encode(&self) -> ([u8; MAX_HEADER], usize) {
        let mut out = [0; MAX_HEADER];
        out[0] = u8::from(self.fin) << 7 | self.rsv << 4 | self.opcode as u8;
        let mut end = 2;
        if self.len <= 125 {
            out[1] = self.len as u8;
        } else if let Ok(len) = u16::try_from(self.len) {
            out[1] = 126;
            out[2..4].copy_from_slice(&len.to_be_bytes());
            end = 4;
        } else {
            out[1] = 127;
            out[2..10].copy_from_slice(&self.len.to_be_bytes());
            end = 10;
        }
        if let Some(key) = self.mask {
            out[1] |= 0x80;
            out[end..end + 4].copy_from_slice(&key);
            end += 4;
        }
        (out, end)
    }

    /// A frame with this header, whose length is written as it stands, and `payload`, masked if
    /// the header has a key.
    pub fn frame(&self, payload: &[u8]) -> Vec<u8> {
        let (header, len) = self.encode();
        let mut frame = Vec::with_capacity(len + payload.len());
        frame.extend_from_slice(&header[..len]);
        match self.mask {
            Some(mut key) => unmask_into(&mut frame, payload, &mut key),
            None => frame.extend_from_slice(payload),
        }
        frame
    }
}

/// A whole unmasked frame: what the relay says of its own.
pub fn encode(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    Header::new(opcode, true, payload.len()).frame(payload)
}

/// A whole frame of a client's, masked with `key` (§5.3).
pub fn encode_masked(opcode: Opcode, fin: bool, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    let mask = Some(key);
    let header = Header::new(opcode, fin, payload.len());
    Header { mask, ..header }.frame(payload)
}

/// A Close frame (§5.5.1); the reason is cut to what a control frame holds.
pub fn encode_close(code: u16, reason: &str) -> Vec<u8> {
    let room = reason.floor_char_boundary(MAX_CONTROL as usize - 2);
    let code = code.to_be_bytes();
    encode(Opcode::Close, &[&code, &reason.as_bytes()[..room]].concat())
}

/// The code in a Close frame's payload, if it has one (§5.5.1, §7.4).
///
/// # Errors
///
/// [`Ending::BadCloseFrame`] for half a code or one that may not be sent, and
/// [`Ending::InvalidUtf8`] for a reason that is no text.
pub fn parse_close(payload: &[u8]) -> Result<Option<u16>, Ending> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() {
            Ok(None)
        } else {
            Err(Ending::BadCloseFrame)
        };
    };
    let code = u16::from_be_bytes(*code);
    // What IANA lists as sendable, and the ranges for libraries and applications (§7.4.2).
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Ending::BadCloseFrame);
    }
    if !utf8::is_valid(reason) {
        return Err(Ending::InvalidUtf8);
    }
    Ok(Some(code))
}

/// Appends `input` to `out`, unmasked; `key` is turned so that it fits what follows (§5.3).
pub fn unmask_into(out: &mut Vec<u8>, input: &[u8], key: &mut [u8; 4]) {
    let start = out.len();
    out.extend_from_slice(input);
    // Eight bytes at a time, in a form the compiler turns into vector instructions.
    let (words, tail) = out[start..].as_chunks_mut::<8>();
    let [a, b, c, d] = *key;
    let mask = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ mask).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
    key.rotate_left(input.len() % 4);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OPCODES: [Opcode; 6] = [
        Opcode::Continuation,
        Opcode::Text,
        Opcode::Binary,
        Opcode::Close,
        Opcode::Ping,
        Opcode::Pong,
    ];

    fn any_header() -> impl Strategy<Value = Header> {
        let opcode = prop::sample::select(OPCODES.to_vec());
        let len = prop_oneof![0..300u64, 65_000..66_000u64, 0..1u64 << 63];
        (any::<bool>(), 0..8u8, opcode, any::<Option<[u8; 4]>>(), len).prop_map(
            |(fin, rsv, opcode, mask, len)| Header {
                fin,
                rsv,
                opcode,
                mask,
                len,
            },
        )
    }

    proptest! {
        #[test]
        fn a_header_survives_the_round_trip_and_every_prefix_wants_more(
            header in any_header(),
            after in prop::collection::vec(any::<u8>(), 0..10),
        ) {
            let (bytes, len) = header.encode();
            let more = [&bytes[..len], &after].concat();
            prop_assert_eq!(Header::parse(&more), Ok(Some((header, len))));
            for cut in 0..len {
                prop_assert_eq!(Header::parse(&bytes[..cut]), Ok(None));
            }
        }

        #[test]
        fn unmasking_in_pieces_is_unmasking_at_once(
            data in prop::collection::vec(any::<u8>(), 0..200),
            key: [u8; 4],
            cut in 0..200usize,
        ) {
            let plain: Vec<u8> = data.iter().zip(key.iter().cycle()).map(|(d, k)| d ^ k).collect();
            let (mut out, mut turned) = (Vec::new(), key);
            let cut = cut.min(data.len());
            unmask_into(&mut out, &data[..cut], &mut turned);
            unmask_into(&mut out, &data[cut..], &mut turned);
            prop_assert_eq!(out, plain);
        }
    }

    /// The examples of RFC 6455 §5.7.
    #[test]
    fn frames_are_what_the_standard_says() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        let hello = encode(Opcode::Text, b"Hello");
        assert_eq!(hello, b"\x81\x05Hello");
        let masked = encode_masked(Opcode::Text, true, b"Hello", key);
        assert_eq!(masked, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
        let first = Header::new(Opcode::Text, false, 3).frame(b"Hel");
        assert_eq!(first, b"\x01\x03Hel");
        let last = Header::new(Opcode::Continuation, true, 2).frame(b"lo");
        assert_eq!(last, b"\x80\x02lo");
        let ping = encode(Opcode::Ping, b"Hello");
        assert_eq!(ping, b"\x89\x05Hello");
        let pong = encode_masked(Opcode::Pong, true, b"Hello", key);
        assert_eq!(pong, b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
        let short = encode(Opcode::Binary, &[0; 256]);
        assert_eq!(short[..4], [0x82, 0x7e, 0x01, 0x00]);
        let long = encode(Opcode::Binary, &[0; 65_536]);
        assert_eq!(long[..10], [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn an_opcode_is_of_data_or_of_control_or_none() {
        for bits in 0..16 {
            let known = OPCODES.into_iter().find(|&opcode| opcode as u8 == bits);
            assert_eq!(Opcode::from_bits(bits), known, "{bits}");
        }
        assert_eq!(
            OPCODES.map(Opcode::is_control),
            [false, false, false, true, true, true]
        );
    }

    #[test]
    fn a_length_with_its_top_bit_set_is_refused() {
        let input = [0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(Header::parse(&input), Err(Ending::BadLength));
    }

    #[test]
    fn close_payloads_are_judged_by_length_code_and_text() {
        let close = |code: u16| parse_close(&code.to_be_bytes());
        assert_eq!(parse_close(b""), Ok(None));
        assert_eq!(parse_close(b"\x03"), Err(Ending::BadCloseFrame));
        for good in [1000, 1001, 1003, 1007, 1011, 1012, 1014, 3000, 4999] {
            assert_eq!(close(good), Ok(Some(good)));
        }
        for bad in [
            0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535,
        ] {
            assert_eq!(close(bad), Err(Ending::BadCloseFrame), "{bad}");
        }
        assert_eq!(parse_close(b"\x03\xe8\xff"), Err(Ending::InvalidUtf8));
    }

    #[test]
    fn a_close_reason_is_cut_between_characters() {
        let frame = encode_close(1000, &"é".repeat(100));
        assert_eq!(frame[..2], [0x88, 124]);
        assert_eq!(parse_close(&frame[2..]), Ok(Some(1000)));
    }
}
