//! Why something cannot be sent from a disk, or received on one.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::ledger::Refused;

/// Why something cannot be sent, or not any further.
#[derive(Debug)]
pub enum SourceError {
    /// It cannot be read.
    Unreadable(PathBuf, io::Error),
    /// It is neither a file nor a folder.
    Device(PathBuf),
    /// Its name could lead elsewhere, or mean something else, on the receiver's machine.
    UnsafeName(PathBuf),
    /// It lies in more folders than a receiver takes.
    TooDeep(PathBuf),
    /// It is not what it was when the transfer began, or changes while it is read.
    Changed(PathBuf),
    /// It is a stream, and what the receiver asks for is kept no more.
    Gone,
}

/// Why something cannot be received, or not any further.
#[derive(Debug)]
pub enum TargetError {
    /// What the sender says is not taken.
    Refused(Refused),
    /// The disk is full, or the quota spent; or it has less room than the transfer needs, in bytes.
    NoSpace {
        /// What it needs, where that is known.
        needed: Option<u64>,
        /// What is free.
        free: Option<u64>,
    },
    /// Nothing may be written there.
    Denied(PathBuf, io::Error),
    /// Another program receives this transfer there.
    InUse(PathBuf),
    /// A name of the transfer is taken there already: the file system takes it for the same as another.
    Collision(PathBuf),
    /// A folder that the transfer has made is none any more, or something else is in its place.
    Disturbed(PathBuf),
    /// All the names that were tried are taken.
    NoName(PathBuf),
    /// It cannot be written for another reason.
    Io(PathBuf, io::Error),
}

impl From<Refused> for TargetError {
    fn from(why: Refused) -> Self {
        Self::Refused(why)
    }
}

impl TargetError {
    /// What an error of the system's at `path` means.
    pub(super) fn io(path: &Path, why: io::Error) -> Self {
        let path = path.to_owned();
        match why.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace {
                needed: None,
                free: None,
            },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::Denied(path, why)
            }
            io::ErrorKind::AlreadyExists => Self::Collision(path),
            io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => Self::Disturbed(path),
            _ => Self::Io(path, why),
        }
    }
}
