//! What is shown while something is shared or received: to a person at a terminal, in plain lines, or to a
//! program in JSON.
//!
//! A thread of its own shows it, so that a terminal that stands still stops no transfer. The engine and the
//! subcommands wake it by a [`News`]. It has room for [`WAITING`] of them; what comes to it when that
//! is full is not shown.

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
use crate::engine::event::Tell;

/// How many news may wait to be shown.
const WAITING: usize = 256;

/// The thread that shows, and the way to it.
pub(super) struct Show {
    news: SyncSender<News>,
    thread: Option<JoinHandle<()>>,
    is_for_a_person: bool,
}

impl Show {
    /// Begins to show, as the command line wants it.
    pub(super) fn new(flags: &ArgMatches, role: Role) -> Self {
        let (json, quiet) = (flags.get_flag("json"), flags.get_flag("quiet"));
        let (news, come) = sync_channel(WAITING);
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
        Arc::new(move |event| drop(news.try_send(News::Event(event))))
    }

    /// Shows it, once what was said before is shown.
    pub(super) fn say(&self, news: News) {
        // The thread is there as long as this is.
        let _ = self.news.send(news);
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

fn show(come: Receiver<News>, mut to: impl Shown) {
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
