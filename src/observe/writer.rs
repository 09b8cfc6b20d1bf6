//! The way of log lines to standard error. Whoever logs puts a line into a queue and goes on; a
//! thread writes what is there. So nobody waits for whoever reads the log, and what does not fit
//! into the queue is left out. How a line looks is for `logging` to say.

use std::{
    io::{ErrorKind, Write},
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::metrics::{LeftOut, log_lines_left_out};
use crate::limits::{address::AddressKey, log_budget::LogBudget};

/// Bytes of lines that may wait. As much again may be on its way to standard error.
const MAX_WAITING: usize = 256 * 1024;
/// Bytes of lines that may wait when a client causes another one. The rest is for what clients cannot
/// cause, such as warnings.
const MAX_BEFORE_CLIENTS: usize = MAX_WAITING / 4 * 3;
/// How long lines may be left out before a line tells their number. So there is one a second of its
/// kind at most.
const TELL_AFTER: Duration = Duration::from_secs(1);

/// The queue between all who log and the thread that writes.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// Wakes the writer when there is something to do for it, and whoever waits in
    /// [`flush`](Self::flush) when there is nothing any more.
    changed: Condvar,
}

struct Waiting {
    lines: Vec<u8>,
    budget: LogBudget,
    /// How many were left out since that was last told, by why.
    left_out: [u64; LeftOut::ALL.len()],
    /// When to tell of them; `None` where there is nothing to tell.
    tell_at: Option<Instant>,
    /// Somebody waits until all is written and told.
    hurry: bool,
}

impl Waiting {
    fn leave_out(&mut self, why: LeftOut, count: u64) {
        self.left_out[why as usize] += count;
        let soon = || Instant::now() + TELL_AFTER;
        self.tell_at.get_or_insert_with(soon);
    }
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            waiting: Mutex::new(Waiting {
                lines: Vec::new(),
                budget: LogBudget::default(),
                left_out: [0; LeftOut::ALL.len()],
                tell_at: None,
                hurry: false,
            }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Every change is whole before anything can panic.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line, or leaves it out where the queue is full.
    pub(super) fn push(&self, line: &[u8]) {
        let mut waiting = self.lock();
        if waiting.lines.len() + line.len() > MAX_WAITING {
            self.leave_out(waiting, LeftOut::Full);
            return;
        }
        let first = waiting.lines.is_empty();
        waiting.lines.extend_from_slice(line);
        drop(waiting);
        if first {
            self.changed.notify_all();
        }
    }

    /// Whether there is room for a line that this client causes, in the queue and in the budget. One
    /// for which there is none counts as left out.
    pub(super) fn has_room(&self, client: Option<AddressKey>, now: Instant) -> bool {
        let mut waiting = self.lock();
        let why = if waiting.lines.len() > MAX_BEFORE_CLIENTS {
            LeftOut::Full
        } else if !waiting.budget.take(client, now) {
            LeftOut::OverBudget
        } else {
            return true;
        };
        self.leave_out(waiting, why);
        false
    }

    fn leave_out(&self, mut waiting: MutexGuard<'_, Waiting>, why: LeftOut) {
        log_lines_left_out(why, 1);
        let first = waiting.tell_at.is_none();
        waiting.leave_out(why, 1);
        drop(waiting);
        if first {
            self.changed.notify_all();
        }
    }

    /// Waits until all is written and told, for as long as `most`.
    pub(super) fn flush(&self, most: Duration) {
        let mut waiting = self.lock();
        waiting.hurry = true;
        self.changed.notify_all();
        let written = self
            .changed
            .wait_timeout_while(waiting, most, |it| it.hurry);
        drop(written);
    }

    /// Writes to `out` whatever comes, and never returns. `tell` makes a line of what was left out.
    pub(super) fn write_to(&self, mut out: impl Write, tell: impl Fn(LeftOut, u64) -> String) {
        let mut lines = Vec::new();
        loop {
            let left_out = self.take(&mut lines);
            let lost = write(&mut out, &lines);
            lines.clear();
            log_lines_left_out(LeftOut::Full, lost);
            let mut untold = [0; LeftOut::ALL.len()];
            untold[LeftOut::Full as usize] = lost;
            for why in LeftOut::ALL {
                let count = left_out[why as usize];
                if count > 0 && write(&mut out, tell(why, count).as_bytes()) > 0 {
                    untold[why as usize] += count;
                }
            }
            if untold.iter().sum::<u64>() > 0 {
                self.put_back(untold);
            }
        }
    }

    /// Waits for lines, or for the time to tell how many were left out: returns the numbers.
    fn take(&self, lines: &mut Vec<u8>) -> [u64; LeftOut::ALL.len()] {
        let mut waiting = self.lock();
        loop {
            let now = Instant::now();
            let tell_in = waiting.tell_at.map(|at| match waiting.hurry {
                true => Duration::ZERO,
                false => at.saturating_duration_since(now),
            });
            if tell_in == Some(Duration::ZERO) {
                waiting.tell_at = None;
                mem::swap(lines, &mut waiting.lines);
                return mem::take(&mut waiting.left_out);
            }
            if !waiting.lines.is_empty() {
                mem::swap(lines, &mut waiting.lines);
                return Default::default();
            }
            if mem::take(&mut waiting.hurry) {
                self.changed.notify_all();
            }
            waiting = match tell_in {
                Some(left) => {
                    let waited = self.changed.wait_timeout(waiting, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let waited = self.changed.wait(waiting);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }

    /// Keeps what could not be told for later. Nobody is to wait for it: it will not go any better
    /// at once.
    fn put_back(&self, untold: [u64; LeftOut::ALL.len()]) {
        let mut waiting = self.lock();
        for why in LeftOut::ALL {
            waiting.leave_out(why, untold[why as usize]);
        }
        waiting.hurry = false;
        self.changed.notify_all();
    }
}

/// Writes these lines; returns how many of them could not be written whole.
fn write(out: &mut impl Write, lines: &[u8]) -> u64 {
    let mut rest = lines;
    while !rest.is_empty() {
        match out.write(rest) {
            Ok(0) => break,
            Ok(count) => rest = &rest[count..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    rest.iter().filter(|&&byte| byte == b'\n').count() as u64
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
