//! How far a transfer has come, in a small file beside it that is written in place.
//!
//! It holds two points. Where the machine still runs, and the file system is mounted as it was, everything counts
//! that was written: the last header and the length of its file. Where either was started anew meanwhile (the power
//! went, a stick was pulled), or the disk has failed, what the system had not put on the disk may be lost, and only
//! what was made durable counts. Each point has two slots that are written in turn, with a checksum,
//! so that a slot that was half written leaves the one before it. The file is locked while a receiver has it.
//!
//! Before what is whole gets its name, the durable point says so, and what it is known by under any name. The file
//! stays until the sender knows, so that a receiver that was killed in between does not receive it again.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use ring::digest;
use rustix::fs::{AtFlags, StatxFlags, statx};
use serde::{Deserialize, Serialize};

use super::{
    files::{self, Lock},
    ledger::Point,
};
use crate::transfer::hex::Hex;

/// What the file begins with; the transfer's number follows.
const MAGIC: &[u8; 16] = b"distill journal\n";
/// Where the first slot begins.
const HEAD: usize = 512;
/// Bytes of a slot: a header of the longest note, and some numbers.
const SLOT: usize = 20 * 1024;
/// Bytes of a slot before its JSON: a checksum, a count and a length.
const SLOT_HEAD: usize = 32 + 8 + 4;
/// The longest journal.
pub const LENGTH: usize = HEAD + 4 * SLOT;

/// A journal that this receiver alone writes.
#[derive(Debug)]
pub struct Journal {
    file: File,
    mount: String,
    written: u64,
    durable: u64,
}

/// What a journal says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Points {
    written: Slot,
    durable: Slot,
}

/// The newer of two slots.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Slot {
    count: u64,
    kept: Option<Kept>,
}

/// A point, and the mount that it was written in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    mount: String,
    point: Point,
    /// The number of the inode of what is whole, and is about to get its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    whole: Option<u64>,
}

/// Where a receiver goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resumed {
    /// Behind everything that was written: the last file's length says how much that is.
    Written(Point),
    /// Here.
    Durable(Point),
    /// Here, which is the end: what has this inode may have got its name.
    Whole(Point, u64),
}

/// Why a journal cannot be taken up.
#[derive(Debug)]
pub enum JournalError {
    /// It is not there, or is that of another transfer.
    Other,
    /// Another program has it.
    InUse,
    /// It cannot be read or written.
    Io(io::Error),
}

impl From<io::Error> for JournalError {
    fn from(why: io::Error) -> Self {
        Self::Io(why)
    }
}

impl Journal {
    /// Begins a journal at `path`, where nothing may be.
    ///
    /// # Errors
    ///
    /// [`JournalError`].
    pub fn create(path: &Path, transfer: &Hex<16>) -> Result<Self, JournalError> {
        let file = options().create_new(true).open(path)?;
        let begun = lock(&file, path).and_then(|()| {
            let head = [MAGIC.as_slice(), &transfer.0].concat();
            Ok(file.write_all_at(&head, 0)?)
        });
        if begun.is_err() {
            // A journal of nothing would keep its name from being free.
            fs::remove_file(path).ok();
        }
        begun.map(|()| Self {
            mount: mount(&file),
            file,
            written: 0,
            durable: 0,
        })
    }

    /// Takes the journal at `path` up, if it is that of `transfer`, and says where to go on.
    ///
    /// # Errors
    ///
    /// [`JournalError`].
    pub fn open(path: &Path, transfer: &Hex<16>) -> Result<(Self, Option<Resumed>), JournalError> {
        let opened = options().open(path);
        let file = opened.map_err(|why| match why.kind() {
            io::ErrorKind::NotFound => JournalError::Other,
            _ => why.into(),
        })?;
        // One of another transfer is not locked: whoever has it, or wants it, is not to find it in use.
        points(&file, transfer)?;
        lock(&file, path)?;
        // Whoever had it before may have written to it until now.
        let points = points(&file, transfer)?;
        let mount = mount(&file);
        let journal = Self {
            file,
            written: points.written.count,
            durable: points.durable.count,
            mount: mount.clone(),
        };
        Ok((journal, points.resumed(&mount)))
    }

    /// Notes what is written. It need not be durable.
    ///
    /// # Errors
    ///
    /// As the system gives them.
    pub fn note_written(&mut self, point: &Point) -> io::Result<()> {
        self.written += 1;
        self.write(self.written % 2, self.written, point, None)
    }

    /// Notes what is durable; so is the note.
    ///
    /// # Errors
    ///
    /// As the system gives them.
    pub fn note_durable(&mut self, point: &Point) -> io::Result<()> {
        self.settle(point, None)
    }

    /// Notes that what has this inode is whole and durable, and is about to get its name; so is the note.
    ///
    /// # Errors
    ///
    /// As the system gives them.
    pub fn note_whole(&mut self, point: &Point, inode: u64) -> io::Result<()> {
        self.settle(point, Some(inode))
    }

