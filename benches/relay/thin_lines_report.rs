//! The figures of shares over thin lines, written down.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::{
    figures::{figure, section},
    machine,
    peers::Peer,
    rows::Goal,
    thin_lines::{Arrival, Cost, Fate, PEERS, ThinLines},
};

/// The line at which the goals are to be met, in Mbit/s.
const GOALS_AT: f64 = 20.0;

/// A figure of a [`Cost`], and how little of Python's it is to be.
struct Column {
    title: &'static str,
    of: fn(&Cost) -> f64,
    goal: Goal,
}

const COLUMNS: [Column; 3] = [
    column("seconds", |cost| cost.seconds, 0.50),
    column("MB on the wire, both hops", |cost| cost.wire, 1.0),
    column("the relay's CPU s", |cost| cost.cpu, 0.10),
];

const fn column(title: &'static str, of: fn(&Cost) -> f64, at_most: f64) -> Column {
    let goal = Goal {
        peer: "python",
        at_most,
    };
    Column { title, of, goal }
}

impl ThinLines {
    /// What it took at this line over this relay.
    pub(crate) fn cost(&self, peer: &str, mbit: f64) -> Option<&Cost> {
        let mut costs = self.costs.iter();
        costs.find(|cost| cost.peer == peer && cost.mbit == mbit)
    }

    /// What became of such a share over this relay.
    pub(crate) fn arrival(
        &self,
        peer: &str,
        size: f64,
        receiver: f64,
        sender: f64,
    ) -> Option<&Arrival> {
        let like = (peer, size, receiver, sender);
        let mut all = self.arrivals.iter();
        all.find(|it| (it.peer, it.size, it.receiver, it.sender) == like)
    }

    /// The lines that were measured, in Mbit/s.
    pub(crate) fn rates(&self) -> Vec<f64> {
        let mut rates: Vec<_> = self.costs.iter().map(|cost| cost.mbit).collect();
        rates.sort_by(f64::total_cmp);
        rates.dedup();
        rates
    }

    pub(crate) fn markdown(&self, peers: &[Peer]) -> String {
        let mut text = format!(
            "# Shares over thin lines\n\n{}. {}.\n\n",
            machine::today(),
            machine::describe()
        );
        let compared = peers.iter().filter(|peer| PEERS.contains(&peer.name));
        let versions: Vec<_> = compared.filter_map(|peer| peer.version.clone()).collect();
        _ = writeln!(text, "{}.\n", versions.join("; "));
        text += &self.costs();
        text += &self.goals();
        text += &self.fates();
        text.truncate(text.trim_end().len());
        text + "\n"
    }

    fn costs(&self) -> String {
        let mut rows = String::new();
        for rate in self.rates() {
            for column in COLUMNS {
                let of = |peer| self.cost(peer, rate).map(column.of);
                let [ours, theirs] = PEERS.map(of);
                let shown = |value: Option<f64>| value.map_or("–".into(), figure);
                let share = ours.zip(theirs).map(|(ours, theirs)| ours / theirs);
                _ = writeln!(
                    rows,
                    "| {rate} Mbit/s | {} | {} | {} | {} |",
                    column.title,
                    shown(ours),
                    shown(theirs),
                    shown(share),
                );
            }
        }
        if !rows.is_empty() {
            let head = "| both lines | | this relay | Python websockets | share |\n\
                        |---|---|--:|--:|--:|\n";
            rows.insert_str(0, head);
        }
        let explained = "4 MB of text, which are a message of 8 MB: from its first byte to the \
                         receiver's answer.";
        section("What a share takes", explained, &rows)
    }

    fn goals(&self) -> String {
        let mut rows = String::new();
        for column in COLUMNS {
            let of = |peer| self.cost(peer, GOALS_AT).map(column.of);
            let [Some(ours), Some(theirs)] = PEERS.map(of) else {
                continue;
            };
            let (is, at_most) = (ours / theirs, column.goal.at_most);
            let verdict = if is <= at_most { "met" } else { "**missed**" };
            let title = column.title;
            _ = writeln!(rows, "| {title} | {at_most} | {is:.3} | {verdict} |");
        }
        if !rows.is_empty() {
            rows.insert_str(0, "| | at most | is | |\n|---|--:|--:|---|\n");
        }
        let explained = "At 20 Mbit/s this relay is to take at most this much of what the Python \
                         relay takes.";
        section("The goals", explained, &rows)
    }

    fn fates(&self) -> String {
        let mut rows = String::new();
        let mut seen = Vec::new();
        for it in &self.arrivals {
            let like = (it.size, it.receiver, it.sender);
            if seen.contains(&like) {
                continue;
            }
            seen.push(like);
            let told = PEERS.map(|peer| {
                let arrival = self.arrival(peer, it.size, it.receiver, it.sender);
                arrival.map_or("–".into(), |it| {
                    format!("{}, {} s", it.fate.told(), figure(it.seconds))
                })
            });
            _ = writeln!(
                rows,
                "| {} MB | {} | {} | {} | {} |",
                it.size, it.receiver, it.sender, told[0], told[1]
            );
        }
        if !rows.is_empty() {
            let head = "| plaintext | receiver, Mbit/s | sender, Mbit/s | this relay | Python \
                        websockets |\n|--:|--:|--:|---|---|\n";
            rows.insert_str(0, head);
        }
        let explained = "Arrived: the receiver has every byte, and the sender has its answer. The \
                         message has twice the bytes of the plaintext.";
        section("Which shares arrive", explained, &rows)
    }

    pub(crate) fn json(&self, peers: &[Peer]) -> String {
        let versions = peers.iter().filter(|peer| PEERS.contains(&peer.name));
        let versions = versions.map(|peer| (peer.name.to_owned(), json!(peer.version)));
        let costs: Vec<Value> = self.costs.iter().map(Cost::json).collect();
        let arrivals: Vec<Value> = self.arrivals.iter().map(Arrival::json).collect();
        let all = json!({
            "date": machine::today(),
            "machine": machine::describe(),
            "versions": versions.collect::<serde_json::Map<_, _>>(),
            "costs": costs,
            "arrivals": arrivals,
        });
        format!("{all:#}\n")
    }
}

impl Cost {
    fn json(&self) -> Value {
        json!({
            "peer": self.peer,
            "mbit": self.mbit,
            "seconds": self.seconds,
            "wire_mb": self.wire,
            "relay_cpu_s": self.cpu,
        })
    }
}

impl Arrival {
    fn json(&self) -> Value {
        json!({
            "peer": self.peer,
            "plaintext_mb": self.size,
            "receiver_mbit": self.receiver,
            "sender_mbit": self.sender,
            "arrived": self.fate == Fate::Arrived,
            "end": self.fate.told(),
            "seconds": self.seconds,
        })
    }
}
