//! Rooms that are opened on one node, joined from another, used and closed.

use std::{fmt::Write, time::Duration};

use super::nodes::Nodes;
use crate::{
    failure::Result,
    figures::{figure, median, section},
    loads::{micros, rooms_for},
    options::Options,
    pair::Pair,
};

const NODES: usize = 3;

/// Rooms a second through three nodes, and what each of them and NATS takes; beside rooms of one node each.
pub(super) fn measure(options: &Options) -> Result<String> {
    let nodes = Nodes::start(NODES)?;
    let open = |thread: usize, away: usize| {
        let (room, joined) = (thread % NODES, (thread + away) % NODES);
        Pair::across(&nodes.nodes[room], &nodes.nodes[joined])
    };
    let mut rows = String::new();
    for (title, away) in [("on the same node", 0), ("from the next node", 1)] {
        let mut figures: Vec<Vec<f64>> = Vec::new();
        rooms_for(options.warm_up, |thread| open(thread, away))?;
        for _ in 0..options.rounds {
            let (rooms, used) =
                nodes.used(|| rooms_for(options.time, |thread| open(thread, away)))?;
            let rooms = rooms as f64;
            let (nats, nodes) = used.split_last().ok_or("no NATS")?;
            let nodes: Duration = nodes.iter().sum();
            figures.push(vec![
                rooms / options.time.as_secs_f64(),
                micros(nodes) / rooms,
                micros(*nats) / rooms,
            ]);
        }
        let [rate, nodes, nats] =
            [0, 1, 2].map(|at| median(&figures.iter().map(|it| it[at]).collect::<Vec<_>>()));
        let [rate, nodes, nats] = [rate, nodes, nats].map(figure);
        _ = writeln!(rows, "| {title} | {rate} | {nodes} | {nats} |");
    }
    let head = "| joined | rooms/s | CPU µs/room, all three nodes | CPU µs/room, nats-server |\n|---|--:|--:|--:|\n";
    Ok(section(
        "Rooms",
        "Eight threads: connect twice, create, join, one message each way, close both; through three nodes. The \
         load has the same two cores.",
        &format!("{head}{rows}"),
    ))
}
