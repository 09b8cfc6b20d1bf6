//! One binary message of version 2, sealed and opened: AES-256-GCM, each message by itself, where it lies.
//!
//! A direction has its own key and counts its messages, so that none can be left out, repeated or moved
//! unnoticed. What a message has in clear (its kind and, of content, where it belongs) is sealed along
//! with it, as is the transfer it is of.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::{
    hex::Hex,
    note::{Data, Kind, Note},
};

/// Bytes that sealing adds.
pub const TAG: usize = 16;

/// Seals what one side says in one attempt.
pub struct Sealer(Direction);

/// Opens what the other side says in one attempt.
pub struct Opener(Direction);

/// What was opened.
#[derive(Debug, PartialEq, Eq)]
pub enum Opened<'a> {
    /// A note, and its JSON as it was sent.
    Note(Note, &'a [u8]),
    /// A record of content, as it was packed.
    Data(Data, &'a [u8]),
}

/// Why a message was not opened. The attempt is over with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotOpened {
    /// It is not the message that the other side sealed next: another passphrase, or changed, left out,
    /// repeated or moved on its way.
    Forged,
    /// The other side has sealed it, but it is none of the messages there are.
    Malformed,
}

struct Direction {
    key: LessSafeKey,
    count: u64,
    transfer: Hex<16>,
}

impl Direction {
    fn new(key: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key);
        Self {
            key: LessSafeKey::new(key.unwrap_or_else(|_| unreachable!("a key of 32 bytes"))),
            count: 0,
            transfer: Hex::default(),
        }
    }

    /// The nonce of the next message: how many there were before, in 96 bits.
    fn nonce(&mut self) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[NONCE_LEN - 8..].copy_from_slice(&self.count.to_be_bytes());
        self.count += 1;
        Nonce::assume_unique_for_key(nonce)
    }

    /// What is sealed along: the kind, the transfer, and what else the message has in clear.
    fn bound(&self, clear: &[u8]) -> Aad<Bound> {
        let mut bound = Bound {
            bytes: [0; 16 + Data::HEAD],
            len: 16 + clear.len(),
        };
        bound.bytes[0] = clear[0];
        bound.bytes[1..17].copy_from_slice(&self.transfer.0);
        bound.bytes[17..bound.len].copy_from_slice(&clear[1..]);
        Aad::from(bound)
    }
}

struct Bound {
    bytes: [u8; 16 + Data::HEAD],
    len: usize,
}

impl AsRef<[u8]> for Bound {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Sealer {
    /// For a direction's first message; of no transfer yet.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Direction::new(key))
    }

    /// Everything from here on is of this transfer: for both sides, all that follows the manifest.
    pub fn bind(&mut self, transfer: Hex<16>) {
        self.0.transfer = transfer;
    }

    /// The message that says `note`.
    pub fn note(&mut self, note: &Note) -> Vec<u8> {
        let mut message = Vec::with_capacity(512);
        message.push(note.kind() as u8);
        note.write(&mut message);
        self.seal(&mut message, 1);
        message
    }

    /// Makes a message of `message`, which has [`Data::HEAD`] bytes to be overwritten and then the record.
    pub fn data(&mut self, data: &Data, message: &mut Vec<u8>) {
        message[..Data::HEAD].copy_from_slice(&data.to_bytes());
        self.seal(message, Data::HEAD);
    }

    fn seal(&mut self, message: &mut Vec<u8>, clear: usize) {
        let nonce = self.0.nonce();
        let (clear, sealed) = message.split_at_mut(clear);
        let tag = self
            .0
            .key
            .seal_in_place_separate_tag(nonce, self.0.bound(clear), sealed)
            .unwrap_or_else(|_| unreachable!("only a message of 64 GiB is refused"));
        message.extend_from_slice(tag.as_ref());
    }
}

impl Opener {
    /// For a direction's first message; of no transfer yet.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Direction::new(key))
    }

    /// Everything from here on is of this transfer: for both sides, all that follows the manifest.
    pub fn bind(&mut self, transfer: Hex<16>) {
        self.0.transfer = transfer;
    }

    /// Opens the next message, in place.
    ///
    /// # Errors
    ///
    /// [`NotOpened`], after which nothing more of this attempt can be believed.
    pub fn open<'a>(&mut self, message: &'a mut [u8]) -> Result<Opened<'a>, NotOpened> {
        let kind = message.first().copied().and_then(Kind::from_byte);
        let kind = kind.ok_or(NotOpened::Forged)?;
        let clear = match kind {
            Kind::Data => Data::HEAD,
            _ => 1,
        };
        let (clear, sealed) = message
            .split_at_mut_checked(clear)
            .ok_or(NotOpened::Forged)?;
        let nonce = self.0.nonce();
        let body = self.0.key.open_in_place(nonce, self.0.bound(clear), sealed);
        let body: &[u8] = body.map_err(|_| NotOpened::Forged)?;
        let opened = match kind {
            Kind::Data => Data::parse(clear).map(|data| Opened::Data(data, body)),
            kind => Note::parse(kind, body).map(|note| Opened::Note(note, body)),
        };
        opened.ok_or(NotOpened::Malformed)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
