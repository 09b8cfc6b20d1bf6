//! A transfer on a disk that is not whole yet: its `.part`, and the journal beside it.
//!
//! Only regular files and folders are made, each where nothing was, in folders that were made here before; links
//! are neither made nor followed.

use std::{
    fs::{self, DirBuilder, File, FileTimes},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant, UNIX_EPOCH},
};

use nix::unistd::syncfs;

use super::{
    errors::TargetError,
    files,
    journal::{Journal, JournalError, Resumed},
    ledger::Point,
    place::{self, Place},
    whole::Whole,
};
use crate::transfer::note::{Header, Manifest, What};

/// What is written is made durable after so many bytes,
const SETTLE_BYTES: u64 = 64 * 1024 * 1024;
/// or, with the first record or header after it, so much time.
const SETTLE_TIME: Duration = Duration::from_secs(2);

/// A transfer on a disk that is not whole yet.
#[derive(Debug)]
pub(super) struct Part {
    place: Place,
    kind: What,
    pub(super) journal: Journal,
    /// The folder that is received. It stays open, as what its disk has failed to take is told by a descriptor only
    /// since that was opened.
    folder: Option<File>,
    /// The last entry, where it is a file.
    file: Option<File>,
    unsettled: u64,
    pub(super) settled: Instant,
}

/// What was begun, and how far it is.
pub(super) enum Begun {
    Part(Box<Part>, Point),
    Whole(Whole, Point),
}

impl Part {
    /// Goes on at `place`, if this transfer was begun there.
    pub(super) fn take_up(place: Place, manifest: &Manifest) -> Option<Result<Begun, TargetError>> {
        let path = place.journal();
        let (journal, resumed) = match Journal::open(&path, &manifest.transfer) {
            Ok(opened) => opened,
            Err(JournalError::Other) => return None,
            Err(JournalError::InUse) => return Some(Err(TargetError::InUse(path))),
            // One that cannot be read is left as it is, as another's is.
            Err(JournalError::Io(_)) => return None,
        };
        if let Some((path, point)) = Whole::find(&place, resumed.as_ref()) {
            let whole = Whole::new(path, &place, journal);
            return Some(Ok(Begun::Whole(whole, point)));
        }
        let mut part = Self::new(place, manifest.kind, journal);
        let went_on = part.go_on(resumed);
        Some(went_on.map(|point| Begun::Part(Box::new(part), point)))
    }

    /// Begins a transfer at `place`, which is free.
    pub(super) fn begin(place: Place, manifest: &Manifest) -> Result<Self, TargetError> {
        let path = place.journal();
        let journal = Journal::create(&path, &manifest.transfer).map_err(|why| match why {
            JournalError::Io(why) => TargetError::io(&path, why),
            JournalError::InUse | JournalError::Other => TargetError::InUse(path.clone()),
        })?;
        let mut part = Self::new(place, manifest.kind, journal);
        match part.make_folder() {
            Ok(()) => Ok(part),
            Err(why) => {
                part.discard_if_empty(&Point::default());
                Err(why)
            }
        }
    }

    fn new(place: Place, kind: What, journal: Journal) -> Self {
        Self {
            place,
            kind,
            journal,
            folder: None,
            file: None,
            unsettled: 0,
            settled: Instant::now(),
        }
    }

    fn make_folder(&mut self) -> Result<(), TargetError> {
        if self.kind != What::Folder {
            return Ok(());
        }
        let part = self.place.part();
        let failed = |why| TargetError::io(&part, why);
        if place::is_missing(&part) {
            fs::create_dir(&part).map_err(failed)?;
        }
        let opened = files::options().read(true).open(&part);
        self.folder = Some(opened.map_err(failed)?);
        Ok(())
    }

    /// Brings what is on the disk to where the journal says, or to the beginning.
    fn go_on(&mut self, resumed: Option<Resumed>) -> Result<Point, TargetError> {
        let was_whole = matches!(resumed, Some(Resumed::Whole(..)));
        let point = match resumed {
            Some(Resumed::Written(point)) => self.open_last(point, None),
            Some(Resumed::Durable(point) | Resumed::Whole(point, _)) => {
                let offset = point.offset;
                self.open_last(point, Some(offset))
            }
            None => None,
        };
        // The last entry is not what it was: nothing of it can be believed.
        let point = point.unwrap_or_default();
        self.make_folder()?;
        let part = self.place.part();
        let failed = |why| TargetError::io(&part, why);
        if self.kind == What::Folder {
            let last = point.last.as_ref().map_or(&[][..], |last| &last.path);
            place::sweep(&part, last).map_err(failed)?;
        } else if point.entries == 0 && !place::is_missing(&part) {
            fs::remove_file(&part).map_err(failed)?;
        }
        if was_whole {
            // It would be believed before all that is noted from here on.
            self.note_durable(&point)?;
        }
        self.note_written(&point)?;
        Ok(point)
    }

    /// Opens the last entry at `offset`, or at its end; `None` where it is not there or too short.
    fn open_last(&mut self, mut point: Point, offset: Option<u64>) -> Option<Point> {
        let Some(last) = &point.last else {
            return Some(point);
        };
        let path = self.path(last);
        if last.kind == What::Folder {
            return fs::symlink_metadata(path).ok()?.is_dir().then_some(point);
        }
        let file = files::options().write(true).open(path).ok()?;
        let found = file.metadata().ok().filter(|found| found.is_file())?;
        let offset = offset.unwrap_or(found.len());
        let fits = offset <= found.len() && last.size.is_none_or(|size| offset <= size);
        fits.then(|| file.set_len(offset)).and_then(Result::ok)?;
        point.offset = offset;
        self.file = Some(file);
        Some(point)
    }

