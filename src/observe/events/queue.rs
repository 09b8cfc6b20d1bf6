//! What waits for the disk: events, and how many there were of each kind. Putting one in takes no longer than
//! a lock that is never held while anything is written.

use std::{
    mem,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;

use super::{
    counts::{Counts, Lost},
    event::{Event, Kind},
    settings::Settings,
};
use crate::limits::log_budget::LogBudget;

/// Events that may wait. As many again may be on their way to the disk.
pub(super) const MAX_WAITING: usize = 4096;
/// Events that do not wait for others to be written.
pub(super) const MANY: usize = MAX_WAITING / 2;
/// How long the first waits for others, so that many are written at once.
pub(super) const LINGER: Duration = Duration::from_millis(200);

/// How many events of each kind there were on a day, which is counted from 1970-01-01 on.
pub(super) type Day = (i64, [u64; Kind::ALL.len()]);

/// An event, and when it was.
pub(super) type Told = (Timestamp, Event);

/// The queue between all who tell of events and the thread that writes.
#[derive(Debug)]
pub(super) struct Queue {
    /// A name for this run of the relay, in each line: sessions are numbered from 0 on in each of them.
    pub(super) run: String,
    wanted: AtomicBool,
    waiting: Mutex<Waiting>,
    /// Wakes the writer when there is something to do for it, and whoever waits in [`Queue::end`] when it has
    /// ended.
    changed: Condvar,
    counts: Counts,
}

#[derive(Debug)]
struct Waiting {
    settings: Settings,
    events: Vec<Told>,
    /// Of all events, also of those that are not in `events`. The days since the writer was last here.
    days: Vec<Day>,
    /// That of refusals.
    budget: LogBudget,
    /// Whether the file is to be opened, or opened anew.
    reopen: bool,
    /// Whether the writer shall end.
    end: bool,
    /// Whether there is one.
    has_writer: bool,
}

/// What there is to do for the writer.
pub(super) struct Batch {
    pub(super) settings: Settings,
    pub(super) events: Vec<Told>,
    pub(super) days: Vec<Day>,
    pub(super) reopen: bool,
    pub(super) end: bool,
}

impl Queue {
    pub(super) fn new(settings: Settings) -> Self {
        let mut noise = [0; 4];
        // Without any, runs cannot be told apart; that is no reason to have no relay.
        let _ = getrandom::fill(&mut noise);
        Self {
            run: format!("{:08x}", u32::from_ne_bytes(noise)),
            wanted: AtomicBool::new(settings.folder.is_some()),
            waiting: Mutex::new(Waiting {
                settings,
                events: Vec::new(),
                days: Vec::new(),
                budget: LogBudget::default(),
                // A folder that cannot be written to is complained of at once.
                reopen: true,
                end: false,
                has_writer: false,
            }),
            changed: Condvar::new(),
            counts: Counts::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Every change is whole before anything can panic.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.load(SeqCst)
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Adds an event, or only counts it where there is no room for it.
    pub(super) fn push(&self, (time, event): Told, now: Instant) {
        let mut waiting = self.lock();
        waiting.count(time, event.kind);
        let network = event.visitor.as_ref().map(|it| it.network);
        if waiting.events.len() >= MAX_WAITING {
            self.counts.lose(1, Lost::QueueFull);
        } else if event.kind.is_refusal() && !waiting.budget.take(network, now) {
            self.counts.lose(1, Lost::OverBudget);
        } else {
            waiting.events.push((time, event));
            let count = waiting.events.len();
            drop(waiting);
            if count == 1 || count == MANY {
                self.changed.notify_all();
            }
        }
    }

    pub(super) fn configure(&self, settings: Settings) {
        let mut waiting = self.lock();
        self.wanted.store(settings.folder.is_some(), SeqCst);
        waiting.reopen |= waiting.settings != settings;
        waiting.settings = settings;
        self.changed.notify_all();
    }

    /// Has the writer open the file anew.
    pub(super) fn reopen(&self) {
        self.lock().reopen = true;
        self.changed.notify_all();
    }

    /// Whether a writer is to be started; from here on there is one.
    pub(super) fn needs_writer(&self) -> bool {
        let mut waiting = self.lock();
        let wanted = waiting.settings.folder.is_some();
        wanted && !mem::replace(&mut waiting.has_writer, true)
    }

    pub(super) fn writer_ended(&self) {
        self.lock().has_writer = false;
        self.changed.notify_all();
    }

    /// Has the writer end, and waits for that as long as `most`.
    pub(super) fn end(&self, most: Duration) {
        let mut waiting = self.lock();
        waiting.end = true;
        self.changed.notify_all();
        let ended = self
            .changed
            .wait_timeout_while(waiting, most, |it| it.has_writer);
        drop(ended);
    }

    /// Waits until there is something to do for the writer, or as long as `most`; and then as long as
    /// `linger` for many events, where there is one.
    pub(super) fn take(&self, most: Duration, linger: Duration) -> Batch {
        let idle = |it: &mut Waiting| it.events.is_empty() && !it.reopen && !it.end;
        let waited = self.changed.wait_timeout_while(self.lock(), most, idle);
        let (mut waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if !waiting.events.is_empty() {
            let more = |it: &mut Waiting| it.events.len() < MANY && !it.end;
            let waited = self.changed.wait_timeout_while(waiting, linger, more);
            (waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        Batch {
            settings: waiting.settings.clone(),
            events: mem::take(&mut waiting.events),
            days: mem::take(&mut waiting.days),
            reopen: mem::take(&mut waiting.reopen),
            end: waiting.end,
        }
    }
}

impl Waiting {
    fn count(&mut self, time: Timestamp, kind: Kind) {
        let today = day_of(time);
        if self.days.last().is_none_or(|(day, _)| *day != today) {
            self.days.push((today, [0; Kind::ALL.len()]));
        }
        if let Some((_, counts)) = self.days.last_mut() {
            counts[kind as usize] += 1;
        }
    }
}

/// The day of a moment, in UTC.
pub(super) fn day_of(time: Timestamp) -> i64 {
    time.as_second().div_euclid(86_400)
}
