//! All that a check has found: one [`Note`] for each step, and the verdict over all of them. What
//! is tried is left to the other modules.

use std::{
    io, mem,
    time::{Duration, Instant, SystemTime},
};

use serde::Serialize;
use tokio::time::timeout;

use super::{
    exposition,
    note::{Finding, Note, Outcome, Status},
    print::Printer,
};
use crate::{observe::logging, version};

/// A step, as the table names it.
pub(super) struct Step {
    pub(super) name: &'static str,
    /// What it usually means when it does not end in time.
    pub(super) hangs: &'static str,
}

/// All findings so far, each shown as soon as it is there.
pub(super) struct Report {
    target: String,
    /// What to look at next where a note has nothing better.
    look: &'static str,
    findings: Vec<Finding>,
    printer: Printer,
    /// When no further step may take any time, if that is bounded.
    deadline: Option<Instant>,
    /// Whether all of it could be shown so far.
    shown: io::Result<()>,
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
        Self {
            shown: printer.title(&target),
            target,
            look,
            findings: Vec::new(),
            printer,
            deadline: None,
        }
    }

    /// Notes a finding that took no time.
    pub(super) fn add(&mut self, step: &'static str, note: Note) {
        self.push(step, note, Duration::ZERO);
    }

    /// Bounds the time of the steps from here on, all of them together.
    pub(super) fn allow(&mut self, time: Duration) {
        self.deadline = Some(Instant::now() + time);
    }

    /// Does a step, for as long as `limit` and what is left for all of them. `None` where what builds on it cannot be tried.
    pub(super) async fn step<T>(
        &mut self,
        step: &Step,
        limit: Duration,
        work: impl Future<Output = Outcome<T>>,
    ) -> Option<T> {
        let began = Instant::now();
        let left = self.deadline.map(|it| it.saturating_duration_since(began));
        let time = left.map_or(limit, |left| left.min(limit));
        let outcome = timeout(time, work).await.unwrap_or_else(|_| {
            let detail = format!("nothing came of it in {:.1} s", time.as_secs_f32());
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
        let shown = self.printer.finding(&finding);
        self.shown = mem::replace(&mut self.shown, Ok(())).and(shown);
        self.findings.push(finding);
    }

    /// Whether a step is as it should be.
    pub(super) fn is_ok(&self, step: &Step) -> bool {
        let mut findings = self.findings.iter();
        findings.any(|done| done.step == step.name && done.note.status == Status::Ok)
    }

    /// Ends the report. Returns the worst of its findings. What could not be shown to whoever asked is
    /// a failure, too: they would take silence for health.
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
        let summary = || Summary {
            version: version::SHOWN,
            target: &self.target,
            status,
            steps: &self.findings,
        };
        let metrics = || exposition::page(status, &self.findings, SystemTime::now());
        let ended = self.printer.end(failures, warnings, summary, metrics);
        match self.shown.and(ended) {
            Ok(()) => status,
            Err(error) => {
                logging::print_error(&format_args!("the report cannot be printed: {error}"));
                Status::Fail
            }
        }
    }
}
