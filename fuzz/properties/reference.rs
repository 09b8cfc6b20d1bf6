//! What a client's bytes mean, by RFC 6455 read slowly: one frame after another, over all of the
//! bytes at once, with nothing kept between frames but the message in progress. It shares no code
//! with the relay, so that the two can be compared.

use std::str;

/// Something the bytes said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A message with its last byte.
    Message(Message),
    /// A Ping's payload.
    Ping(Vec<u8>),
    /// A Pong's payload.
    Pong(Vec<u8>),
}

/// A message, or as much of one as has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Text, and not binary.
    pub text: bool,
    /// Its bytes.
    pub payload: Vec<u8>,
}

/// Why nothing was read any further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The bytes were used up, perhaps inside a frame.
    OutOfBytes,
    /// A good Close, with its code.
    Close(Option<u16>),
    /// A breach of the protocol that calls for one of these close codes.
    Breach(Vec<u16>),
}

/// All that a stream said.
#[derive(Debug)]
pub struct Reading {
    /// In order.
    pub items: Vec<Item>,
    /// The message that has begun and has not ended.
    pub partial: Option<Message>,
    /// How it ended.
    pub end: End,
}

const PROTOCOL_ERROR: u16 = 1002;
const BAD_TEXT: u16 = 1007;
const TOO_BIG: u16 = 1009;

/// Reads `bytes`, of a client that may send messages of `max` bytes.
pub fn read(bytes: &[u8], max: u64) -> Reading {
    let mut reading = Reading {
        items: Vec::new(),
        partial: None,
        end: End::OutOfBytes,
    };
    let mut at = 0;
    while reading.end == End::OutOfBytes
        && let Some(length) = read_frame(&bytes[at..], max, &mut reading)
    {
        at += length;
    }
    reading
}

/// Reads one frame and says how long it is; `None` if it is not all there, or ends the reading.
fn read_frame(bytes: &[u8], max: u64, reading: &mut Reading) -> Option<usize> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let opcode = first & 0x0f;
    if !matches!(opcode, 0 | 1 | 2 | 8 | 9 | 10) {
        reading.end = End::Breach(vec![PROTOCOL_ERROR]);
        return None;
    }
    let wide = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mut announced = u64::from(second & 0x7f);
    if wide > 0 {
        let digits = bytes.get(2..2 + wide)?;
        announced = digits
            .iter()
            .fold(0, |sum, &byte| sum << 8 | u64::from(byte));
    }
    if announced >= 1 << 63 {
        reading.end = End::Breach(vec![PROTOCOL_ERROR]);
        return None;
    }
    let masked = second & 0x80 != 0;
    let start = 2 + wide + if masked { 4 } else { 0 };
    let key = bytes.get(2 + wide..start)?;

    let (fin, control) = (first & 0x80 != 0, opcode >= 8);
    let size = reading.partial.as_ref().map_or(0, |m| m.payload.len()) as u64;
    let mut breaches = Vec::new();
    let mut rule = |kept: bool, code| {
        if !kept {
            breaches.push(code);
        }
    };
    rule(masked, PROTOCOL_ERROR);
    rule(first & 0x70 == 0, PROTOCOL_ERROR);
    if control {
        rule(fin && announced <= 125, PROTOCOL_ERROR);
    } else {
        rule((opcode == 0) == reading.partial.is_some(), PROTOCOL_ERROR);
        rule(size.saturating_add(announced) <= max, TOO_BIG);
    }
    if !breaches.is_empty() {
        reading.end = End::Breach(breaches);
        return None;
    }

    let there = (bytes.len() - start).min(announced.try_into().unwrap_or(usize::MAX));
    let payload: Vec<u8> = (0..there).map(|i| bytes[start + i] ^ key[i % 4]).collect();
    let complete = there as u64 == announced;
    if control {
        if complete {
            reading.control(opcode, payload);
        }
    } else {
        let message = reading.partial.get_or_insert_with(|| Message {
            text: opcode == 1,
            payload: Vec::new(),
        });
        message.payload.extend(payload);
        let text_fails = message.text && is_hopeless(&message.payload, fin && complete);
        if text_fails {
            reading.end = End::Breach(vec![BAD_TEXT]);
        } else if fin && complete {
            reading
                .items
                .extend(reading.partial.take().map(Item::Message));
        }
    }
    complete.then_some(start + there)
}

impl Reading {
    fn control(&mut self, opcode: u8, payload: Vec<u8>) {
        match opcode {
            9 => self.items.push(Item::Ping(payload)),
            10 => self.items.push(Item::Pong(payload)),
            _ => self.end = close(&payload),
        }
    }
}

fn close(payload: &[u8]) -> End {
    let &[high, low, ref reason @ ..] = payload else {
        return if payload.is_empty() {
            End::Close(None)
        } else {
            End::Breach(vec![PROTOCOL_ERROR])
        };
    };
    let code = u16::from_be_bytes([high, low]);
    let mut breaches = Vec::new();
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        breaches.push(PROTOCOL_ERROR);
    }
    if str::from_utf8(reason).is_err() {
        breaches.push(BAD_TEXT);
    }
    if breaches.is_empty() {
        End::Close(Some(code))
    } else {
        End::Breach(breaches)
    }
}

/// Whether no further bytes can make good text of these.
fn is_hopeless(bytes: &[u8], ended: bool) -> bool {
    str::from_utf8(bytes).is_err_and(|error| ended || error.error_len().is_some())
}
