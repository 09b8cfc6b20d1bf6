//! What several relays that are one need, on paper: `cargo run --example scaling -- --nodes 100 --sessions 1e7`.
//!
//! `costs` has what was measured, `model` the formulas, and this prints them for one load, and for other numbers of
//! nodes with as many sessions each. SCALING.md says what follows.

mod costs;
mod model;

use std::fmt::Write;

use clap::{Arg, Command, value_parser};

use self::{costs::GIB, model::Load};

/// Numbers of nodes that are compared.
const NODES: [f64; 6] = [3.0, 10.0, 30.0, 100.0, 300.0, 1000.0];
const MIB: f64 = 1024.0 * 1024.0;

fn main() {
    let load = load();
    println!("{}", needs(&load));
    println!("{}", by_nodes(&load));
}

fn load() -> Load {
    let number = |name: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .default_value(default)
            .value_parser(value_parser!(f64))
            .help(help)
    };
    let matches = Command::new("scaling")
        .about("Reckons what several relays that are one need")
        .arg(number("nodes", "100", "Relays"))
        .arg(number("sessions", "1e7", "Clients at once, two to a room"))
        .arg(number("life", "600", "Seconds that a room is open"))
        .arg(number("mib", "4", "MiB through a room in that time"))
        .arg(number(
            "guessers",
            "0",
            "Addresses that try wrong codes, as many as they may",
        ))
        .arg(number("code", "6", "Characters of a code"))
        .get_matches();
    let of = |name: &str| matches.get_one(name).copied().unwrap_or_default();
    Load {
        nodes: of("nodes"),
        sessions: of("sessions"),
        life: of("life"),
        bytes: of("mib") * MIB,
        guessers: of("guessers"),
        code: of("code"),
    }
}

/// What one load needs.
fn needs(load: &Load) -> String {
    let [room, middle] = load.byte_cores();
    let [memory, kernel] = load.memory();
    let lines = [
        ("**In all**", String::new()),
        ("rooms open", count(load.rooms())),
        ("rooms opened a second, and joins", count(load.opened())),
        ("of the joins, across", percent(load.across())),
        (
            "of guesses, those that hit a room",
            format!("1 in {}", count(1.0 / load.hit())),
        ),
        ("**NATS**", String::new()),
        ("questions a second", count(load.questions())),
        (
            "messages a question, in and out",
            count(load.messages_of_question()),
        ),
        ("messages a second, in and out", count(load.messages())),
        (
            "of these, for heartbeats",
            count(load.nodes * (1.0 + load.nodes)),
        ),
        ("cores of nats-server", amount(load.nats_cores())),
        ("Gbit/s, in and out", amount(load.nats_bits() / 1e9)),
        ("connections", count(load.nodes)),
        ("**A node**", String::new()),
        (
            "sessions of its own clients",
            count(load.sessions / load.nodes),
        ),
        (
            "sessions, with those that others bring",
            count(load.sessions_of_node()),
        ),
        ("its thread for the others is busy", percent(load.thread())),
        (
            "cores for rooms that come and go",
            amount(load.room_cores()),
        ),
        ("cores for bytes, as the room's node", amount(room)),
        ("cores for bytes, as the one in between", amount(middle)),
        ("Gbit/s in, and as many out", amount(load.node_bits() / 1e9)),
        ("GiB of memory, without the kernel's", amount(memory / GIB)),
        (
            "GiB of the kernel's for connections, about",
            amount(kernel / GIB),
        ),
        ("descriptors", count(load.descriptors())),
        (
            "ports, to each other node",
            count(load.connections_between_two()),
        ),
        (
            "addresses of a load balancer, to each node",
            count(load.balancer_addresses()),
        ),
    ];
    let mut table = "| | |\n|---|--:|\n".to_owned();
    for (what, much) in lines {
        _ = writeln!(table, "| {what} | {much} |");
    }
    table
}

/// What grows with the nodes, if each has as many sessions.
fn by_nodes(load: &Load) -> String {
    let each = load.sessions / load.nodes;
    let mut table = format!(
        "| nodes, of {} sessions | questions/s | messages/s at NATS | cores of nats-server | Gbit/s at NATS | a node's \
         thread is busy |\n|--:|--:|--:|--:|--:|--:|\n",
        count(each)
    );
    for nodes in NODES {
        let load = Load {
            nodes,
            sessions: each * nodes,
            ..*load
        };
        _ = writeln!(
            table,
            "| {} | {} | {} | {} | {} | {} |",
            count(nodes),
            count(load.questions()),
            count(load.messages()),
            amount(load.nats_cores()),
            amount(load.nats_bits() / 1e9),
            percent(load.thread()),
        );
    }
    _ = writeln!(
        table,
        "\nQuestions a second with which that thread is as busy as it may be, on whatever number of nodes: {}.",
        count(Load::most_questions())
    );
    table
}

/// A number of things, with commas.
fn count(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// An amount, with two digits that count.
fn amount(value: f64) -> String {
    match value {
        ..0.095 => format!("{value:.3}"),
        ..0.95 => format!("{value:.2}"),
        ..9.5 => format!("{value:.1}"),
        _ => count(value),
    }
}

fn percent(value: f64) -> String {
    format!("{} %", amount(value * 100.0))
}
