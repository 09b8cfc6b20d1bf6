//! The figures of a run, and how they are written down.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::{
    figures::{figure, median, ratio, section},
    growth::Growth,
    machine,
    peers::Peer,
    rows::{CASES, Case, Goal, Kind, Row},
};

/// Everything that was measured.
pub(crate) struct Report {
    pub(crate) subjects: Vec<Subject>,
    pub(crate) lines: Vec<Line>,
    pub(crate) growth: Growth,
    date: String,
    machine: String,
}

/// A peer, as the results name it.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    version: String,
}

/// A row with the figures of every round, by peer.
pub(crate) struct Line {
    pub(crate) row: &'static Row,
    case: &'static str,
    figures: Vec<(&'static str, Vec<f64>)>,
}

impl Report {
    pub(crate) fn new(peers: &[Peer]) -> Self {
        let lines = CASES.iter().flat_map(|case| {
            case.rows.iter().map(|row| Line {
                row,
                case: case.name,
                figures: Vec::new(),
            })
        });
        let subjects = peers.iter().map(|peer| Subject {
            name: peer.name,
            title: peer.title,
            version: peer.version.clone().unwrap_or_default(),
        });
        Self {
            subjects: subjects.collect(),
            lines: lines.collect(),
            growth: Growth::default(),
            date: machine::today(),
            machine: machine::describe(),
        }
    }

    /// Adds a round's figures, one for each row of the case.
    pub(crate) fn add(&mut self, case: &Case, peer: &Peer, figures: &[f64]) {
        let lines = self.lines.iter_mut().filter(|line| line.case == case.name);
        for (line, &figure) in lines.zip(figures) {
            match line.figures.iter_mut().find(|(name, _)| *name == peer.name) {
                Some((_, rounds)) => rounds.push(figure),
                None => line.figures.push((peer.name, vec![figure])),
            }
        }
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("# Results\n\n{}. {}.\n\n", self.date, self.machine);
        let mut versions: Vec<_> = self.subjects.iter().map(|s| s.version.as_str()).collect();
        versions.dedup();
        _ = writeln!(text, "{}.\n", versions.join("; "));
        text += &self.costs();
        text += &self.goals();
        text += &self.speeds();
        text += &self.growth.markdown();
        text.truncate(text.trim_end().len());
        text + "\n"
    }

    fn costs(&self) -> String {
        let table = self.table(
            |kind| matches!(kind, Kind::Cost(_)),
            |line, peer| {
                let figure = figure(line.median(peer)?);
                let share = line.share_of(peer).filter(|_| peer != "relay");
                Some(share.map_or(figure.clone(), |share| {
                    format!("{figure} ({})", ratio(share))
                }))
            },
        );
        section(
            "What it costs",
            "The server's own CPU time and memory, and delays; less is better. In brackets: this \
             relay's figure as a share of that one.",
            &table,
        )
    }

    fn goals(&self) -> String {
        let mut rows = String::new();
        for line in self.measured() {
            for (goal, is) in line.goals() {
                let title = self.title(goal.peer);
                let verdict = if is <= goal.at_most {
                    "met"
                } else {
                    "**missed**"
                };
                _ = writeln!(
                    rows,
                    "| {} | {} | {title} | {} | {} | {verdict} |",
                    line.row.title,
                    line.row.unit,
                    goal.at_most,
                    format_args!("{is:.3}"),
                );
            }
        }
        if !rows.is_empty() {
            rows.insert_str(
                0,
                "| | unit | other | at most | is | |\n|---|---|---|--:|--:|---|\n",
            );
        }
        section(
            "The goals",
            "This relay is to take at most this much of what the other takes.",
            &rows,
        )
    }

    fn speeds(&self) -> String {
        let table = self.table(
            |kind| matches!(kind, Kind::Speed),
            |line, peer| Some(figure(line.median(peer)?)),
        );
        section(
            "What came through",
            "For scale only: the load shares the machine with the server and is the limit of the \
             faster ones. More is better.",
            &table,
        )
    }

    /// A row for each line of that kind, a column for each peer.
    fn table(
        &self,
        kind: impl Fn(&Kind) -> bool,
        cell: impl Fn(&Line, &str) -> Option<String>,
    ) -> String {
        let mut text = String::new();
        for line in self.measured().filter(|line| kind(&line.row.kind)) {
            if text.is_empty() {
                let titles: Vec<_> = self.subjects.iter().map(|subject| subject.title).collect();
                let rules = "--:|".repeat(titles.len());
                _ = writeln!(
                    text,
                    "| | unit | {} |\n|---|---|{rules}",
                    titles.join(" | ")
                );
            }
            _ = write!(text, "| {} | {} |", line.row.title, line.row.unit);
            for subject in &self.subjects {
                let cell = cell(line, subject.name).unwrap_or("–".into());
                _ = write!(text, " {cell} |");
            }
            text.push('\n');
        }
        text
    }

    pub(crate) fn json(&self) -> String {
        let rows: Vec<Value> = self
            .measured()
            .map(|line| {
                let figures = line.figures.iter().map(|(peer, rounds)| {
                    let value = json!({ "median": median(rounds), "rounds": rounds });
                    ((*peer).to_owned(), value)
                });
                let goals = line.goals().map(
                    |(goal, is)| json!({ "peer": goal.peer, "at_most": goal.at_most, "is": is }),
                );
                json!({
                    "case": line.case,
                    "title": line.row.title,
                    "unit": line.row.unit,
                    "figures": figures.collect::<serde_json::Map<_, _>>(),
                    "goals": goals.collect::<Vec<_>>(),
                })
            })
            .collect();
        let versions = self
            .subjects
            .iter()
            .map(|s| (s.name.to_owned(), json!(s.version)));
        let results = json!({
            "date": self.date,
            "machine": self.machine,
            "versions": versions.collect::<serde_json::Map<_, _>>(),
            "rows": rows,
            "growth": self.growth.json(),
        });
        format!("{results:#}\n")
    }

    /// One line of small print for under a plot.
    pub(crate) fn small_print(&self) -> String {
        format!("{}. {}.", self.machine, self.date)
    }

    fn measured(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| !line.figures.is_empty())
    }

    fn title(&self, peer: &str) -> &'static str {
        self.subjects
            .iter()
            .find(|subject| subject.name == peer)
            .map_or("", |s| s.title)
    }
}

impl Line {
    pub(crate) fn median(&self, peer: &str) -> Option<f64> {
        let (_, rounds) = self.figures.iter().find(|(name, _)| *name == peer)?;
        Some(median(rounds))
    }

    /// The relay's figure as a share of a peer's.
    pub(crate) fn share_of(&self, peer: &str) -> Option<f64> {
        Some(self.median("relay")? / self.median(peer)?)
    }

    /// The goals, with what this relay's share is.
    fn goals(&self) -> impl Iterator<Item = (&Goal, f64)> {
        let goals = match self.row.kind {
            Kind::Cost(goals) => goals,
            Kind::Speed => &[],
        };
        goals
            .iter()
            .filter_map(|goal| Some((goal, self.share_of(goal.peer)?)))
    }
}
