//! Frames by hand: a client's, right or wrong, and the relay's as they came.

use std::fmt;

use bytes::Bytes;
use relay_wire::frame::{Header, Opcode};

/// A further fragment of the message in progress.
pub const CONTINUATION: u8 = 0;
/// A text message, or its first fragment.
pub const TEXT: u8 = 1;
/// A binary message, or its first fragment.
pub const BINARY: u8 = 2;
/// The closing handshake.
pub const CLOSE: u8 = 8;
/// A sign of life asked for.
pub const PING: u8 = 9;
/// A sign of life.
pub const PONG: u8 = 10;

/// A client's frame, right or wrong.
#[derive(Clone)]
pub struct Outgoing {
    header: Header,
    opcode: u8,
    payload: Vec<u8>,
}

/// A masked frame that is a whole message, until it is told otherwise.
pub fn frame(opcode: u8, payload: impl Into<Vec<u8>>) -> Outgoing {
    let payload = payload.into();
    let mask = Some([0x9d, 0x2e, 0x55, 0xc1]);
    let header = Header::new(Opcode::Continuation, true, payload.len());
    Outgoing {
        header: Header { mask, ..header },
        opcode,
        payload,
    }
}

/// A Close with this code and this reason text.
pub fn close(code: u16, reason: impl AsRef<[u8]>) -> Outgoing {
    frame(CLOSE, [&code.to_be_bytes()[..], reason.as_ref()].concat())
}

impl Outgoing {
    /// Further fragments follow.
    pub fn more(mut self) -> Self {
        self.header.fin = false;
        self
    }

    /// With reserved bits: 4 is RSV1, 2 is RSV2, 1 is RSV3.
    pub fn rsv(mut self, bits: u8) -> Self {
        self.header.rsv = bits;
        self
    }

    /// Without a mask, which no client may do.
    pub fn unmasked(mut self) -> Self {
        self.header.mask = None;
        self
    }

    /// The header tells of another length than the payload has.
    pub fn claiming(mut self, length: u64) -> Self {
        self.header.len = length;
        self
    }

    /// As it goes over the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.header.frame(&self.payload);
        // The codec knows only the opcodes there are, the first of which is 0.
        bytes[0] |= self.opcode;
        bytes
    }
}

/// A frame of the relay's.
#[derive(PartialEq)]
pub struct Frame {
    /// Whether it ends its message.
    pub fin: bool,
    /// What it is.
    pub opcode: u8,
    /// What it carries.
    pub payload: Bytes,
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.payload[..self.payload.len().min(200)];
        write!(f, "frame(opcode {}, fin {}, ", self.opcode, self.fin)?;
        write!(
            f,
            "{} bytes {:?})",
            self.payload.len(),
            String::from_utf8_lossy(shown)
        )
    }
}
