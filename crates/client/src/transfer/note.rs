//! What a binary message of version 2 says, once it is opened: a note, or a record of content.

use ring::digest;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::hex::Hex;

/// The longest JSON of a note, in bytes.
pub const MAX_NOTE: usize = 16 * 1024;
/// Content is packed in pieces of so many bytes of an entry.
pub const PIECE: u64 = 1024 * 1024;
/// The most content that one message carries, in bytes.
pub const RECORD: usize = 32 * 1024;
/// The most folders that may lie in each other, and names that a path may have.
pub const MAX_DEPTH: usize = 64;

/// The first byte of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// What is being sent.
    Manifest = 1,
    /// Where the receiver wants the sender to go on.
    Start = 2,
    /// A file or folder begins.
    Entry = 3,
    /// A record of content.
    Data = 4,
    /// So much is on the receiver's disk.
    Confirm = 5,
    /// That was everything.
    End = 6,
    /// The receiver has everything, under its name.
    Delivered = 7,
    /// One side gives up.
    Abort = 8,
}

/// A message that is no content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// What is being sent. The sender's first message.
    Manifest(Manifest),
    /// Where the receiver wants the sender to go on. The receiver's first message.
    Start(Start),
    /// A file or folder begins.
    Entry(Header),
    /// So much is on the receiver's disk.
    Confirm(Confirm),
    /// That was everything.
    End(End),
    /// The receiver has everything, durable and under its name.
    Delivered,
    /// Who says this gives up.
    Abort(Abort),
}

/// What is being sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The transfer's own number: a receiver that has begun knows by it where to go on.
    pub transfer: Hex<16>,
    /// What it is.
    pub kind: What,
    /// The name of the file or folder, or one for the stream.
    pub name: String,
    /// Bytes of content in all, where that is known.
    pub size: Option<u64>,
    /// Files in all, where that is known.
    pub files: Option<u64>,
}

/// What can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// One file.
    File,
    /// A folder, with what is in it.
    Folder,
    /// Content whose length nobody knows yet.
    Stream,
}

/// Where the sender goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// How many entries the receiver knows the headers of.
    pub entries: u64,
    /// How much content of the last of these it has, in bytes.
    pub offset: u64,
    /// The [`Chain`] of these headers.
    pub digest: Hex<32>,
    /// How the receiver takes content other than as it is: `zstd`.
    pub packing: Vec<String>,
}

/// A file or folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Its number, from 0.
    pub entry: u64,
    /// Its name, in a folder with the names of the folders around it, from the outermost in.
    pub path: Vec<String>,
    /// What it is.
    pub kind: What,
    /// Bytes of content; nothing for a folder or a stream.
    pub size: Option<u64>,
    /// When the content was last changed, in ms since 1970.
    pub modified: Option<i64>,
    /// Whether it is a program.
    pub executable: bool,
    /// What changes whenever the sender's file does.
    pub stamp: Hex<8>,
}

/// What the receiver has written in this attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirm {
    /// ENTRY and DATA messages of this attempt.
    pub records: u64,
    /// Bytes of content on disk, of all attempts.
    pub bytes: u64,
}

/// What everything was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// How many entries.
    pub entries: u64,
    /// How many bytes of content.
    pub bytes: u64,
    /// The [`Chain`] of all headers.
    pub digest: Hex<32>,
}

/// Why one side gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abort {
    /// Why.
    pub reason: Reason,
}

/// Why one side gives up, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The sender's file or folder is not what it was when the transfer began.
    SourceChanged,
    /// The sender's file or folder cannot be read.
    SourceFailed,
    /// The stream's content that the receiver asks for is gone.
    SourceGone,
    /// The receiver's disk is full.
    NoSpace,
    /// The receiver may not write there.
    Denied,
    /// The receiver's disk does not take it for another reason.
    TargetFailed,
    /// A name that the receiver does not take.
    UnsafeName,
    /// Two names that are the same on the receiver's disk.
    Collision,
    /// The transfer is being received by another program already.
    InUse,
    /// The other side has broken the rules of this exchange.
    Protocol,
    /// The other side has moved nothing for too long.
    Stalled,
    /// Somebody has stopped it.
    Interrupted,
    /// A word of a later version.
    #[serde(other)]
    Other,
}

