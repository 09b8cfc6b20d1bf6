//! Where a transfer is written to: a file or folder that is called `.part` until it is whole, or a stream.
//!
//! Only regular files and folders are made, each where nothing was, in folders that were made here before; links
//! are neither made nor followed. [`Ledger`] says what may come, and [`Journal`] how far it has come.

use std::{
    fmt,
    fs::{self, DirBuilder, File, FileTimes, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant, UNIX_EPOCH},
};

use nix::{fcntl::OFlag, unistd::syncfs};

use super::{
    journal::{Journal, JournalError, Resumed},
    ledger::{Ledger, Point, Refused},
    place::{self, Place},
};
use crate::transfer::note::{End, Header, Manifest, Start, What};

/// What is written is made durable after so many bytes,
const SETTLE_BYTES: u64 = 64 * 1024 * 1024;
/// or, with the first record after it, so much time.
const SETTLE_TIME: Duration = Duration::from_secs(2);

/// Where a transfer is written to.
#[derive(Debug)]
pub struct Target {
    ledger: Ledger,
    onto: Onto,
}

#[derive(Debug)]
enum Onto {
    Disk(Box<Disk>),
    Output(Output),
}

struct Output(Box<dyn Write + Send>);

/// A transfer on a disk.
#[derive(Debug)]
struct Disk {
    place: Place,
    kind: What,
    journal: Journal,
    /// The last entry, where it is a file.
    file: Option<File>,
    unsettled: u64,
    settled: Instant,
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
    fn io(path: &Path, why: io::Error) -> Self {
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

impl Target {
    /// At `path`: in it, where it is a folder, and else under its name. A transfer that was begun there goes on;
    /// where the name is taken by something else, another is found.
    ///
    /// # Errors
    ///
    /// [`TargetError`], by what is in the way.
    pub fn open(path: &Path, manifest: &Manifest) -> Result<Self, TargetError> {
        let mut ledger = Ledger::new(manifest)?;
        let (folder, name) = match path.file_name().and_then(|name| name.to_str()) {
            Some(name) if !path.is_dir() => (path.parent().unwrap_or(path), name),
            _ => (path, manifest.name.as_str()),
        };
        let folder = match folder.as_os_str().is_empty() {
            true => Path::new("."),
            false => folder,
        };
        let places = || Place::all(folder, name, manifest.kind == What::Folder);
        let disk = match places().find_map(|place| Disk::take_up(place, manifest, &mut ledger)) {
            Some(disk) => disk?,
            None => {
                let free = places().find(Place::is_free);
                let free = free.ok_or_else(|| TargetError::NoName(folder.join(name)))?;
                Disk::begin(free, manifest)?
            }
        };
        let needed = manifest
            .size
            .map(|size| size.saturating_sub(ledger.bytes()));
        let free = place::free_space(folder);
        if needed.zip(free).is_some_and(|(needed, free)| needed > free) {
            // What was begun stays, to go on once there is room.
            disk.discard_if_empty(ledger.point());
            return Err(TargetError::NoSpace { needed, free });
        }
        Ok(Self {
            ledger,
            onto: Onto::Disk(Box::new(disk)),
        })
    }

    /// Onto a stream, which takes one file. It goes on after a lost line, but not in another program.
    ///
    /// # Errors
    ///
    /// [`TargetError::Refused`] where it is a folder that is sent.
    pub fn output(
        output: impl Write + Send + 'static,
        manifest: &Manifest,
    ) -> Result<Self, TargetError> {
        if manifest.kind == What::Folder {
            return Err(Refused::OutOfTurn.into());
        }
        Ok(Self {
            ledger: Ledger::new(manifest)?,
            onto: Onto::Output(Output(Box::new(output))),
        })
    }

    /// Where the sender is to go on.
    pub fn start(&self) -> Start {
        self.ledger.start()
    }

    /// Bytes of content that are written, in all.
    pub fn bytes(&self) -> u64 {
        self.ledger.bytes()
    }

    /// An entry begins; `json` is its header as it was sent.
    ///
    /// # Errors
    ///
    /// [`TargetError`], by what is wrong.
    pub fn entry(&mut self, header: Header, json: &[u8]) -> Result<(), TargetError> {
        self.ledger.may_begin(&header)?;
        if let Onto::Disk(disk) = &mut self.onto {
            disk.finish_file(self.ledger.point())?;
            disk.begin_entry(&header)?;
        }
        self.ledger.enter(header, json);
        match &mut self.onto {
            Onto::Disk(disk) => disk.note_written(self.ledger.point()),
            Onto::Output(_) => Ok(()),
        }
    }

    /// Content of an entry comes.
    ///
    /// # Errors
    ///
    /// [`TargetError`], by what is wrong.
    pub fn write(&mut self, entry: u64, offset: u64, content: &[u8]) -> Result<(), TargetError> {
        self.ledger.may_add(entry, offset, content.len())?;
        match &mut self.onto {
            Onto::Disk(disk) => disk.write(offset, content)?,
            Onto::Output(output) => {
                let written = output.0.write_all(content);
                written.map_err(|why| TargetError::io(Path::new("-"), why))?;
            }
        }
        self.ledger.add(content.len());
        match &self.onto {
            Onto::Disk(disk) if disk.is_due() => self.settle(),
            _ => Ok(()),
        }
    }

    /// Makes what is written durable.
    ///
    /// # Errors
    ///
    /// [`TargetError`], as the system gives them.
    pub fn settle(&mut self) -> Result<(), TargetError> {
        match &mut self.onto {
            Onto::Disk(disk) => disk.settle(self.ledger.point()),
            Onto::Output(output) => {
                let flushed = output.0.flush();
                flushed.map_err(|why| TargetError::io(Path::new("-"), why))
            }
        }
    }

    /// That was everything: makes it durable and gives it its name, which is returned; nothing for a stream.
    ///
    /// # Errors
    ///
    /// [`TargetError`], where something is missing, or as the system gives them.
    pub fn finish(mut self, end: &End) -> Result<Option<PathBuf>, TargetError> {
        self.ledger.may_end(end)?;
        self.settle()?;
        match self.onto {
            Onto::Disk(disk) => disk.finish(self.ledger.point()).map(Some),
            Onto::Output(_) => Ok(None),
        }
    }
}

impl Disk {
    /// Goes on at `place`, if this transfer was begun there.
    fn take_up(
        place: Place,
        manifest: &Manifest,
        ledger: &mut Ledger,
    ) -> Option<Result<Self, TargetError>> {
        let path = place.journal();
        let (journal, resumed) = match Journal::open(&path, &manifest.transfer) {
            Ok(opened) => opened,
            Err(JournalError::Other) => return None,
            Err(JournalError::InUse) => return Some(Err(TargetError::InUse(path))),
            // One that nobody can read is somebody else's.
            Err(JournalError::Io(_)) => return None,
        };
        let mut disk = Self::new(place, manifest.kind, journal);
        Some(disk.go_on(resumed).map(|point| {
            ledger.take_up(point);
            disk
        }))
    }

    fn begin(place: Place, manifest: &Manifest) -> Result<Self, TargetError> {
        let path = place.journal();
        let journal = Journal::create(&path, &manifest.transfer).map_err(|why| match why {
            JournalError::Io(why) => TargetError::io(&path, why),
            JournalError::InUse | JournalError::Other => TargetError::InUse(path.clone()),
        })?;
        let disk = Self::new(place, manifest.kind, journal);
        disk.make_folder()?;
        Ok(disk)
    }

    fn new(place: Place, kind: What, journal: Journal) -> Self {
        Self {
            place,
            kind,
            journal,
            file: None,
            unsettled: 0,
            settled: Instant::now(),
        }
    }

    fn make_folder(&self) -> Result<(), TargetError> {
        let part = self.place.part();
        if self.kind == What::Folder && place::is_missing(&part) {
            fs::create_dir(&part).map_err(|why| TargetError::io(&part, why))?;
        }
        Ok(())
    }

    /// Brings what is on the disk to where the journal says, or to the beginning.
    fn go_on(&mut self, resumed: Option<Resumed>) -> Result<Point, TargetError> {
        let point = match resumed {
            Some(Resumed::Written(point)) => self.open_last(point, None),
            Some(Resumed::Durable(point)) => {
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
        let file = options().open(path).ok()?;
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

    fn begin_entry(&mut self, header: &Header) -> Result<(), TargetError> {
        let path = self.path(header);
        if self.kind == What::Folder {
            self.look_at_parents(header)?;
        }
        let failed = |why| TargetError::io(&path, why);
        if header.kind == What::Folder {
            return DirBuilder::new().create(&path).map_err(failed);
        }
        let mode = if header.executable { 0o777 } else { 0o666 };
        let file = options().create_new(true).mode(mode).open(&path);
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

    fn write(&mut self, offset: u64, content: &[u8]) -> Result<(), TargetError> {
        let written = match &self.file {
            Some(file) => file.write_all_at(content, offset),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        written.map_err(|why| TargetError::io(&self.place.part(), why))?;
        self.unsettled += content.len() as u64;
        Ok(())
    }

    fn note_written(&mut self, point: &Point) -> Result<(), TargetError> {
        let noted = self.journal.note_written(point);
        noted.map_err(|why| TargetError::io(&self.place.journal(), why))
    }

    fn is_due(&self) -> bool {
        self.unsettled >= SETTLE_BYTES || self.settled.elapsed() >= SETTLE_TIME
    }

    fn settle(&mut self, point: &Point) -> Result<(), TargetError> {
        self.sync()
            .map_err(|why| TargetError::io(&self.place.part(), why))?;
        let noted = self.journal.note_durable(point);
        noted.map_err(|why| TargetError::io(&self.place.journal(), why))?;
        self.unsettled = 0;
        self.settled = Instant::now();
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        match (self.kind, &self.file) {
            // One call for any number of files and folders that were made since the last.
            (What::Folder, _) => Ok(syncfs(File::open(self.place.part())?)?),
            (_, Some(file)) => {
                file.sync_data()?;
                place::sync_folder(self.place.folder())
            }
            (_, None) => Ok(()),
        }
    }

    /// The last entry is whole: gives it the time that it had at the sender's.
    fn finish_file(&mut self, point: &Point) -> Result<(), TargetError> {
        let modified = point.last.as_ref().and_then(|last| last.modified);
        let since = modified
            .and_then(|ms| u64::try_from(ms).ok())
            .map(Duration::from_millis);
        let time = since.and_then(|since| UNIX_EPOCH.checked_add(since));
        if let Some((file, time)) = self.file.take().zip(time) {
            // A file system that does not hold such a time does not keep the content from arriving.
            file.set_times(FileTimes::new().set_modified(time)).ok();
        }
        Ok(())
    }

    fn finish(mut self, point: &Point) -> Result<PathBuf, TargetError> {
        self.finish_file(point)?;
        let part = self.place.part();
        let mut places = std::iter::once(self.place.clone()).chain(Place::all(
            self.place.folder(),
            self.place.name(),
            self.kind == What::Folder,
        ));
        let done = loop {
            let Some(place) = places.next() else {
                return Err(TargetError::NoName(self.place.done()));
            };
            let done = place.done();
            match place::rename(&part, &done) {
                Ok(()) => break done,
                // Somebody has taken the name meanwhile.
                Err(why) if why.kind() == io::ErrorKind::AlreadyExists => {}
                Err(why) => return Err(TargetError::io(&part, why)),
            }
        };
        let journal = self.place.journal();
        fs::remove_file(&journal).map_err(|why| TargetError::io(&journal, why))?;
        let synced = place::sync_folder(self.place.folder());
        synced.map_err(|why| TargetError::io(&done, why))?;
        Ok(done)
    }

    /// Leaves nothing behind where nothing has come yet.
    fn discard_if_empty(self, point: &Point) {
        if point.entries == 0 {
            // What cannot be removed does no harm: the transfer would go on there.
            fs::remove_dir(self.place.part()).ok();
            fs::remove_file(self.place.journal()).ok();
        }
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    options.write(true).custom_flags(flags.bits());
    options
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Output")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
