//! The file of lines. It is begun anew each day, and when it has a tenth of the bytes that there may be in all;
//! those from before stay beside it, named by when they ended, until they are too old or too many. The newest
//! of those is never one too many, whatever its size: one from before this relay may have any.
//!
//! A line is whole or not there: what a full disk has taken of one is cut off again. One that a crash has torn
//! stays as it is, on a line of its own.

use std::{
    cmp::Reverse,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use log::info;

use super::{queue::day_of, settings::Settings};

/// The name of the file, and how the names of those from before begin and end.
pub(super) const NAME: &str = "relay-events.jsonl";
const BEFORE: &str = "relay-events-";
const END: &str = ".jsonl";
/// And what stands between, by which they are known again.
const STAMP: &str = "%Y%m%dT%H%M%S%.3fZ";
/// Files that all lines are in, at most.
const FILES: u64 = 10;

/// The file that lines are added to.
pub(super) struct Lines {
    file: File,
    path: PathBuf,
    len: u64,
    /// The day of its lines.
    day: i64,
    /// Whether its last line has no end.
    torn: bool,
}

/// How a file of the event log is opened: its owner's, for a group to read.
pub(super) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).write(true).mode(0o640);
    options
}

impl Lines {
    /// Opens the file of a folder, which is made if need be.
    ///
    /// # Errors
    ///
    /// The system's own.
    pub(super) fn open(folder: &Path, now: Timestamp) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let path = folder.join(NAME);
        let file = options().read(true).append(true).open(&path)?;
        let metadata = file.metadata()?;
        let len = metadata.len();
        let (mut last, mut day) = ([b'\n'], day_of(now));
        if len > 0 {
            file.read_exact_at(&mut last, len - 1)?;
            let modified = Timestamp::try_from(metadata.modified()?);
            day = modified.map_or(day, day_of);
        }
        Ok(Self {
            file,
            path,
            len,
            day,
            torn: last != *b"\n",
        })
    }

    /// Whether it is still where it belongs: somebody may have moved or removed it.
    pub(super) fn is_in_place(&self) -> bool {
        let which = |of: io::Result<fs::Metadata>| of.map(|it| (it.dev(), it.ino())).ok();
        let own = which(self.file.metadata());
        own.is_some() && own == which(fs::metadata(&self.path))
    }

    /// Whether it ends before so many bytes more are added.
    pub(super) fn is_over(&self, more: usize, settings: &Settings, now: Timestamp) -> bool {
        let full = self.len + more as u64 > settings.size / FILES;
        self.len > 0 && (full || self.day != day_of(now))
    }

    /// Gives it the name of one from before.
    ///
    /// # Errors
    ///
    /// The system's own.
    pub(super) fn end(self, now: Timestamp) -> io::Result<()> {
        let mut time = now;
        let mut name = self.before(time);
        while name.exists() {
            time += SignedDuration::from_millis(1);
            name = self.before(time);
        }
        match fs::rename(&self.path, name) {
            // Somebody else has moved it.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn before(&self, time: Timestamp) -> PathBuf {
        let stamp = time.strftime(STAMP);
        self.path.with_file_name(format!("{BEFORE}{stamp}{END}"))
    }

    /// Adds lines. Returns how many bytes of whole lines are in the file, and why that are not all.
    pub(super) fn add(&mut self, lines: &[u8]) -> (usize, Option<io::Error>) {
        if self.torn {
            if let Err(error) = self.file.write_all(b"\n") {
                return (0, Some(error));
            }
            self.len += 1;
            self.torn = false;
        }
        let mut written = 0;
        let failed = loop {
            if written == lines.len() {
                break None;
            }
            match self.file.write(&lines[written..]) {
                Ok(0) => break Some(ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Some(error),
            }
        };
        let end = lines[..written].iter().rposition(|&byte| byte == b'\n');
        let whole = end.map_or(0, |end| end + 1);
        self.len += whole as u64;
        if whole < written {
            // Should that fail, whoever opens the file next finds a torn line.
            let _ = cut_off(&self.file, written - whole);
        }
        (whole, failed)
    }
}

/// Cuts so many bytes off the end. Somebody else may have made the file shorter meanwhile (`copytruncate`), so
/// that nobody here knows how long it is.
pub(super) fn cut_off(file: &File, bytes: usize) -> io::Result<()> {
    let len = file.metadata()?.len();
    file.set_len(len.saturating_sub(bytes as u64))
}

/// Removes files from before: those that are too old, and of the rest the oldest, until all but the newest have no
/// more bytes than they may. One that cannot be removed keeps none of the others.
///
/// # Errors
///
/// The system's own, of the last that cannot be removed.
pub(super) fn tidy(folder: &Path, settings: &Settings, now: Timestamp) -> io::Result<()> {
    let mut files = before(folder)?;
    files.sort_by_key(|file| Reverse(file.ended));
    // Room for the one that is being written.
    let mut left = settings.size - settings.size / FILES;
    let mut tidied = Ok(());
    for (index, file) in files.iter().enumerate() {
        let why = if file.is_older(settings.keep, now) {
            "RELAY_LOG_KEEP"
        } else if index == 0 || file.len <= left {
            left = left.saturating_sub(file.len);
            continue;
        } else {
            // All that are older go as well.
            left = 0;
            "RELAY_LOG_SIZE"
        };
        match fs::remove_file(&file.path) {
            Ok(()) => info!("{} is removed, by {why}", file.path.display()),
            Err(error) => tidied = Err(error),
        }
    }
    tidied
}

/// A file from before.
struct Before {
    path: PathBuf,
    len: u64,
    /// By its name, and when something was last written to it. A clock that was wrong has one of them wrong.
    ended: Timestamp,
    modified: SystemTime,
}

impl Before {
    /// Whether its last line is older than this, by whatever is known of that.
    fn is_older(&self, keep: Duration, now: Timestamp) -> bool {
        let now = SystemTime::from(now);
        let times = [self.ended.into(), self.modified];
        times
            .into_iter()
            .all(|time: SystemTime| now.duration_since(time).is_ok_and(|age| age > keep))
    }
}

/// When a file of this name ended, if it is one from before: others have names of their own, which may begin alike.
fn ended(name: &str) -> Option<Timestamp> {
    let stamp = name.strip_prefix(BEFORE)?.strip_suffix(END)?;
    let time = DateTime::strptime(STAMP, stamp).ok()?;
    let time = TimeZone::UTC.to_timestamp(time).ok()?;
    (time.strftime(STAMP).to_string() == stamp).then_some(time)
}

/// The files from before in a folder.
fn before(folder: &Path) -> io::Result<Vec<Before>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Some(ended) = entry.file_name().to_str().and_then(ended) else {
            continue;
        };
        // Of a link itself.
        let metadata = entry.metadata()?;
        if metadata.is_file() {
            files.push(Before {
                path: entry.path(),
                len: metadata.len(),
                ended,
                modified: metadata.modified()?,
            });
        }
    }
    Ok(files)
}
