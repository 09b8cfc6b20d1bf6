//! How many events of each kind there were on each day: a small file, replaced as a whole, so that whoever
//! reads it finds the one from before or the new one.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, ErrorKind, Write},
    path::Path,
};

use jiff::civil::Date;
use log::warn;

use super::{event::Kind, file, queue::Day};

/// The name of the file.
pub(super) const NAME: &str = "daily-stats.json";
/// Days that are kept: more than a year, in some fifty KiB.
const MAX_DAYS: usize = 400;

/// Counts by event and day, as the file has them: names and days of others' making among them.
type Days = BTreeMap<String, BTreeMap<String, u64>>;

/// The counts of a folder.
#[derive(Default)]
pub(super) struct Stats {
    /// What the file had, with what came since; `None` until it is read.
    days: Option<Days>,
    /// What came, and is in no file yet.
    pending: Vec<Day>,
}

impl Stats {
    /// Adds these.
    pub(super) fn add(&mut self, days: &[Day]) {
        for (day, counts) in days {
            match self.pending.iter_mut().find(|(other, _)| other == day) {
                Some((_, sums)) => sums.iter_mut().zip(counts).for_each(|(sum, it)| *sum += it),
                None => self.pending.push((*day, *counts)),
            }
        }
    }

    /// Whether the file lacks anything.
    pub(super) fn has_news(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Writes the file anew.
    ///
    /// # Errors
    ///
    /// The system's own; what is not written is kept for the next time.
    pub(super) fn save(&mut self, folder: &Path) -> io::Result<()> {
        let mut days = match &self.days {
            Some(days) => days.clone(),
            None => read(&folder.join(NAME))?,
        };
        for (day, counts) in &self.pending {
            let of_day = days.entry(date(*day)).or_default();
            let counted = Kind::ALL.into_iter().zip(counts);
            for (kind, count) in counted.filter(|(_, count)| **count > 0) {
                let sum = of_day.entry(kind.name().to_owned()).or_default();
                *sum = sum.saturating_add(*count);
            }
        }
        while days.len() > MAX_DAYS {
            days.pop_first();
        }
        let json = serde_json::to_vec(&days)?;
        let new = folder.join(format!("{NAME}.new"));
        let written = write(&new, &json).and_then(|()| fs::rename(&new, folder.join(NAME)));
        if written.is_err() {
            // A disk that is full has better use for its room.
            let _ = fs::remove_file(&new);
        }
        written?;
        self.pending.clear();
        self.days = Some(days);
        Ok(())
    }
}

/// On the disk before it takes the other's place: else a machine that fails would leave an empty one.
fn write(path: &Path, json: &[u8]) -> io::Result<()> {
    // Whatever is there is not written through: it may be a link that somebody has put there.
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = file::options().create_new(true).open(path)?;
    file.write_all(json)?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// What is in the file. One that is no such file is put aside, for a person to look at.
fn read(path: &Path) -> io::Result<Days> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Days::new()),
        Err(error) => return Err(error),
    };
    if let Ok(days) = serde_json::from_slice(&text) {
        return Ok(days);
    }
    let aside = path.with_extension("json.unreadable");
    fs::rename(path, &aside)?;
    warn!(
        "{} has no counts of events, and is {} now",
        path.display(),
        aside.display()
    );
    Ok(Days::new())
}

/// A day as `2026-03-08`.
fn date(day: i64) -> String {
    let epoch = Date::constant(1970, 1, 1);
    let date = epoch.checked_add(jiff::Span::new().days(day));
    // It is within jiff's range for thousands of years.
    date.map(|date| date.to_string()).unwrap_or_default()
}
