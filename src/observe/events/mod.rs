//! What has happened in the relay, for whoever asks afterwards: a file with one JSON object a line, and how
//! many there were of each kind on each day.
//!
//! Whoever has something to tell puts it into a queue and goes on; a thread writes what is there, some
//! fifth of a second later, in one go. So a disk that is slow or full costs events, which are counted, and nobody's
//! time. Refusals, of which a stranger may cause any number, have the budget that lines of the log have.
//!
//! | module | contents |
//! |---|---|
//! | `event` | what can happen |
//! | `counts` | how many events there were |
//! | `settings` | what the operator has said |
//! | `queue` | what waits for the disk |
//! | `line` | how an event looks |
//! | `file` | the file of lines, and those that it was before |
//! | `stats` | the counts of each day |
//! | `writer` | the thread |

mod counts;
mod event;
mod file;
mod line;
mod queue;
mod settings;
mod stats;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod writer;

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use log::error;

pub use self::{
    counts::{Counts, Lost},
    event::{Event, Kind},
};
use self::{queue::Queue, settings::Settings};
use crate::config::Config;

/// How long the end of the relay waits for the disk.
const PATIENCE: Duration = Duration::from_secs(1);

/// The event log of a relay, which all copies of this stand for.
#[derive(Debug, Clone)]
pub struct Events(Arc<Queue>);

impl Events {
    /// As configured. Nothing is written before [`Events::start`].
    pub fn new(config: &Config) -> Self {
        Self(Arc::new(Queue::new(Settings::of(config))))
    }

    /// Tells of an event, where anybody wants to know of events.
    pub fn tell(&self, event: impl FnOnce() -> Event) {
        if self.0.is_wanted() {
            self.0.push((Timestamp::now(), event()), Instant::now());
        }
    }

    /// Has the file opened anew: somebody may have moved it.
    pub fn reopen(&self) {
        self.0.reopen();
    }

    /// As configured, from here on.
    pub fn configure(&self, config: &Config) {
        self.0.configure(Settings::of(config));
        self.start();
    }

    /// Starts the thread that writes, if there is something for it to do.
    pub fn start(&self) {
        if self.0.needs_writer() {
            let queue = Arc::clone(&self.0);
            let thread = thread::Builder::new().name("events".to_owned());
            if let Err(error) = thread.spawn(move || writer::run(&queue)) {
                error!("there is no event log: the system has no thread for it: {error}");
                self.0.writer_ended();
            }
        }
    }

    /// Writes what there is, and ends; waits for the disk no longer than a second.
    pub fn end(&self) {
        self.0.end(PATIENCE);
    }

    /// How many there were.
    pub fn counts(&self) -> &Counts {
        self.0.counts()
    }
}
