//! Every row of the comparison: its load, its unit, and how little it is meant to take.

use crate::{
    failure::Result,
    loads,
    options::Options,
    peers::{Job, Peer},
    server::Server,
};

/// A load, and the rows it fills.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) rows: &'static [Row],
    /// Takes long and varies little: fewer rounds do.
    pub(crate) heavy: bool,
    /// Has a meaning for a forwarder, too.
    forwarder: bool,
    /// Returns a figure for each row.
    pub(crate) run: Run,
}

/// A figure compared.
pub(crate) struct Row {
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) kind: Kind,
}

/// What a row is about.
pub(crate) enum Kind {
    /// The server's own CPU time or memory, or a delay: less is better, and there may be goals.
    Cost(&'static [Goal]),
    /// What came through in a second, limited by a load that shares the machine: more is better.
    Speed,
}

/// Ours is to be at most this much of a peer's.
pub(crate) struct Goal {
    pub(crate) peer: &'static str,
    pub(crate) at_most: f64,
}

impl Case {
    pub(crate) fn suits(&self, peer: &Peer) -> bool {
        self.forwarder || peer.job == Job::Relay
    }

    const fn heavy(self) -> Self {
        Self {
            heavy: true,
            ..self
        }
    }
}

/// All of them, in the order of the table.
pub(crate) const CASES: &[Case] = &[
    relay_case(
        "bulk-64",
        &[
            cost(
                "64 B messages",
                "CPU µs/message",
                &[python(0.05), bun(0.40)],
            ),
            speed("64 B messages", "messages/s"),
        ],
        |server, options| loads::small_messages(server, options, 64),
    ),
    relay_case(
        "bulk-1k",
        &[
            cost(
                "1 KiB messages",
                "CPU µs/message",
                &[python(0.12), bun(0.55)],
            ),
            speed("1 KiB messages", "messages/s"),
        ],
        |server, options| loads::small_messages(server, options, 1 << 10),
    ),
    case(
        "bulk-64k",
        &[
            cost(
                "64 KiB messages",
                "CPU s/GiB",
                &[python(0.50), bun(0.70), haproxy(1.7)],
            ),
            speed("64 KiB messages", "MiB/s"),
        ],
        |server, options| loads::large_messages(server, options, 1, 64 << 10),
    ),
    case(
        "bulk-1m",
        &[
            cost(
                "1 MiB messages",
                "CPU s/GiB",
                &[python(0.55), bun(0.90), haproxy(1.7)],
            ),
            speed("1 MiB messages", "MiB/s"),
        ],
        |server, options| loads::large_messages(server, options, 1, 1 << 20),
    ),
    case(
        "bulk-10m",
        &[
            cost(
                "10 MB messages",
                "CPU s/GiB",
                &[python(0.55), bun(0.90), haproxy(1.2)],
            ),
            speed("10 MB messages", "MiB/s"),
        ],
        |server, options| loads::large_messages(server, options, 1, 10_000_000),
    ),
    case(
        "eight-pairs",
        &[
            cost("8 pairs at once, 64 KiB", "CPU s/GiB", &[]),
            speed("8 pairs at once, 64 KiB", "MiB/s"),
        ],
        |server, options| loads::large_messages(server, options, 8, 64 << 10),
    ),
    case(
        "busy-rooms",
        &[
            cost("1,000 rooms at once, 64 KiB", "CPU s/GiB", &[]),
            cost("1,000 rooms at once, 64 KiB", "peak MiB", &[]),
        ],
        loads::busy_rooms,
    )
    .heavy(),
    case(
        "round-trip",
        &[
            cost(
                "round trip of 64 B",
                "CPU µs",
                &[python(0.30), bun(1.05), haproxy(0.9)],
            ),
            cost(
                "round trip of 64 B",
                "p50 µs",
                &[python(0.50), bun(1.0), haproxy(1.0)],
            ),
            cost("round trip of 64 B", "p99 µs", &[]),
        ],
        loads::round_trips,
    ),
    relay_case(
        "rooms",
        &[
            cost(
                "room opened, used, closed",
                "CPU µs/room",
                &[python(0.03), bun(0.95)],
            ),
            speed("rooms opened, used, closed", "rooms/s"),
        ],
        loads::rooms,
    ),
    relay_case(
        "idle",
        &[cost(
            "8,000 idle sessions",
            "KiB/session",
            &[python(0.30), bun(2.5)],
        )],
        loads::idle_sessions,
    )
    .heavy(),
    relay_case(
        "first-byte",
        &[cost(
            "first byte of 10 MB out",
            "of its upload",
            &[python(0.03), bun(0.03)],
        )],
        loads::first_byte,
    ),
    relay_case(
        "stalled",
        &[cost(
            "16 stalled receivers",
            "peak MiB",
            &[python(0.03), bun(0.03)],
        )],
        loads::stalled_receivers,
    )
    .heavy(),
];

type Run = fn(&Server, &Options) -> Result<Vec<f64>>;

/// A case for every peer.
const fn case(name: &'static str, rows: &'static [Row], run: Run) -> Case {
    Case {
        name,
        rows,
        run,
        heavy: false,
        forwarder: true,
    }
}

/// A case that means nothing to a forwarder.
const fn relay_case(name: &'static str, rows: &'static [Row], run: Run) -> Case {
    Case {
        forwarder: false,
        ..case(name, rows, run)
    }
}

const fn cost(title: &'static str, unit: &'static str, goals: &'static [Goal]) -> Row {
    Row {
        title,
        unit,
        kind: Kind::Cost(goals),
    }
}

const fn speed(title: &'static str, unit: &'static str) -> Row {
    Row {
        title,
        unit,
        kind: Kind::Speed,
    }
}

const fn python(at_most: f64) -> Goal {
    Goal {
        peer: "python",
        at_most,
    }
}

const fn bun(at_most: f64) -> Goal {
    Goal {
        peer: "bun",
        at_most,
    }
}

const fn haproxy(at_most: f64) -> Goal {
    Goal {
        peer: "haproxy",
        at_most,
    }
}
