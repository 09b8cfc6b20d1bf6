//! The thread that writes events. It alone waits for the disk.

use std::{
    io,
    path::Path,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use log::{info, warn};

use super::{
    counts::Lost,
    file::{self, Lines},
    line,
    queue::{Batch, LINGER, Queue, Told},
    settings::Settings,
    stats::Stats,
};

/// Events written in one go: less than a file may have, whatever its size.
const PIECE: usize = 128;
/// How often the counts of the day are written, where there are new ones.
const STATS_EVERY: Duration = Duration::from_secs(5);
/// How often the age of files is looked at, where nothing happens.
const TIDY_EVERY: Duration = Duration::from_secs(3600);
/// How often it is said again what the disk does not do.
const COMPLAIN_EVERY: Duration = Duration::from_secs(600);

/// What the disk may not do. One of them may well go on while another fails.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Lines,
    Stats,
    Tidying,
}

impl Work {
    const ALL: [Self; 3] = [Self::Lines, Self::Stats, Self::Tidying];

    /// What it is done to, and what cannot be done.
    fn failing(self) -> [&'static str; 2] {
        match self {
            Self::Lines => ["the event log", "cannot be written"],
            Self::Stats => ["daily-stats.json", "cannot be written"],
            Self::Tidying => ["an old file of events", "cannot be removed"],
        }
    }
}

/// Writes what comes, until it shall end.
pub(super) fn run(queue: &Queue) {
    let mut writer = Writer::new(queue);
    loop {
        let batch = queue.take(writer.patience(), LINGER);
        let end = batch.end;
        writer.write(batch, Timestamp::now());
        if end {
            break;
        }
    }
    queue.writer_ended();
}

pub(super) struct Writer<'a> {
    queue: &'a Queue,
    /// The file, while it is open.
    lines: Option<Lines>,
    stats: Stats,
    /// When the counts were last written, or tried to.
    stats_at: Instant,
    /// Those by which all this was opened.
    settings: Option<Settings>,
    /// By [`Work`].
    troubles: [Option<Trouble>; Work::ALL.len()],
}

/// Work that fails.
struct Trouble {
    said_at: Instant,
    /// Events lost since it began.
    lost: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn new(queue: &'a Queue) -> Self {
        Self {
            queue,
            lines: None,
            stats: Stats::default(),
            stats_at: Instant::now(),
            settings: None,
            troubles: Default::default(),
        }
    }

    /// How long there may be nothing to do.
    fn patience(&self) -> Duration {
        match self.stats.has_news() {
            true => STATS_EVERY.saturating_sub(self.stats_at.elapsed()),
            false => TIDY_EVERY,
        }
    }

    /// Writes a batch, at this moment.
    pub(super) fn write(&mut self, batch: Batch, now: Timestamp) {
        let Batch {
            settings,
            events,
            days,
            reopen,
            end,
        } = batch;
        let before = self.settings.replace(settings.clone());
        let left = before.filter(|it| it.folder.is_some() && it.folder != settings.folder);
        let leaves = left.is_some();
        // What waits was told before the settings changed.
        let settings = left.unwrap_or(settings);
        if reopen {
            self.lines = None;
        }
        let Some(folder) = &settings.folder else {
            return;
        };
        self.stats.add(&days);
        self.write_events(&events, folder, &settings, now);
        let due = self.stats_at.elapsed() >= STATS_EVERY || end || leaves;
        if due && self.stats.has_news() {
            self.stats_at = Instant::now();
            let saved = self.stats.save(folder);
            self.judge(Work::Stats, saved, 0);
        }
        if leaves {
            self.lines = None;
            self.stats = Stats::default();
        }
    }

    fn write_events(
        &mut self,
        events: &[Told],
        folder: &Path,
        settings: &Settings,
        now: Timestamp,
    ) {
        // Once where there are none, too: the file may be of yesterday.
        let all = events
            .chunks(PIECE)
            .chain(events.is_empty().then_some(events));
        for piece in all {
            let mut lines = Vec::new();
            for told in piece {
                line::write(&mut lines, &self.queue.run, told, settings.addresses);
            }
            let added = self.add(folder, &lines, settings, now);
            self.note(added, piece.len());
        }
    }

    /// Adds lines to the file of now; returns how many are in it, and why that are not all.
    fn add(
        &mut self,
        folder: &Path,
        lines: &[u8],
        settings: &Settings,
        now: Timestamp,
    ) -> (usize, io::Result<()>) {
        let mut file = match self.file(folder, lines.len(), settings, now) {
            Ok(file) => file,
            Err(error) => return (0, Err(error)),
        };
        let (written, failed) = file.add(lines);
        let count = lines[..written].iter().filter(|&&byte| byte == b'\n');
        let count = count.count();
        match failed {
            // The next time it is opened anew: whatever was wrong may have been put right.
            Some(error) => (count, Err(error)),
            None => {
                self.lines = Some(file);
                (count, Ok(()))
            }
        }
    }

    /// The file that so many bytes belong into.
    fn file(
        &mut self,
        folder: &Path,
        more: usize,
        settings: &Settings,
        now: Timestamp,
    ) -> io::Result<Lines> {
        let known = self.lines.take().filter(Lines::is_in_place);
        let opened = known.is_none();
        let file = match known {
            Some(file) => file,
            None => Lines::open(folder, now)?,
        };
        let over = file.is_over(more, settings, now);
        let file = match over {
            true => {
                file.end(now)?;
                Lines::open(folder, now)?
            }
            false => file,
        };
        if opened || over || more == 0 {
            // Whatever comes of it: the lines are written all the same.
            let tidied = file::tidy(folder, settings, now);
            self.judge(Work::Tidying, tidied, 0);
        }
        Ok(file)
    }

    /// Notes that so many events of a batch are written.
    fn note(&mut self, (written, result): (usize, io::Result<()>), all: usize) {
        let lost = all - written.min(all);
        self.queue.counts().wrote(written);
        self.queue.counts().lose(lost, Lost::Disk);
        // Where there was nothing to write, nobody knows whether it could have been.
        if all > 0 || result.is_err() {
            self.judge(Work::Lines, result, lost);
        }
    }

    /// Says that some work fails, now and then, or that it goes again; so many events are lost by it.
    fn judge(&mut self, work: Work, result: io::Result<()>, lost: usize) {
        if work == Work::Lines {
            self.queue.counts().fail(result.is_err());
        }
        let trouble = &mut self.troubles[work as usize];
        let Err(error) = result else {
            if let Some(Trouble { lost, .. }) = trouble.take()
                && work == Work::Lines
            {
                info!("events are written again; {lost} were lost");
            }
            return;
        };
        let now = Instant::now();
        let first = trouble.is_none();
        let trouble = trouble.get_or_insert(Trouble {
            said_at: now,
            lost: 0,
        });
        trouble.lost += lost;
        if first || now.duration_since(trouble.said_at) >= COMPLAIN_EVERY {
            trouble.said_at = now;
            let folder = self.settings.as_ref().and_then(|it| it.folder.as_deref());
            let folder = folder.unwrap_or(Path::new("")).display();
            let [what, cannot] = work.failing();
            warn!("{what} in {folder} (RELAY_LOG_DIR) {cannot}: {error}");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
