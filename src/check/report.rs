//! What a check has found: one [`Note`] for each step, and the verdict over all of them. How a note
//! is shown is left to `print`, what is tried to the other modules.

use super::print::Printer;
use serde::Serialize;
use std::future::Future;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// How a step went, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// Not tried, or nothing to try.
    Skip,
    /// As it should be.
    Ok,
    /// Worth knowing; the relay itself does its work.
    Warn,
    /// Clients are kept from their work.
    Fail,
}

impl Status {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }

    /// The exit status of a check whose worst step this is.
    pub(super) fn exit(self) -> u8 {
        match self {
            Self::Skip | Self::Ok => 0,
            Self::Warn => 1,
            Self::Fail => 2,
        }
    }
}

/// What one step has found.
#[derive(Debug, Serialize)]
pub(super) struct Note {
    pub(super) status: Status,
    /// What was seen.
    pub(super) detail: String,
    /// What that usually means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) means: Option<String>,
    /// The command or the change to try next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
}

impl Note {
    fn new(status: Status, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            means: None,
            next: None,
        }
    }

    pub(super) fn skip(detail: impl Into<String>) -> Self {
        Self::new(Status::Skip, detail)
    }

    pub(super) fn ok(detail: impl Into<String>) -> Self {
        Self::new(Status::Ok, detail)
    }

    pub(super) fn warn(detail: impl Into<String>) -> Self {
        Self::new(Status::Warn, detail)
    }

    pub(super) fn fail(detail: impl Into<String>) -> Self {
        Self::new(Status::Fail, detail)
    }

    pub(super) fn means(mut self, means: impl Into<String>) -> Self {
        self.means = Some(means.into());
        self
    }

    pub(super) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}

/// How a step ends: with a note, and with what the following steps need, if they can be tried.
pub(super) type Outcome<T> = Result<(T, Note), Note>;

/// A step, as the table names it.
pub(super) struct Step {
    pub(super) name: &'static str,
    /// What it usually means when it does not end in time.
    pub(super) hangs: &'static str,
}

/// A step's name and its note.
#[derive(Serialize)]
pub(super) struct Finding {
    pub(super) step: &'static str,
    #[serde(flatten)]
    pub(super) note: Note,
    /// How long it took.
    pub(super) milliseconds: u128,
}

/// All findings so far, each shown as soon as it is there.
pub(super) struct Report {
    target: String,
    /// What to look at next where a note has nothing better.
    look: &'static str,
    findings: Vec<Finding>,
    printer: Printer,
}

#[derive(Serialize)]
struct Summary<'a> {
    version: &'static str,
    target: &'a str,
    status: Status,
    steps: &'a [Finding],
}

impl Report {
    pub(super) fn new(target: String, look: &'static str, printer: Printer) -> Self {
        printer.title(&target);
        Self {
            target,
            look,
            findings: Vec::new(),
            printer,
        }
    }

    /// Notes a finding that took no time.
    pub(super) fn add(&mut self, step: &'static str, note: Note) {
        self.push(step, note, Duration::ZERO);
    }

    /// Does a step, for as long as `limit`. `None` where what builds on it cannot be tried.
    pub(super) async fn step<T>(
        &mut self,
        step: &Step,
        limit: Duration,
        work: impl Future<Output = Outcome<T>>,
    ) -> Option<T> {
        let began = Instant::now();
        let outcome = timeout(limit, work).await.unwrap_or_else(|_| {
            let detail = format!("nothing came of it in {} s", limit.as_secs_f32());
            Err(Note::fail(detail).means(step.hangs))
        });
        let (value, note) = match outcome {
            Ok((value, note)) => (Some(value), note),
            Err(note) => (None, note),
        };
        self.push(step.name, note, began.elapsed());
        value
    }

    /// Says of those of `steps` that were never reached that they were not tried.
    pub(super) fn skip_rest(&mut self, steps: &[&Step]) {
        for step in steps {
            if self.findings.iter().all(|done| done.step != step.name) {
                self.add(step.name, Note::skip("not tried, after what stands above"));
            }
        }
    }

    fn push(&mut self, step: &'static str, mut note: Note, took: Duration) {
        if note.next.is_none() && note.status > Status::Ok {
            note.next = Some(self.look.to_owned());
        }
        let milliseconds = took.as_millis();
        let finding = Finding {
            step,
            note,
            milliseconds,
        };
        self.printer.finding(&finding);
        self.findings.push(finding);
    }

    /// Whether a step is as it should be.
    pub(super) fn is_ok(&self, step: &Step) -> bool {
        let mut findings = self.findings.iter();
        findings.any(|done| done.step == step.name && done.note.status == Status::Ok)
    }

    /// Ends the report. Returns the worst of its findings.
    pub(super) fn finish(self) -> Status {
        let count = |status| {
            let found = self.findings.iter().filter(|it| it.note.status == status);
            found.count()
        };
        let (failures, warnings) = (count(Status::Fail), count(Status::Warn));
        let status = match (failures, warnings) {
            (0, 0) => Status::Ok,
            (0, _) => Status::Warn,
            _ => Status::Fail,
        };
        self.printer.end(failures, warnings, || Summary {
            version: env!("CARGO_PKG_VERSION"),
            target: &self.target,
            status,
            steps: &self.findings,
        });
        status
    }
}
