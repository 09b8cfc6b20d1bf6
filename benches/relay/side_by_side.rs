//! Two relays side by side: what does a setting cost, or a change of the code, or to be watched?
//!
//! Both run at the same time, and the load is put on one and then on the other, in turns that are short
//! beside those in which a machine's pace drifts. What counts is how the CPU time of two turns that follow
//! each other compares, over many of these pairs. With the same relay on both sides the answer has to be 1:
//! such a run shows how far the figures can be trusted.

use std::{fmt::Write, path::Path};

use relay_testing::{process, program::Program};
use tempfile::TempDir;

use crate::{
    failure::Result,
    figures::{figure, median, section},
    machine,
    options::{Difference, Options},
    peers,
    rows::{CASES, Case},
    server::{ACCESS_KEYS, Server},
    watcher::{SOCKET, Watcher},
};

/// How certain it is that the true median lies between two of the ratios, in deviations of the normal
/// distribution: 95 %.
const DEVIATIONS: f64 = 1.96;

/// Measures the rows that are asked for, as far as they are of CPU time, and says how the two compare.
pub(crate) fn measure(difference: &Difference, options: &Options) -> Result<String> {
    let mut rows = String::new();
    let cases = CASES.iter().filter(|case| options.wants_row(case.name));
    for case in cases.filter(|case| case.rows[0].unit.starts_with("CPU")) {
        let row = Line::of(&turns(case, difference, options)?);
        eprintln!("{}: {}", case.name, row.ratio);
        let Line {
            figures: [first, second],
            ratio,
            interval,
        } = row;
        let (title, unit) = (case.rows[0].title, case.rows[0].unit);
        _ = writeln!(
            rows,
            "| {title} | {unit} | {first} | {second} | {ratio} | {interval} |"
        );
    }
    let head = "| | unit | first | second | second takes | with 95 % confidence |";
    let table = format!("{head}\n|---|---|--:|--:|--:|--:|\n{rows}");
    Ok(section(
        "Side by side",
        &difference.explained(options),
        &table,
    ))
}

/// The figures of both, turn by turn.
fn turns(case: &Case, difference: &Difference, options: &Options) -> Result<Vec<[f64; 2]>> {
    let this = process::program();
    let other = difference.beside.as_ref().unwrap_or(&this);
    let folder = TempDir::new()?;
    let first = Server::of_relay(|ports| peers::relay(other, ports.listen, options.workers))?;
    let second = Server::of_relay(|ports| {
        let relay = peers::relay(&this, ports.listen, options.workers);
        let relay = match difference.everything {
            true => with_everything(relay, folder.path()),
            false => relay,
        };
        let settings = difference.with.iter();
        settings.fold(relay, |relay, (name, value)| relay.env(name, value))
    })?;
    let socket = difference.everything.then(|| folder.path().join(SOCKET));
    let watcher = difference
        .watched
        .then(|| Watcher::of(second.address, socket));
    let servers = [&first, &second];
    let mut pairs = Vec::new();
    for round in 0..options.rounds {
        let mut figures = [0.0; 2];
        // Neither is always the one that goes first.
        for side in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
            figures[side] = (case.run)(servers[side], options)?[0];
        }
        pairs.push(figures);
    }
    // Else the second relay would have looked cheaper than it is.
    watcher.map_or(Ok(()), Watcher::finish)?;
    Ok(pairs)
}

/// A relay with all that it has for its operator, in this folder.
fn with_everything(relay: Program, folder: &Path) -> Program {
    relay
        .env("RELAY_ACCESS_KEYS", ACCESS_KEYS)
        .env("RELAY_LOG_DIR", folder.display())
        .env("RELAY_STATE_DIR", folder.display())
        .env("RELAY_ADMIN_SOCKET", folder.join(SOCKET).display())
}

/// A row of the table, as it is shown.
pub(crate) struct Line {
    pub(crate) figures: [String; 2],
    pub(crate) ratio: String,
    pub(crate) interval: String,
}

impl Line {
    pub(crate) fn of(pairs: &[[f64; 2]]) -> Self {
        let side = |side: usize| pairs.iter().map(|pair| pair[side]).collect::<Vec<_>>();
        let mut ratios: Vec<_> = pairs.iter().map(|[first, second]| second / first).collect();
        ratios.sort_by(f64::total_cmp);
        let [least, most] = around_median(ratios.len()).map(|at| more(ratios[at]));
        Self {
            figures: [0, 1].map(|it| figure(median(&side(it)))),
            ratio: more(median(&ratios)),
            interval: format!("{least} to {most}"),
        }
    }
}

/// Which two of so many sorted figures have the true median between them: as many lie below it as heads
/// fall when as many coins are tossed.
fn around_median(count: usize) -> [usize; 2] {
    let count = count as f64;
    let below = ((count - DEVIATIONS * count.sqrt()) / 2.0).floor().max(0.0);
    [below as usize, (count - 1.0 - below) as usize]
}

/// A ratio, as so much more or less.
fn more(ratio: f64) -> String {
    format!("{:+.1} %", (ratio - 1.0) * 100.0)
}

impl Difference {
    /// What is compared, and how.
    fn explained(&self, options: &Options) -> String {
        let first = match &self.beside {
            Some(program) => format!("`{}`", program.display()),
            None => "this relay as it comes".to_owned(),
        };
        let mut second = vec!["this relay".to_owned()];
        let settings = self
            .with
            .iter()
            .map(|(name, value)| format!("`{name}={value}`"));
        second.extend(settings);
        if self.everything {
            second.push("access keys, event log, operator's socket asked every second".to_owned());
        }
        if self.watched {
            second.push("its pages asked for every second".to_owned());
        }
        format!(
            "The server's own CPU time. First: {first}. Second: {}. {} worker threads each; {} pairs of turns of {} s each. {}. {}.",
            second.join(", "),
            options.workers,
            options.rounds,
            options.time.as_secs_f64(),
            machine::describe(),
            machine::today(),
        )
    }
}
