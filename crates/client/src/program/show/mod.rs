//! What is shown while something is shared or received: to a person at a terminal, in plain lines, or to a
//! program in JSON.
//!
//! A thread of its own shows it, so that a terminal that stands still stops no transfer. The engine and the
//! subcommands wake it by a [`News`]. It has room for [`WAITING`] of them, one of which at most is of progress; what
//! the engine tells when that is full is not shown.

mod json;
mod meter;
mod person;
mod shown;
mod words;

use std::{
    io,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use clap::ArgMatches;

use self::{
    json::Json,
    person::Person,
    shown::{Shown, put},
};
use super::{
    failure::Failure,
    news::{News, Role},
};
use crate::engine::event::{Event, Tell};

/// How many news may wait to be shown.
const WAITING: usize = 1024;

/// The thread that shows, and the way to it.
pub(super) struct Show {
    news: Way,
    thread: Option<JoinHandle<()>>,
    is_for_a_person: bool,
}

impl Show {
    /// Begins to show, as the command line wants it.
    pub(super) fn new(flags: &ArgMatches, role: Role) -> Self {
        let (json, quiet) = (flags.get_flag("json"), flags.get_flag("quiet"));
        let (news, come) = way();
        let thread = thread::Builder::new().name("show".to_owned());
        let thread = thread.spawn(move || match json {
            true => show(come, Json::new(role)),
            false => show(come, Person::new(role, quiet)),
        });
        Self {
            news,
            // Without a thread nothing is shown; the transfer is the same.
            thread: thread.ok(),
            is_for_a_person: !json && !quiet && console::user_attended_stderr(),
        }
    }

    /// Whether somebody sits there who can be asked.
    pub(super) fn is_for_a_person(&self) -> bool {
        self.is_for_a_person
    }

    /// How the engine says what happens.
    pub(super) fn tell(&self) -> Tell {
        let news = self.news.clone();
        Arc::new(move |event| news.tell(event))
    }

    /// Shows it, once what was said before is shown.
    pub(super) fn say(&self, news: News) {
        // The thread is there as long as this is.
        let _ = self.news.queue.send(news);
    }

    /// Waits until all is shown that was said.
    pub(super) fn settle(&self) {
        let (shown, wait) = sync_channel(0);
        self.say(News::Settle(shown));
        // An error where nothing is shown at all.
        let _ = wait.recv();
    }

    /// Shows what it has come to, and returns the status to end with.
    pub(super) fn end(mut self, done: Result<(), Failure>) -> ExitCode {
        let status = done.as_ref().map_or_else(Failure::exit_status, |()| 0);
        if let Err(failure) = done {
            self.say(News::Failed(failure));
        }
        self.settle();
        // The engine may have left a thread behind that still holds the way to it: it is not waited for.
        drop(self.thread.take());
        ExitCode::from(status)
    }
}

/// The way to the thread.
#[derive(Clone)]
struct Way {
    queue: SyncSender<News>,
    /// Whether there is progress in the queue: more would only take the place of what is told once.
    has_progress: Arc<AtomicBool>,
}

/// The thread's end of the way.
struct Come {
    queue: Receiver<News>,
    has_progress: Arc<AtomicBool>,
}

fn way() -> (Way, Come) {
    let (queue, come) = sync_channel(WAITING);
    let has_progress = Arc::default();
    let way = Way {
        queue,
        has_progress: Arc::clone(&has_progress),
    };
    let come = Come {
        queue: come,
        has_progress,
    };
    (way, come)
}

impl Way {
    /// What the engine tells, which waits for nobody.
    fn tell(&self, event: Event) {
        let is_progress = matches!(event, Event::Progress { .. });
        if is_progress && self.has_progress.swap(true, Relaxed) {
            return;
        }
        if self.queue.try_send(News::Event(event)).is_err() && is_progress {
            self.has_progress.store(false, Relaxed);
        }
    }
}

impl Iterator for Come {
    type Item = News;

    fn next(&mut self) -> Option<News> {
        let news = self.queue.recv().ok()?;
        if let News::Event(Event::Progress { .. }) = news {
            self.has_progress.store(false, Relaxed);
        }
        Some(news)
    }
}

fn show(come: Come, mut to: impl Shown) {
    for news in come {
        match news {
            News::Settle(shown) => drop(shown.send(())),
            news => to.hear(news),
        }
    }
}

/// Says why nothing could even begin.
pub(super) fn end_without(failure: &Failure) -> ExitCode {
    put(&mut io::stderr(), &words::failure(Role::Sender, failure));
    ExitCode::from(failure.exit_status())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::event::Slow;

    const PROGRESS: Event = Event::Progress {
        confirmed: 1,
        total: None,
        slow: Slow::Line,
    };

    #[test]
    fn progress_that_nobody_reads_takes_no_place_from_what_is_told_once() {
        let (way, mut come) = way();
        for _ in 0..2 * WAITING {
            way.tell(PROGRESS);
        }
        way.tell(Event::Joined);
        assert!(matches!(
            come.next(),
            Some(News::Event(Event::Progress { .. }))
        ));
        way.tell(PROGRESS);
        assert!(matches!(come.next(), Some(News::Event(Event::Joined))));
        assert!(matches!(
            come.next(),
            Some(News::Event(Event::Progress { .. }))
        ));
    }

    #[test]
    fn so_many_news_wait_and_no_more() {
        let (way, mut come) = way();
        for _ in 0..2 * WAITING {
            way.tell(Event::Joined);
        }
        way.tell(PROGRESS);
        assert_eq!(come.by_ref().take(WAITING).count(), WAITING);
        // That there was no place for progress is not the end of it.
        way.tell(PROGRESS);
        drop(way);
        assert_eq!(come.count(), 1);
    }
}
