//! One attempt's way through a source, from wherever the receiver wants it.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::UNIX_EPOCH,
};

use ring::digest;

use super::{
    errors::SourceError,
    files,
    source::{Content, Source},
    stream::{Bytes, Stream},
    tree::{Found, Tree},
};
use crate::transfer::{
    hex::Hex,
    note::{Chain, Data, End, Header, PIECE, RECORD, What},
};

/// A way through a source.
#[derive(Debug)]
pub struct Walk {
    name: String,
    ahead: Ahead,
    open: Option<Open>,
    entries: u64,
    bytes: u64,
    chain: Chain,
    /// Files, and bytes of them, that may begin yet: no more than the receiver was told there are.
    files_left: u64,
    bytes_left: u64,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// A file or folder begins.
    Entry(Header),
    /// A record of content, which is in the buffer.
    Content {
        /// The entry it is of.
        entry: u64,
        /// Where it begins in it, in bytes.
        offset: u64,
    },
    /// That was everything.
    End(End),
}

/// Entries that have not begun yet.
#[derive(Debug)]
enum Ahead {
    Nothing,
    File(PathBuf),
    Stream(Arc<Stream>),
    Folder(Box<Tree>),
}

/// The entry whose content comes next.
#[derive(Debug)]
struct Open {
    input: Input,
    offset: u64,
}

#[derive(Debug)]
enum Input {
    File {
        file: File,
        place: PathBuf,
        size: u64,
        stamp: Hex<8>,
    },
    Stream {
        stream: Arc<Stream>,
        turn: u64,
    },
}

impl Source {
    /// The way through it from where a receiver is that has the headers of `entries` entries, whose [`Chain`]
    /// is `digest`, and `offset` bytes of the last one's content. None of that is read again.
    ///
    /// # Errors
    ///
    /// [`SourceError::Changed`] where these are not its headers any more, [`SourceError::Gone`] for a stream
    /// that has passed, or what keeps it from being read.
    pub fn walk_from(
        &self,
        entries: u64,
        offset: u64,
        digest: &Hex<32>,
    ) -> Result<Walk, SourceError> {
        let changed = || SourceError::Changed(self.path().unwrap_or(Path::new("-")).to_owned());
        let mut walk = Walk::new(self)?;
        for _ in 0..entries {
            if let Some(open) = walk.open.take() {
                walk.bytes += open.len();
            }
            walk.begin()?.ok_or_else(changed)?;
        }
        if walk.chain.0 != *digest {
            return Err(changed());
        }
        match &mut walk.open {
            Some(open) => open.go_to(offset)?,
            None if offset > 0 => return Err(changed()),
            None => {}
        }
        Ok(walk)
    }
}

impl Walk {
    fn new(source: &Source) -> Result<Self, SourceError> {
        Ok(Self {
            name: source.name().to_owned(),
            ahead: match &source.content {
                Content::File(place) => Ahead::File(place.clone()),
                Content::Folder(place) => Ahead::Folder(Box::new(Tree::new(place)?)),
                Content::Stream(stream) => Ahead::Stream(Arc::clone(stream)),
            },
            open: None,
            entries: 0,
            bytes: 0,
            chain: Chain::default(),
            files_left: source.files.unwrap_or(u64::MAX),
            bytes_left: source.size.unwrap_or(u64::MAX),
        })
    }

    /// Bytes of content before what comes next.
    pub fn bytes(&self) -> u64 {
        self.bytes + self.open.as_ref().map_or(0, |open| open.offset)
    }

    /// Goes on. A record is left in `message`, behind [`Data::HEAD`] bytes for where it belongs.
    ///
    /// # Errors
    ///
    /// [`SourceError`] where the source cannot be read, or is not what it was.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self, message: &mut Vec<u8>) -> Result<Step, SourceError> {
        if let Some(open) = &mut self.open {
            let offset = open.offset;
            if open.read(message)? {
                let entry = self.entries - 1;
                return Ok(Step::Content { entry, offset });
            }
            self.bytes += open.offset;
            self.open = None;
        }
        Ok(match self.begin()? {
            Some(header) => Step::Entry(header),
            None => Step::End(End {
                entries: self.entries,
                bytes: self.bytes,
                digest: self.chain.0,
            }),
        })
    }

    /// Begins the next entry.
    fn begin(&mut self) -> Result<Option<Header>, SourceError> {
        let name = || vec![self.name.clone()];
        let header = match std::mem::replace(&mut self.ahead, Ahead::Nothing) {
            Ahead::Nothing => return Ok(None),
            Ahead::File(place) => self.file(name(), place)?,
            Ahead::Stream(stream) => {
                let header = self.header(name(), What::Stream, None);
                let turn = stream.begin();
                self.open = Some(Open {
                    input: Input::Stream { stream, turn },
                    offset: 0,
                });
                header
            }
            Ahead::Folder(mut tree) => {
                let found = tree.next()?;
                self.ahead = Ahead::Folder(tree);
                match found {
                    None => return Ok(None),
                    Some(Found {
                        path,
                        is_folder: true,
                        ..
                    }) => self.header(path, What::Folder, None),
                    Some(Found { path, place, .. }) => self.file(path, place)?,
                }
            }
        };
        self.entries += 1;
        self.chain.add(&header.to_json());
        Ok(Some(header))
    }

    fn file(&mut self, path: Vec<String>, place: PathBuf) -> Result<Header, SourceError> {
        let (file, found) = open(&place)?;
        let left = self.files_left.checked_sub(1);
        let left = left.zip(self.bytes_left.checked_sub(found.len()));
        (self.files_left, self.bytes_left) =
            left.ok_or_else(|| SourceError::Changed(place.clone()))?;
        let header = self.header(path, What::File, Some(&found));
        self.open = Some(Open {
            input: Input::File {
                file,
                place,
                size: found.len(),
                stamp: header.stamp,
            },
            offset: 0,
        });
        Ok(header)
    }

    fn header(&self, path: Vec<String>, kind: What, found: Option<&Metadata>) -> Header {
        Header {
            entry: self.entries,
            path,
            kind,
            size: found.map(Metadata::len),
            modified: found.and_then(modified),
            executable: found.is_some_and(|it| it.mode() & 0o100 != 0),
            stamp: found.map(stamp).unwrap_or_default(),
        }
    }
}