    fn settle(&mut self, point: &Point, whole: Option<u64>) -> io::Result<()> {
        self.durable += 1;
        self.write(2 + self.durable % 2, self.durable, point, whole)?;
        self.file.sync_data()
    }

    /// Takes back what was noted as written, up to `point`: some of it is lost, and only what is durable counts.
    ///
    /// # Errors
    ///
    /// As the system gives them.
    pub fn withdraw(&mut self, point: &Point) -> io::Result<()> {
        self.mount.clear();
        // In place of the newest note: a full disk takes that, too.
        self.write(self.written % 2, self.written, point, None)
    }

    /// What is noted from here on is of another mount, as it looks after the next start of the machine.
    #[cfg(test)]
    pub fn forget_mount(&mut self) {
        "before".clone_into(&mut self.mount);
    }

    fn write(&self, slot: u64, count: u64, point: &Point, whole: Option<u64>) -> io::Result<()> {
        let kept = Kept {
            mount: self.mount.clone(),
            point: point.clone(),
            whole,
        };
        let json = serde_json::to_vec(&kept)?;
        let mut bytes = count.to_be_bytes().to_vec();
        bytes.extend_from_slice(&(json.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&json);
        let sum = digest::digest(&digest::SHA256, &bytes);
        let bytes = [sum.as_ref(), &bytes].concat();
        if bytes.len() > SLOT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.file
            .write_all_at(&bytes, HEAD as u64 + slot * SLOT as u64)
    }
}

impl Points {
    /// What the bytes of a journal say; `None` where they are not those of a journal of `transfer`.
    pub fn parse(bytes: &[u8], transfer: &Hex<16>) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        rest.starts_with(&transfer.0).then(|| {
            let slot = |number| Slot::parse(bytes.get(HEAD + number * SLOT..).unwrap_or_default());
            let newer = |one: Slot, other: Slot| if one.count >= other.count { one } else { other };
            Self {
                written: newer(slot(0), slot(1)),
                durable: newer(slot(2), slot(3)),
            }
        })
    }

    /// Where to go on in this mount; `None`: from the beginning.
    pub fn resumed(self, mount: &str) -> Option<Resumed> {
        if let Some(Kept {
            point,
            whole: Some(inode),
            ..
        }) = self.durable.kept
        {
            return Some(Resumed::Whole(point, inode));
        }
        let written = self
            .written
            .kept
            .filter(|it| it.mount == mount && !mount.is_empty());
        match written {
            Some(kept) => Some(Resumed::Written(kept.point)),
            None => self.durable.kept.map(|kept| Resumed::Durable(kept.point)),
        }
    }
}

impl Slot {
    /// The slot that `bytes` begin with; empty where its checksum is not right.
    fn parse(bytes: &[u8]) -> Self {
        Self::read(bytes).unwrap_or_default()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (sum, rest) = bytes.split_first_chunk::<32>()?;
        let (count, after) = rest.split_first_chunk()?;
        let (len, after) = after.split_first_chunk()?;
        let len = u32::from_be_bytes(*len) as usize;
        let json = after.get(..len).filter(|_| len <= SLOT - SLOT_HEAD)?;
        let summed = digest::digest(&digest::SHA256, &rest[..12 + len]);
        (summed.as_ref() == sum).then_some(())?;
        Some(Self {
            count: u64::from_be_bytes(*count),
            kept: Some(serde_json::from_slice(json).ok()?),
        })
    }
}

fn options() -> OpenOptions {
    let mut options = files::options();
    options.read(true).write(true).mode(0o600);
    options
}

/// What the journal in `file` says.
fn points(file: &File, transfer: &Hex<16>) -> Result<Points, JournalError> {
    let mut bytes = vec![0; LENGTH];
    let mut read = 0;
    while read < LENGTH {
        match file.read_at(&mut bytes[read..], read as u64)? {
            0 => break,
            more => read += more,
        }
    }
    Points::parse(&bytes[..read], transfer).ok_or(JournalError::Other)
}

fn lock(file: &File, path: &Path) -> Result<(), JournalError> {
    match files::lock(file, path)? {
        Lock::Ours => Ok(()),
        Lock::InUse => Err(JournalError::InUse),
        // The transfer is whole, or was given up.
        Lock::Removed => Err(JournalError::Other),
    }
}

/// What is another text after each start of the machine, and each time that the file system of `file` is mounted;
/// empty where the system does not say, as Linux before 6.8.
fn mount(file: &File) -> String {
    // STATX_MNT_ID_UNIQUE: a number that no other mount gets in this boot. rustix has no name for it yet.
    let unique = StatxFlags::from_bits_retain(0x4000);
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    match (boot, statx(file, "", AtFlags::EMPTY_PATH, unique)) {
        (Ok(boot), Ok(found)) if found.stx_mask & unique.bits() != 0 => {
            format!("{} {}", boot.trim(), found.stx_mnt_id)
        }
        _ => String::new(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