    fn path(&self, header: &Header) -> PathBuf {
        let mut path = self.place.part();
        if self.kind == What::Folder {
            path.extend(&header.path);
        }
        path
    }

    /// An entry begins, which may.
    pub(super) fn begin_entry(&mut self, header: &Header) -> Result<(), TargetError> {
        let path = self.path(header);
        if self.kind == What::Folder {
            self.look_at_parents(header)?;
        }
        let failed = |why| TargetError::io(&path, why);
        if header.kind == What::Folder {
            return DirBuilder::new().create(&path).map_err(failed);
        }
        let mode = if header.executable { 0o777 } else { 0o666 };
        let file = files::options()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path);
        self.file = Some(file.map_err(failed)?);
        Ok(())
    }

    /// The folders around an entry have to be folders that were made here, and no links to others.
    fn look_at_parents(&self, header: &Header) -> Result<(), TargetError> {
        let mut path = self.place.part();
        let parents = header.path.iter().rev().skip(1).rev();
        for name in std::iter::once(None).chain(parents.map(Some)) {
            path.extend(name);
            match fs::symlink_metadata(&path) {
                Ok(found) if found.is_dir() => {}
                // A sender that has named no such folder, or a file in its place.
                _ => return Err(TargetError::Disturbed(path)),
            }
        }
        Ok(())
    }

    /// Content of the last entry comes.
    pub(super) fn write(&mut self, offset: u64, content: &[u8]) -> Result<(), TargetError> {
        let written = match &self.file {
            Some(file) => file.write_all_at(content, offset),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        written.map_err(|why| TargetError::io(&self.place.part(), why))?;
        self.unsettled += content.len() as u64;
        Ok(())
    }

    /// Notes how far it has come.
    pub(super) fn note_written(&mut self, point: &Point) -> Result<(), TargetError> {
        let noted = self.journal.note_written(point);
        noted.map_err(|why| TargetError::io(&self.place.journal(), why))
    }

    /// Whether what is written is to be made durable by now.
    pub(super) fn is_due(&self) -> bool {
        self.unsettled >= SETTLE_BYTES || self.settled.elapsed() >= SETTLE_TIME
    }

    /// Makes what is written durable, and notes it.
    pub(super) fn settle(&mut self, point: &Point) -> Result<(), TargetError> {
        self.sync(point)?;
        self.note_durable(point)?;
        self.unsettled = 0;
        self.settled = Instant::now();
        Ok(())
    }

    fn note_durable(&mut self, point: &Point) -> Result<(), TargetError> {
        let noted = self.journal.note_durable(point);
        noted.map_err(|why| TargetError::io(&self.place.journal(), why))
    }

    /// Makes what is written durable. A disk says only once that it has lost some of that: whoever goes on later is
    /// then not to believe the length of a file.
    fn sync(&mut self, point: &Point) -> Result<(), TargetError> {
        let Err(why) = self.sync_all() else {
            return Ok(());
        };
        if self.journal.withdraw(point).is_err() {
            // Without its journal nobody goes on there: it begins anew, under another name.
            fs::remove_file(self.place.journal()).ok();
        }
        Err(TargetError::io(&self.place.part(), why))
    }

    fn sync_all(&self) -> io::Result<()> {
        match (&self.folder, &self.file) {
            // One call for any number of files and folders that were made since the last.
            (Some(folder), _) => Ok(syncfs(folder)?),
            (None, Some(file)) => {
                file.sync_data()?;
                place::sync_folder(self.place.folder())
            }
            (None, None) => Ok(()),
        }
    }

    /// The last entry is whole: gives it the time that it had at the sender's.
    pub(super) fn finish_file(&mut self, point: &Point) {
        let modified = point.last.as_ref().and_then(|last| last.modified);
        let since = modified
            .and_then(|ms| u64::try_from(ms).ok())
            .map(Duration::from_millis);
        let time = since.and_then(|since| UNIX_EPOCH.checked_add(since));
        if let Some((file, time)) = self.file.take().zip(time) {
            // A file system that does not hold such a time does not keep the content from arriving.
            file.set_times(FileTimes::new().set_modified(time)).ok();
        }
    }

    /// Everything is written: makes it durable, and gives it its name.
    pub(super) fn finish(mut self, point: &Point) -> Result<Whole, TargetError> {
        self.sync(point)?;
        let part = self.place.part();
        let failed = |why| TargetError::io(&part, why);
        let inode = place::inode(&part).ok_or_else(|| TargetError::Disturbed(part.clone()))?;
        self.journal.note_whole(point, inode).map_err(failed)?;
        self.finish_file(point);
        let done = self.rename(&part)?;
        place::sync_folder(self.place.folder()).map_err(failed)?;
        Ok(Whole::new(done, &self.place, self.journal))
    }

    /// Gives it the first of its names that is free.
    fn rename(&self, part: &Path) -> Result<PathBuf, TargetError> {
        for done in self.place.and_others().map(|it| it.done()) {
            match place::rename(part, &done) {
                Ok(()) => return Ok(done),
                // Somebody has taken the name meanwhile.
                Err(why) if why.kind() == io::ErrorKind::AlreadyExists => {}
                Err(why) => return Err(TargetError::io(part, why)),
            }
        }
        Err(TargetError::NoName(self.place.done()))
    }

    /// Leaves nothing behind where nothing has come yet.
    pub(super) fn discard_if_empty(self, point: &Point) {
        if point.entries == 0 {
            // What cannot be removed does no harm: the transfer would go on there.
            fs::remove_dir(self.place.part()).ok();
            fs::remove_file(self.place.journal()).ok();
        }
    }
}
