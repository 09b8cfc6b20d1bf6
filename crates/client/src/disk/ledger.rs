//! How far a transfer has come, and what may come next, whoever sends it: entries in order, each with a name that
//! is safe, and content one record behind the other, as long as its header says; and no more of it than was announced.

use serde::{Deserialize, Serialize};

use crate::transfer::{
    names,
    note::{Chain, End, Header, MAX_DEPTH, Manifest, Start, What},
};

/// How far a transfer has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// How many entries have begun.
    pub entries: u64,
    /// How many of these are files.
    #[serde(default)]
    pub files: u64,
    /// The chain of their headers.
    pub chain: Chain,
    /// Bytes of content of all entries before the last.
    pub before: u64,
    /// Bytes of content of the last.
    pub offset: u64,
    /// The last entry's header.
    pub last: Option<Header>,
}

/// What a sender may not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// A name that could lead elsewhere, or means something else to some system.
    UnsafeName(String),
    /// An entry, a record or an end out of its turn, or with other numbers than what was said before.
    OutOfTurn,
    /// More files or more content than the manifest has announced.
    TooMuch,
}

/// The rules of one transfer.
#[derive(Debug)]
pub struct Ledger {
    kind: What,
    name: String,
    /// The most content there may be, in bytes, and the most files.
    size: u64,
    files: u64,
    point: Point,
}

impl Ledger {
    /// For what `manifest` says, from its beginning.
    ///
    /// # Errors
    ///
    /// [`Refused::UnsafeName`] where the whole has such a name.
    pub fn new(manifest: &Manifest) -> Result<Self, Refused> {
        safe(&manifest.name)?;
        Ok(Self {
            kind: manifest.kind,
            name: manifest.name.clone(),
            size: manifest.size.unwrap_or(u64::MAX),
            files: manifest.files.unwrap_or(u64::MAX),
            point: Point::default(),
        })
    }

    /// Goes on from `point`.
    pub fn take_up(&mut self, point: Point) {
        self.point = point;
    }

    /// How far it has come.
    pub fn point(&self) -> &Point {
        &self.point
    }

    /// Bytes of content, in all.
    pub fn bytes(&self) -> u64 {
        self.point.before.saturating_add(self.point.offset)
    }

    /// What the sender is to go on from.
    pub fn start(&self) -> Start {
        Start {
            entries: self.point.entries,
            offset: self.point.offset,
            digest: self.point.chain.0,
            packing: vec!["zstd".to_owned()],
        }
    }

    /// Whether an entry with this header may begin now. It has begun once it is [`enter`](Self::enter)ed.
    ///
    /// # Errors
    ///
    /// [`Refused`], by what is wrong with it.
    pub fn may_begin(&self, header: &Header) -> Result<(), Refused> {
        header.path.iter().try_for_each(|name| safe(name))?;
        let turn = header.entry == self.point.entries && self.is_whole();
        // The order of the walk: no entry comes twice, and a folder comes before what is in it.
        let after = self
            .point
            .last
            .as_ref()
            .is_none_or(|last| last.path < header.path);
        let depth = (1..=MAX_DEPTH).contains(&header.path.len());
        let fits = match self.kind {
            What::Folder => header.kind != What::Stream,
            kind => header.kind == kind && header.entry == 0 && header.path == [self.name.as_str()],
        };
        let sized = (header.kind == What::File) == header.size.is_some();
        if !(turn && after && depth && fits && sized) {
            return Err(Refused::OutOfTurn);
        }
        let bytes = self.bytes().saturating_add(header.size.unwrap_or(0));
        match bytes <= self.size && self.point.files + is_file(header) <= self.files {
            true => Ok(()),
            false => Err(Refused::TooMuch),
        }
    }

    /// An entry has begun; `json` is its header as it was sent.
    pub fn enter(&mut self, header: Header, json: &[u8]) {
        self.point.before = self.bytes();
        self.point.offset = 0;
        self.point.entries += 1;
        self.point.files += is_file(&header);
        self.point.chain.add(json);
        self.point.last = Some(header);
    }

    /// Whether `len` bytes of content may come at `offset` of `entry`.
    ///
    /// # Errors
    ///
    /// [`Refused::OutOfTurn`], [`Refused::TooMuch`].
    pub fn may_add(&self, entry: u64, offset: u64, len: usize) -> Result<(), Refused> {
        let turn = entry.checked_add(1) == Some(self.point.entries) && offset == self.point.offset;
        let end = offset.checked_add(len as u64).ok_or(Refused::OutOfTurn)?;
        let fits = match &self.point.last {
            Some(Header {
                kind: What::Stream, ..
            }) => true,
            Some(Header {
                size: Some(size), ..
            }) => end <= *size,
            _ => false,
        };
        match turn && fits {
            false => Err(Refused::OutOfTurn),
            // Of a stream, whose header says nothing of it.
            true if self.point.before.saturating_add(end) > self.size => Err(Refused::TooMuch),
            true => Ok(()),
        }
    }

    /// So much content was written.
    pub fn add(&mut self, len: usize) {
        self.point.offset += len as u64;
    }

    /// Whether this is the end, and nothing is missing.
    ///
    /// # Errors
    ///
    /// [`Refused::OutOfTurn`].
    pub fn may_end(&self, end: &End) -> Result<(), Refused> {
        let ours = End {
            entries: self.point.entries,
            bytes: self.bytes(),
            digest: self.point.chain.0,
        };
        let begun = self.kind == What::Folder || self.point.entries == 1;
        match *end == ours && begun && self.is_whole() {
            true => Ok(()),
            false => Err(Refused::OutOfTurn),
        }
    }

    /// Whether the last entry has all of its content.
    fn is_whole(&self) -> bool {
        let last = self.point.last.as_ref();
        let size = last.and_then(|last| last.size);
        size.is_none_or(|size| size == self.point.offset)
    }
}

/// How many files it is.
fn is_file(header: &Header) -> u64 {
    (header.kind != What::Folder).into()
}

fn safe(name: &str) -> Result<(), Refused> {
    match names::is_safe(name) {
        true => Ok(()),
        false => Err(Refused::UnsafeName(name.to_owned())),
    }
}

#[cfg(test)]
mod tests;
