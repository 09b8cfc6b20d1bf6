//! What a question to all nodes costs, by how many they are, and how long it takes.

use std::{
    fmt::Write,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use super::nodes::Nodes;
use crate::{
    failure::Result,
    figures::{figure, median, section},
    loads::{joined, micros},
    options::Options,
    pair::{self, Pair},
    server::Server,
    wire::End,
};

/// How many nodes are compared.
const NODES: [usize; 4] = [1, 4, 8, 16];
/// Rooms opened for each of these figures, by so many threads.
const ROOMS: usize = 4_000;
const THREADS: usize = 8;
/// Joins timed, of each kind.
const JOINS: usize = 200;
/// Wrong codes timed. A relay holds back its answers where there are more than five a second.
const WRONG: usize = 40;
const BETWEEN_WRONG: Duration = Duration::from_millis(250);
/// How long nodes are watched that do nothing but say that they are here.
const IDLE: Duration = Duration::from_secs(5);

/// What one question costs, in CPU µs, and what it costs to be there, in CPU µs per second.
struct Point {
    nodes: usize,
    asker: f64,
    other: f64,
    nats: f64,
    idle_node: f64,
    idle_nats: f64,
}

pub(super) fn measure(_: &Options) -> Result<String> {
    let points = NODES.map(point).into_iter().collect::<Result<Vec<_>>>()?;
    let mut rows = String::new();
    for point in &points {
        let Point {
            nodes,
            asker,
            other,
            nats,
            idle_node,
            idle_nats,
        } = *point;
        let [asker, other, nats, idle_node, idle_nats] =
            [asker, other, nats, idle_node, idle_nats].map(figure);
        _ = writeln!(
            rows,
            "| {nodes} | {asker} | {other} | {nats} | {idle_node} | {idle_nats} |"
        );
    }
    let (first, last) = (&points[0], &points[points.len() - 1]);
    let further = (last.nodes - first.nodes) as f64;
    let [asker, nats, idle_node, idle_nats] = [
        last.asker - first.asker,
        last.nats - first.nats,
        last.idle_node - first.idle_node,
        last.idle_nats - first.idle_nats,
    ]
    .map(|grown| figure(grown / further));
    _ = writeln!(
        rows,
        "| each further node adds | {asker} | | {nats} | {idle_node} | {idle_nats} |"
    );
    let head = "| nodes | the node that asks and opens | each other node | nats-server | a node, idle, per s | \
                nats-server, idle, per s |\n|---|--:|--:|--:|--:|--:|\n";
    let cost = section(
        "Questions",
        "CPU µs per room that one node opens, for eight threads, for which it asks all others whether they have its code: the client's \
         connection is in the asking node's figure, and the same for any number of nodes.",
        &format!("{head}{rows}"),
    );
    Ok(cost + &delays()?)
}

fn point(nodes: usize) -> Result<Point> {
    let cluster = Nodes::start(nodes)?;
    let ((), idle) = cluster.used(|| {
        thread::sleep(IDLE);
        Ok(())
    })?;
    let one_by_one = |rooms: usize| -> Result<()> {
        (0..rooms).try_for_each(|_| pair::open(&cluster.nodes[0])?.0.close())
    };
    let open = |rooms: usize| {
        thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|_| scope.spawn(|| one_by_one(rooms / THREADS)))
                .collect();
            threads.into_iter().try_for_each(joined)
        })
    };
    open(ROOMS / 10)?;
    let began = Instant::now();
    let ((), used) = cluster.used(|| open(ROOMS))?;
    let seconds = began.elapsed().as_secs_f64();
    let per_second = |at: usize| micros(idle[at]) / IDLE.as_secs_f64();
    // Without what it would have taken anyway.
    let of_room = |at: usize| (micros(used[at]) - per_second(at) * seconds) / ROOMS as f64;
    let others: Vec<_> = (1..nodes).map(of_room).collect();
    Ok(Point {
        nodes,
        asker: of_room(0),
        other: if others.is_empty() {
            0.0
        } else {
            median(&others)
        },
        nats: of_room(nodes),
        idle_node: median(&(0..nodes).map(per_second).collect::<Vec<_>>()),
        idle_nats: per_second(nodes),
    })
}

/// How long joins take, in turns.
fn delays() -> Result<String> {
    let cluster = Nodes::start(3)?;
    let (room, other) = (&cluster.nodes[0], &cluster.nodes[1]);
    let join = |at: &Server| -> Result<f64> {
        let mut receiver = End::connect(at.address, at.lines)?;
        let (sender, took) = Pair::join(room, &mut receiver)?;
        Pair { sender, receiver }.close()?;
        Ok(micros(took))
    };
    let (mut local, mut across) = (Vec::new(), Vec::new());
    for _ in 0..JOINS {
        local.push(join(room)?);
        across.push(join(other)?);
    }
    let mut nowhere = Vec::new();
    let mut guesser = End::connect(other.address, other.lines)?;
    for number in 0..WRONG {
        let began = Instant::now();
        // A code of the right form that is hardly anybody's.
        let code = format!("ABCD{}{}", letter(number / 20), letter(number % 20));
        guesser.send_json(&json!({ "type": "JOIN_ROOM", "room_id": code }))?;
        let refused = pair::expect(&mut guesser, "ERROR")?;
        nowhere.push(micros(began.elapsed()));
        if refused["reason"] != "room_not_found" {
            return Err(format!("not nowhere, but {refused}").into());
        }
        thread::sleep(BETWEEN_WRONG);
    }
    let mut rows = String::new();
    for (title, mut times) in [
        ("found on the same node", local),
        ("found on another node", across),
        ("found nowhere", nowhere),
    ] {
        times.sort_by(f64::total_cmp);
        let [p50, p99] = [50, 99].map(|share| figure(times[(times.len() - 1) * share / 100]));
        _ = writeln!(rows, "| {title} | {p50} | {p99} |");
    }
    let head = "| a code that is | p50 µs | p99 µs |\n|---|--:|--:|\n";
    Ok(section(
        "Joins",
        "From a client's request to its answer, with three nodes.",
        &format!("{head}{rows}"),
    ))
}

/// One of the letters of room codes.
fn letter(number: usize) -> char {
    char::from(b"ABCDEFGHJKLMNPQRSTUVWXYZ"[number])
}
