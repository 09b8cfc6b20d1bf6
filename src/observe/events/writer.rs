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
    queue::{Batch, Queue, Told},
    settings::Settings,
    stats::Stats,
};

/// Events written in one go: less than a file may have, whatever its size.
const PIECE: usize = 128;
/// How often the counts of the day are written, where there are new ones.
const STATS_EVERY: Duration = Duration::from_secs(5);
/// How often the age of files is looked at, where nothing happens.
const TIDY_EVERY: Duration = Duration::from_secs(3600);
/// How often it is said that nothing can be written.
const COMPLAIN_EVERY: Duration = Duration::from_secs(600);

/// Writes what comes, until it shall end.
pub(super) fn run(queue: &Queue) {
    let mut writer = Writer {
        queue,
        lines: None,
        stats: Stats::default(),
        stats_at: Instant::now(),
        settings: None,
        trouble: None,
    };
    loop {
        let batch = queue.take(writer.patience());
        let end = batch.end;
        writer.write(batch);
        if end {
            break;
        }
    }
    queue.writer_ended();
}

struct Writer<'a> {
    queue: &'a Queue,
    /// The file, while it is open.
    lines: Option<Lines>,
    stats: Stats,
    /// When the counts were last written, or tried to.
    stats_at: Instant,
    /// Those by which all this was opened.
    settings: Option<Settings>,
    trouble: Option<Trouble>,
}

/// What is wrong with the disk.
struct Trouble {
    said_at: Instant,
    /// Events lost since it began.
    lost: usize,
}

impl Writer<'_> {
    /// How long there may be nothing to do.
    fn patience(&self) -> Duration {
        match self.stats.has_news() {
            true => STATS_EVERY.saturating_sub(self.stats_at.elapsed()),
            false => TIDY_EVERY,
        }
    }

    fn write(&mut self, batch: Batch) {
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
        self.write_events(&events, folder, &settings);
        let due = self.stats_at.elapsed() >= STATS_EVERY || end || leaves;
        if due && self.stats.has_news() {
            self.stats_at = Instant::now();
            let saved = self.stats.save(folder);
            self.complain_of(saved);
        }
        if leaves {
            self.lines = None;
            self.stats = Stats::default();
        }
    }

    fn write_events(&mut self, events: &[Told], folder: &Path, settings: &Settings) {
        let now = Timestamp::now();
        // Once where there are none, too: the file may be of yesterday.
        let all = events
            .chunks(PIECE)
            .chain(events.is_empty().then_some(events));
        for piece in all {
            let mut lines = Vec::new();
            for (time, event) in piece {
                line::write(&mut lines, *time, event, settings.addresses);
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
        let file = match self.lines.take() {
            Some(file) => file,
            None => Lines::open(folder, now)?,
        };
        if !file.is_over(more, settings, now) {
            if more == 0 {
                file::tidy(folder, settings, now)?;
            }
            return Ok(file);
        }
        file.end(now)?;
        file::tidy(folder, settings, now)?;
        Lines::open(folder, now)
    }

    /// Notes that so many events of a batch are written, and says so where that has changed.
    fn note(&mut self, (written, result): (usize, io::Result<()>), all: usize) {
        let lost = all - written.min(all);
        self.queue.counts().wrote(written);
        self.queue.counts().lose(lost, Lost::Disk);
        if result.is_err() {
            self.complain_of(result);
            if let Some(trouble) = &mut self.trouble {
                trouble.lost += lost;
            }
        } else if let Some(Trouble { lost, .. }) = self.trouble.take_if(|_| all > 0) {
            info!("events are written again; {lost} were lost");
        }
    }

    /// Says that something cannot be written, now and then.
    fn complain_of(&mut self, result: io::Result<()>) {
        let Err(error) = result else { return };
        let now = Instant::now();
        let trouble = self.trouble.get_or_insert(Trouble {
            said_at: now,
            lost: 0,
        });
        let first = trouble.said_at == now;
        if first || now.duration_since(trouble.said_at) >= COMPLAIN_EVERY {
            trouble.said_at = now;
            let folder = self.settings.as_ref().and_then(|it| it.folder.as_deref());
            let folder = folder.unwrap_or(Path::new("")).display();
            warn!("the event log in {folder} (RELAY_LOG_DIR) cannot be written: {error}");
        }
    }
}
