//! How findings look: a table that grows line by line, or one JSON object or a page of metrics at the end. What they say
//! is left to those who found it, but as they quote strangers they are escaped here, all of them.

use std::{
    env,
    io::{self, IsTerminal, Write},
};

use relay_wire::text::{escaped, escaped_json};
use serde::Serialize;

use super::note::{Finding, Status};

/// Where the second column begins, and where what belongs to a finding is indented to.
const INDENT: usize = 8;

/// The form of the output.
#[derive(Clone, Copy)]
pub(super) enum Printer {
    Table { colour: bool },
    Json,
    Metrics,
}

impl Printer {
    /// A table on stdout, in colour where it is a terminal and nobody minds (<https://no-color.org>).
    pub(super) fn table() -> Self {
        let minded = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_none_or(|terminal| terminal == "dumb");
        Self::Table {
            colour: io::stdout().is_terminal() && !minded && !dumb,
        }
    }

    /// # Errors
    ///
    /// Here and below, where the system does not take it all.
    pub(super) fn title(self, target: &str) -> io::Result<()> {
        match self {
            Self::Table { .. } => write(&format!("Checking {}\n", escaped(target))),
            Self::Json | Self::Metrics => Ok(()),
        }
    }

    pub(super) fn finding(self, finding: &Finding) -> io::Result<()> {
        match self {
            Self::Table { colour } => write(&lines(finding, colour)),
            Self::Json | Self::Metrics => Ok(()),
        }
    }

    /// The last words, or all of them.
    pub(super) fn end<T: Serialize>(
        self,
        failures: usize,
        warnings: usize,
        summary: impl FnOnce() -> T,
        metrics: impl FnOnce() -> String,
    ) -> io::Result<()> {
        let text = match self {
            Self::Table { .. } if failures + warnings == 0 => "All is well.\n".to_owned(),
            Self::Table { .. } => format!(
                "{}, {}.\n",
                plural(failures, "failure"),
                plural(warnings, "warning")
            ),
            Self::Json => {
                // Strings and numbers alone: nothing in it could fail to serialise.
                let json = serde_json::to_string(&summary()).unwrap_or_default();
                escaped_json(&json) + "\n"
            }
            Self::Metrics => metrics(),
        };
        write(&text)
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// A finding as the lines of a table.
fn lines(finding: &Finding, colour: bool) -> String {
    let note = &finding.note;
    let (on, off) = match note.status {
        _ if !colour => ("", ""),
        Status::Skip => ("\x1b[2m", "\x1b[0m"),
        Status::Ok => ("\x1b[32m", "\x1b[0m"),
        Status::Warn => ("\x1b[33m", "\x1b[0m"),
        Status::Fail => ("\x1b[31m", "\x1b[0m"),
    };
    let (status, step) = (note.status.name(), finding.step);
    let mut lines = format!(
        "  {on}{status:4}{off}  {step:10}  {}\n",
        escaped(&note.detail)
    );
    for (label, text) in [("means:", &note.means), ("next:", &note.next)] {
        if let Some(text) = text {
            lines += &format!("{:INDENT$}{label:6} {}\n", "", escaped(text));
        }
    }
    lines
}

fn plural(count: usize, thing: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{ending}")
}
