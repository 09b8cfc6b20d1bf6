//! What 102,000 open rooms take of the memory of nodes and of NATS.

use std::{env, fmt::Write, io, net::SocketAddr, thread, time::Duration};

use relay_testing::{
    process,
    program::{Process, Program},
};

use super::nodes::Nodes;
use crate::{
    failure::Result,
    figures::{figure, section},
    options::Options,
    pair::{self, Pair},
    peers,
    server::{KEY, Server},
};

/// Nodes that have the rooms: so many, as the system may not let one process have more than 20,000 files open, and
/// a node keeps two for each session.
const NODES: usize = 12;
const ROOMS: usize = NODES * ROOMS_OF_NODE;
const ROOMS_OF_NODE: usize = 8_500;
/// Rooms that are opened before that is told.
const STEP: usize = 500;
/// Sessions whose room is on another node.
const ACROSS: usize = 4_000;
/// What the last answer sets free is free.
const QUIET: Duration = Duration::from_millis(500);

/// Grown memory, in KiB.
struct Grown {
    node: f64,
    nats: f64,
    alone: f64,
}

pub(super) fn measure(_: &Options) -> Result<String> {
    let Grown { node, nats, alone } = rooms()?;
    let in_node = ROOMS_OF_NODE as f64;
    let mut rows = String::new();
    for (what, kib, each) in [
        ("a node, per room and sender", node, node / in_node),
        ("a relay alone, per room and sender", alone, alone / in_node),
        ("nats-server, per room", nats, nats / ROOMS as f64),
    ] {
        let [mib, each] = [kib / 1024.0, each].map(figure);
        _ = writeln!(rows, "| {what} | {mib} | {each} |");
    }
    let (room, middle) = across()?;
    for (what, kib) in [
        ("the room's node, per room and two sessions", room),
        ("the node in between, per session", middle),
    ] {
        let [mib, each] = [kib / 1024.0, kib / ACROSS as f64].map(figure);
        _ = writeln!(rows, "| {ACROSS} clients across: {what} | {mib} | {each} |");
    }
    Ok(section(
        "Open rooms",
        &format!(
            "{ROOMS} rooms, open and silent, over {NODES} nodes and one nats-server; as many as one of these has \
             in a relay alone; and clients whose room is on another node. Grown memory."
        ),
        &format!("| | MiB | KiB each |\n|---|--:|--:|\n{rows}"),
    ))
}

fn rooms() -> Result<Grown> {
    let cluster = Nodes::start(NODES)?;
    let before = [cluster.nodes[0].memory_kib()?, cluster.nats.memory_kib()?];
    let holding = hold_at(&cluster.nodes, ROOMS_OF_NODE)?;
    let after = [cluster.nodes[0].memory_kib()?, cluster.nats.memory_kib()?];
    drop(holding);
    drop(cluster);
    let relay = Server::of_relay(|ports| peers::relay(&process::program(), ports.listen, 1))?;
    pair::open(&relay)?.0.close()?;
    let relay = [relay];
    let alone = relay[0].memory_kib()?;
    let _holding = hold_at(&relay, ROOMS_OF_NODE)?;
    Ok(Grown {
        node: after[0] - before[0],
        nats: after[1] - before[1],
        alone: relay[0].memory_kib()? - alone,
    })
}

/// Grown memory of the rooms' node, and of the one in between.
fn across() -> Result<(f64, f64)> {
    let cluster = Nodes::start(2)?;
    let memory = || -> Result<[f64; 2]> {
        thread::sleep(QUIET);
        Ok([
            cluster.nodes[0].memory_kib()?,
            cluster.nodes[1].memory_kib()?,
        ])
    };
    let before = memory()?;
    let pairs = (0..ACROSS).map(|_| Pair::across(&cluster.nodes[0], &cluster.nodes[1]));
    let pairs = pairs.collect::<Result<Vec<_>>>()?;
    let after = memory()?;
    drop(pairs);
    Ok((after[0] - before[0], after[1] - before[1]))
}

/// Has a process for each of these relays hold so many rooms open there. Each has as many files open as one may.
fn hold_at(relays: &[Server], rooms: usize) -> Result<Vec<Process>> {
    let start = |relay: &Server| {
        let program = Program::new(env::current_exe()?);
        let address = relay.address.to_string();
        program
            .args(["--hold", &address, "--rooms", &rooms.to_string()])
            .spawn()
    };
    let mut holders = relays.iter().map(start).collect::<io::Result<Vec<_>>>()?;
    for opened in (STEP..=rooms).step_by(STEP) {
        for holder in &mut holders {
            holder.line_with(&format!("{opened} open"));
        }
    }
    thread::sleep(QUIET);
    Ok(holders)
}

/// Opens so many rooms at a relay, tells how far it is, and holds them until this process is ended.
pub(crate) fn hold(relay: SocketAddr, rooms: usize) -> Result<()> {
    let mut ends = Vec::new();
    while ends.len() < rooms {
        ends.push(pair::open_at(relay, KEY)?.0);
        if ends.len().is_multiple_of(STEP) {
            eprintln!("{} open", ends.len());
        }
    }
    loop {
        thread::park();
    }
}