impl Open {
    /// The content's length, of a file.
    fn len(&self) -> u64 {
        match &self.input {
            Input::File { size, .. } => *size,
            Input::Stream { .. } => self.offset,
        }
    }

    fn go_to(&mut self, offset: u64) -> Result<(), SourceError> {
        match &mut self.input {
            Input::File {
                file, place, size, ..
            } => {
                if offset > *size {
                    return Err(SourceError::Changed(place.clone()));
                }
                let sought = file.seek(SeekFrom::Start(offset));
                sought.map_err(|why| SourceError::Unreadable(place.clone(), why))?;
            }
            Input::Stream { stream, .. } if !stream.has(offset) => return Err(SourceError::Gone),
            Input::Stream { .. } => {}
        }
        self.offset = offset;
        Ok(())
    }

    /// Reads a record; `false` where there is none left, and the file is what it was when it was opened.
    fn read(&mut self, message: &mut Vec<u8>) -> Result<bool, SourceError> {
        let of_piece = PIECE - self.offset % PIECE;
        let most = of_piece.min(RECORD as u64) as usize;
        let len = match &mut self.input {
            Input::File {
                file,
                place,
                size,
                stamp: before,
            } => {
                let len = (*size - self.offset).min(most as u64) as usize;
                message.resize(Data::HEAD + len, 0);
                let read = file.read_exact(&mut message[Data::HEAD..]);
                read.map_err(|why| match why.kind() {
                    io::ErrorKind::UnexpectedEof => SourceError::Changed(place.clone()),
                    _ => SourceError::Unreadable(place.clone(), why),
                })?;
                // Behind the last record, and not only before the next file: what was read would be sent.
                if self.offset + len as u64 == *size && look(file, place)? != *before {
                    return Err(SourceError::Changed(place.clone()));
                }
                len
            }
            Input::Stream { stream, turn } => {
                message.resize(Data::HEAD + most, 0);
                let read = stream.read_at(*turn, self.offset, &mut message[Data::HEAD..]);
                match read.map_err(|why| SourceError::Unreadable("-".into(), why))? {
                    Bytes::Some(len) => len,
                    Bytes::End => 0,
                    Bytes::Gone => return Err(SourceError::Gone),
                }
            }
        };
        message.truncate(Data::HEAD + len);
        self.offset += len as u64;
        Ok(len > 0)
    }
}

/// Opens a regular file, which may have become something else since its folder was listed.
fn open(place: &Path) -> Result<(File, Metadata), SourceError> {
    let opened = files::options()
        .read(true)
        .open(place)
        .and_then(|file| file.metadata().map(|found| (file, found)));
    match opened {
        Ok((file, found)) if found.is_file() => Ok((file, found)),
        Ok(_) => Err(SourceError::Changed(place.to_owned())),
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            Err(SourceError::Changed(place.to_owned()))
        }
        Err(_) if fs::symlink_metadata(place).is_ok_and(|it| it.is_symlink()) => {
            Err(SourceError::Changed(place.to_owned()))
        }
        Err(why) => Err(SourceError::Unreadable(place.to_owned(), why)),
    }
}

fn look(file: &File, place: &Path) -> Result<Hex<8>, SourceError> {
    let found = file.metadata();
    found
        .map(|found| stamp(&found))
        .map_err(|why| SourceError::Unreadable(place.to_owned(), why))
}

/// What is another number for a file that was changed or replaced.
fn stamp(found: &Metadata) -> Hex<8> {
    let numbers = [
        found.len(),
        found.mtime() as u64,
        found.mtime_nsec() as u64,
        found.ctime() as u64,
        found.ctime_nsec() as u64,
        found.ino(),
    ];
    let bytes: Vec<u8> = numbers.iter().flat_map(|it| it.to_be_bytes()).collect();
    Hex::copied(&digest::digest(&digest::SHA256, &bytes).as_ref()[..8])
}

/// In ms since 1970.
fn modified(found: &Metadata) -> Option<i64> {
    let time = found.modified().ok()?;
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).ok(),
        Err(before) => i64::try_from(before.duration().as_millis())
            .ok()
            .map(|ms| -ms),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