/// Where a record of content belongs, and how it is packed. In clear in its message, and sealed along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Data {
    /// The entry's number.
    pub entry: u64,
    /// Where the record begins in the entry, in bytes.
    pub offset: u64,
    /// Whether the record is packed by zstd.
    pub packed: bool,
}

/// Hashes headers, one behind the other: two sides that have the same chain have the same headers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Chain(pub Hex<32>);

impl Kind {
    /// The kind that a message begins with.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Manifest,
            2 => Self::Start,
            3 => Self::Entry,
            4 => Self::Data,
            5 => Self::Confirm,
            6 => Self::End,
            7 => Self::Delivered,
            8 => Self::Abort,
            _ => return None,
        })
    }
}

impl Note {
    /// The kind of the message that says it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Manifest(_) => Kind::Manifest,
            Self::Start(_) => Kind::Start,
            Self::Entry(_) => Kind::Entry,
            Self::Confirm(_) => Kind::Confirm,
            Self::End(_) => Kind::End,
            Self::Delivered => Kind::Delivered,
            Self::Abort(_) => Kind::Abort,
        }
    }

    /// Reads the JSON of a note; `None` where it is none of this kind, or over [`MAX_NOTE`].
    pub fn parse(kind: Kind, json: &[u8]) -> Option<Self> {
        if json.len() > MAX_NOTE {
            return None;
        }
        Some(match kind {
            Kind::Manifest => Self::Manifest(object(json)?),
            Kind::Start => Self::Start(object(json)?),
            Kind::Entry => Self::Entry(object(json)?),
            Kind::Confirm => Self::Confirm(object(json)?),
            Kind::End => Self::End(object(json)?),
            Kind::Delivered => Self::Delivered,
            Kind::Abort => Self::Abort(object(json)?),
            Kind::Data => return None,
        })
    }

    /// Adds the note's JSON to `message`.
    pub(crate) fn write(&self, message: &mut Vec<u8>) {
        let written = match self {
            Self::Manifest(it) => serde_json::to_writer(message, it),
            Self::Start(it) => serde_json::to_writer(message, it),
            Self::Entry(it) => serde_json::to_writer(message, it),
            Self::Confirm(it) => serde_json::to_writer(message, it),
            Self::End(it) => serde_json::to_writer(message, it),
            Self::Delivered => serde_json::to_writer(message, &serde_json::json!({})),
            Self::Abort(it) => serde_json::to_writer(message, it),
        };
        written.unwrap_or_else(|_| unreachable!("strings, numbers and lists, into memory"));
    }
}

/// Reads an object; serde would take a list of its fields as well.
fn object<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    let begins = json.iter().find(|byte| !byte.is_ascii_whitespace());
    (begins == Some(&b'{')).then(|| serde_json::from_slice(json).ok())?
}

impl Header {
    /// The header's JSON, as its message has it.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_else(|_| unreachable!("strings, numbers and lists"))
    }
}

impl Data {
    /// Bytes that a message of content has in clear.
    pub const HEAD: usize = 1 + 8 + 8 + 1;

    /// The clear bytes.
    pub(crate) fn to_bytes(self) -> [u8; Self::HEAD] {
        let mut bytes = [0; Self::HEAD];
        bytes[0] = Kind::Data as u8;
        bytes[1..9].copy_from_slice(&self.entry.to_be_bytes());
        bytes[9..17].copy_from_slice(&self.offset.to_be_bytes());
        bytes[17] = self.packed.into();
        bytes
    }

    /// Reads the clear bytes; `None` where they have a flag that we do not know.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (_kind, bytes) = bytes.split_first()?;
        let (entry, bytes) = bytes.split_first_chunk()?;
        let (offset, flags) = bytes.split_first_chunk()?;
        let packed = match flags {
            [0] => false,
            [1] => true,
            _ => return None,
        };
        Some(Self {
            entry: u64::from_be_bytes(*entry),
            offset: u64::from_be_bytes(*offset),
            packed,
        })
    }
}

impl Chain {
    /// Adds a header, by its JSON as it is sent.
    pub fn add(&mut self, json: &[u8]) {
        let longer = [&self.0.0, json].concat();
        self.0 = Hex::copied(digest::digest(&digest::SHA256, &longer).as_ref());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
