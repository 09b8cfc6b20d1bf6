//! A transfer that is whole and has its name. Its journal stays until the sender knows, for the case that this
//! receiver is killed before.

use std::{fs, path::PathBuf};

use super::{
    journal::{Journal, Resumed},
    ledger::Point,
    place::{self, Place},
};

/// What has arrived.
#[derive(Debug)]
pub(super) struct Whole {
    /// Where it is.
    pub(super) path: PathBuf,
    /// Locked as long as this is held.
    _journal: Journal,
    noted: PathBuf,
}

impl Whole {
    /// At `path`, with the journal of `place`.
    pub(super) fn new(path: PathBuf, place: &Place, journal: Journal) -> Self {
        Self {
            path,
            _journal: journal,
            noted: place.journal(),
        }
    }

    /// Where what a journal says is whole has got its name, and where its content ends.
    pub(super) fn find(place: &Place, resumed: Option<&Resumed>) -> Option<(PathBuf, Point)> {
        let Some(Resumed::Whole(point, inode)) = resumed else {
            return None;
        };
        let mut names = place.and_others().map(|it| it.done());
        let path = names.find(|name| place::inode(name) == Some(*inode))?;
        Some((path, point.clone()))
    }

    /// The sender knows.
    pub(super) fn forget(self) {
        // One that stays says no more than what is so.
        fs::remove_file(self.noted).ok();
    }
}
