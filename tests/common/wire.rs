//! Frames by hand: a client's, right or wrong, and the relay's as they came.

use std::fmt;

use bytes::Bytes;

pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// A client's frame, right or wrong.
#[derive(Clone)]
pub(crate) struct Outgoing {
    fin: bool,
    rsv: u8,
    opcode: u8,
    mask: Option<[u8; 4]>,
    payload: Vec<u8>,
    length: Option<u64>,
}

/// A masked frame that is a whole message, until it is told otherwise.
pub(crate) fn frame(opcode: u8, payload: impl Into<Vec<u8>>) -> Outgoing {
    let mask = Some([0x9d, 0x2e, 0x55, 0xc1]);
    Outgoing {
        fin: true,
        rsv: 0,
        opcode,
        mask,
        payload: payload.into(),
        length: None,
    }
}

/// A Close with this code and this reason text.
pub(crate) fn close(code: u16, reason: impl AsRef<[u8]>) -> Outgoing {
    frame(CLOSE, [&code.to_be_bytes()[..], reason.as_ref()].concat())
}

impl Outgoing {
    /// Further fragments follow.
    pub(crate) fn more(mut self) -> Self {
        self.fin = false;
        self
    }

    /// With reserved bits: 4 is RSV1, 2 is RSV2, 1 is RSV3.
    pub(crate) fn rsv(mut self, bits: u8) -> Self {
        self.rsv = bits;
        self
    }

    pub(crate) fn unmasked(mut self) -> Self {
        self.mask = None;
        self
    }

    /// The header tells of another length than the payload has.
    pub(crate) fn claiming(mut self, length: u64) -> Self {
        self.length = Some(length);
        self
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        let mut bytes = vec![u8::from(self.fin) << 7 | self.rsv << 4 | self.opcode];
        match self.length.unwrap_or(self.payload.len() as u64) {
            length @ 0..=125 => bytes.push(masked | length as u8),
            length @ 126..=0xffff => {
                bytes.push(masked | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            length => {
                bytes.push(masked | 127);
                bytes.extend(length.to_be_bytes());
            }
        }
        let mask = self.mask.unwrap_or_default();
        bytes.extend(self.mask.iter().flatten());
        bytes.extend(
            self.payload
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, mask)| byte ^ mask),
        );
        bytes
    }
}

/// A frame of the relay's.
#[derive(PartialEq)]
pub(crate) struct Frame {
    pub(crate) fin: bool,
    pub(crate) opcode: u8,
    pub(crate) payload: Bytes,
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
