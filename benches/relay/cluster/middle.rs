//! The node between a client and its room's node, beside a forwarder in the same place.

use std::fmt::Write;

use super::nodes::Nodes;
use crate::{
    failure::Result,
    figures::{figure, median, section},
    loads::{GIB, round_trips_through, stream_through},
    options::Options,
    pair::Pair,
    peers,
    server::Server,
    side_by_side::Line,
};

/// The three ways to a room.
struct Ways {
    nodes: Nodes,
    haproxy: Server,
}

impl Ways {
    fn start() -> Result<Self> {
        let nodes = Nodes::start(2)?;
        let haproxy = Server::in_front_of(&nodes.nodes[0], peers::haproxy)?;
        Ok(Self { nodes, haproxy })
    }

    fn room(&self) -> &Server {
        &self.nodes.nodes[0]
    }

    fn middle(&self) -> &Server {
        &self.nodes.nodes[1]
    }
}

/// CPU time of what passes on messages, by way, size and direction.
pub(super) fn bytes(options: &Options) -> Result<String> {
    let ways = Ways::start()?;
    let mut rows = String::new();
    for (title, len) in [("64 KiB", 64 << 10), ("1 MiB", 1 << 20)] {
        for (direction, is_up) in [("to the client", false), ("from the client", true)] {
            let cost = |way: &Server| -> Result<f64> {
                let pair = Pair::across(ways.room(), way)?;
                let pair = if is_up { pair.turned() } else { pair };
                let (messages, used) = stream_through(vec![pair], way, options, len)?;
                Ok(used.cpu.as_secs_f64() * GIB / (messages * len as f64))
            };
            let turns = turns(options, [&ways.haproxy, ways.middle()], cost)?;
            let Line {
                figures: [haproxy, node],
                ratio,
                interval,
            } = Line::of(&turns);
            _ = writeln!(
                rows,
                "| {title}, {direction} | {haproxy} | {node} | {ratio} | {interval} |"
            );
        }
    }
    let head = "| messages | HAProxy, CPU s/GiB | node, CPU s/GiB | the node takes | with 95 % confidence |\n\
                |---|--:|--:|--:|--:|\n";
    Ok(section(
        "The middle node",
        "One pair, of which one client's room is on another node: the CPU time of the node in between, and that \
         of HAProxy (TCP) in its place, before the same room's node, in turns.",
        &format!("{head}{rows}"),
    ))
}

/// How long 64 bytes take there and back, by way.
pub(super) fn delays(options: &Options) -> Result<String> {
    let ways = Ways::start()?;
    let titles = ["within one node", "across, by HAProxy", "across, by a node"];
    let servers = [ways.room(), &ways.haproxy, ways.middle()];
    let mut figures: [Vec<Vec<f64>>; 3] = Default::default();
    for _ in 0..options.rounds {
        for (way, figures) in servers.iter().zip(&mut figures) {
            let pair = Pair::across(ways.room(), way)?;
            figures.push(round_trips_through(pair, way, options)?);
        }
    }
    let mut rows = String::new();
    for (title, figures) in titles.iter().zip(&figures) {
        let [cpu, p50, p99] =
            [0, 1, 2].map(|at| median(&figures.iter().map(|it| it[at]).collect::<Vec<_>>()));
        let [cpu, p50, p99] = [cpu, p50, p99].map(figure);
        _ = writeln!(rows, "| {title} | {p50} | {p99} | {cpu} |");
    }
    let head = "| | p50 µs | p99 µs | CPU µs of what is joined at |\n|---|--:|--:|--:|\n";
    Ok(section(
        "Round trips",
        "64 bytes to the other client and 64 bytes back, one at a time.",
        &format!("{head}{rows}"),
    ))
}

/// The cost of both, in turns; neither is always the one that goes first.
fn turns(
    options: &Options,
    ways: [&Server; 2],
    cost: impl Fn(&Server) -> Result<f64>,
) -> Result<Vec<[f64; 2]>> {
    (0..options.rounds)
        .map(|round| {
            let mut figures = [0.0; 2];
            for side in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
                figures[side] = cost(ways[side])?;
            }
            Ok(figures)
        })
        .collect()
}
