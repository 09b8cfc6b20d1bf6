//! News for a person: at a terminal with a bar that is drawn again and again, elsewhere in lines that a log
//! can take.

use std::{
    env,
    io::{self, Write},
    time::{Duration, Instant},
};

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    super::{
        invitation::Invitation,
        news::{News, Role},
    },
    meter::Meter,
    shown::{Shown, put},
    words::{self, Said, percent},
};
use crate::engine::{
    event::{Event, Slow},
    sessions::Session,
};

/// Columns of a terminal that does not say how many it has.
const COLUMNS: usize = 80;
/// Columns from which on there is a bar beside the words, and from which on a long one.
const MIDDLING: usize = 60;
const WIDE: usize = 100;
/// What is so, where no part of it can be told.
const STATE: &str = "{spinner} {wide_msg}";
/// A state is drawn so often, to show that it lives.
const TICK: Duration = Duration::from_millis(120);
/// Between two lines of progress lies this time,
const APART: Duration = Duration::from_secs(10);
/// and a part of a hundred as large as this, or else that time.
const STEP: u64 = 10;
const LONG: Duration = Duration::from_secs(60);

/// A person who reads.
pub(super) struct Person {
    role: Role,
    look: Look,
    meter: Meter,
    invitation: Option<Box<Invitation>>,
    /// When the last line of progress was, and how far it was then.
    last: Option<(Instant, u64)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Look {
    Terminal,
    Lines,
    /// Nothing but what the other side needs, and what went wrong.
    Quiet,
}

impl Person {
    pub(super) fn new(role: Role, quiet: bool) -> Self {
        // A terminal that cannot move its cursor is one for lines.
        let draws =
            console::user_attended_stderr() && env::var_os("TERM").is_some_and(|it| it != "dumb");
        let (look, meter) = match (quiet, draws) {
            (true, _) => (Look::Quiet, Meter::hidden()),
            (false, false) => (Look::Lines, Meter::hidden()),
            (false, true) => {
                let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
                bar.set_style(style(STATE));
                // Nothing is drawn before there is something to say: a question may come first.
                bar.finish_and_clear();
                (Look::Terminal, Meter::of(bar))
            }
        };
        Self {
            role,
            look,
            meter,
            invitation: None,
            last: None,
        }
    }

    fn bar(&self) -> &ProgressBar {
        self.meter.bar()
    }

    /// Puts a line above the bar, if there is one.
    fn put(&self, line: &str) {
        self.bar().suspend(|| put(&mut io::stderr(), line));
    }

    /// Shows what is so at the moment, on a terminal. It is drawn again and again until the bar is finished.
    fn state(&self, text: String) {
        if self.look == Look::Terminal {
            if self.bar().is_finished() {
                self.bar().set_style(style(STATE));
                self.bar().reset();
                self.bar().enable_steady_tick(TICK);
            }
            self.bar().set_message(text);
        }
    }

    fn say(&self, said: Said) {
        match (said, self.look) {
            (Said::Nothing, _) | (_, Look::Quiet) | (Said::Fleeting(_), Look::Lines) => {}
            (Said::Lasting(line), _) | (Said::Passing(line), Look::Lines) => self.put(&line),
            (Said::Passing(text) | Said::Fleeting(text), Look::Terminal) => self.state(text),
        }
    }

    /// Says, once, what the other side has to be told.
    fn invite(&mut self, code: &str, expires_in: Duration, taken_up: bool) -> bool {
        let Some(invitation) = self.invitation.take() else {
            return false;
        };
        let mut text = invitation.text(code, expires_in, taken_up);
        if self.look == Look::Terminal {
            let colours = console::colors_enabled_stderr();
            let picture = invitation.picture(code, columns(), colours);
            text += &picture.map_or_else(String::new, |it| format!("\n{it}"));
        }
        self.put(&text);
        self.state("Waiting for somebody to receive it.".to_owned());
        true
    }

    fn begin(&mut self, size: Option<u64>, from: u64) {
        self.meter.begin(size, from);
        self.last = None;
        self.bar().set_style(style(match (size, columns()) {
            (Some(_), WIDE..) => "{bar:24.green} {wide_msg}",
            (Some(_), MIDDLING..) => "{bar:8.green} {wide_msg}",
            (Some(_), _) => "{wide_msg}",
            (None, _) => STATE,
        }));
    }

    fn progress(&mut self, confirmed: u64, total: Option<u64>, slow: Slow) {
        let pace = self.meter.at(confirmed);
        let text = words::progress(confirmed, total, pace, slow, self.role);
        match self.look {
            Look::Terminal => self.state(text),
            Look::Lines => {
                let (now, part) = (
                    Instant::now(),
                    total.map_or(0, |total| percent(confirmed, total)),
                );
                // The first is when it began.
                let last = *self.last.get_or_insert((now, part));
                if is_due(last, now, part) {
                    self.last = Some((now, part));
                    self.put(&text);
                }
            }
            Look::Quiet => {}
        }
    }

    fn list(&self, list: &[Session], to_pick: bool) {
        self.bar().finish_and_clear();
        match to_pick {
            true => self.put(words::to_pick(list, columns()).trim_end_matches('\n')),
            // Where nobody reads it any more, nothing is lost.
            false => drop(io::stdout().write_all(words::listed(list).as_bytes())),
        }
    }
}

impl Shown for Person {
    fn hear(&mut self, news: News) {
        match &news {
            News::Invitation(_) => {}
            News::Sessions { list, to_pick } => self.list(list, *to_pick),
            News::Received(_) | News::Event(Event::Delivered { .. }) => {
                self.bar().finish_and_clear()
            }
            News::Event(Event::Opened {
                code, expires_in, ..
            }) => {
                self.invite(code, *expires_in, false);
            }
            News::Event(Event::Resumed { code, expires_in })
                if self.invite(code, *expires_in, true) =>
            {
                return;
            }
            News::Event(Event::Begun { size, from, .. }) => self.begin(*size, *from),
            News::Event(Event::Progress {
                confirmed,
                total,
                slow,
            }) => {
                self.progress(*confirmed, *total, *slow);
            }
            News::Failed(failure) => {
                self.bar().finish_and_clear();
                return self.put(&words::failure(self.role, failure));
            }
            News::Event(_) | News::Warning(_) | News::Settle(_) => {}
        }
        match news {
            News::Invitation(invitation) => self.invitation = Some(invitation),
            news => self.say(words::of(&news, self.role)),
        }
    }
}

/// How the bar looks, by one of the templates here.
fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    // Ours can all be read.
    let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
    style.progress_chars("█▉▊▋▌▍▎▏ ")
}

/// Whether a line of progress is due, with so much of a hundred there, after the last one.
fn is_due((when, part): (Instant, u64), now: Instant, there: u64) -> bool {
    let passed = now.duration_since(when);
    passed >= APART && (there >= part + STEP || passed >= LONG)
}

/// The width of the terminal.
fn columns() -> usize {
    Term::stderr()
        .size_checked()
        .map_or(COLUMNS, |(_, columns)| columns.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_progress_are_few() {
        let start = Instant::now();
        let due = |seconds, there| is_due((start, 20), start + Duration::from_secs(seconds), there);
        assert!(!due(9, 90), "too soon");
        assert!(!due(10, 29), "too little");
        assert!(due(10, 30) && due(60, 20));
    }
}
