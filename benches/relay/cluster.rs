//! Several relays that are one: what they cost, and their NATS server.
//!
//! All are on this machine, each a process on one worker, and what counts is the CPU time and the memory of each.
//! The figures that grow with the number of nodes are measured with several numbers of them, and come as what
//! each further node adds: `examples/scaling.rs` reckons with these.

mod lookups;
mod memory;
mod middle;
mod nodes;
mod rooms;

pub(crate) use self::memory::hold;
use crate::{failure::Result, machine, options::Options};

/// A table of the report.
struct Part {
    row: &'static str,
    measure: fn(&Options) -> Result<String>,
}

const PARTS: [Part; 5] = [
    Part {
        row: "middle",
        measure: middle::bytes,
    },
    Part {
        row: "across",
        measure: middle::delays,
    },
    Part {
        row: "rooms",
        measure: rooms::measure,
    },
    Part {
        row: "lookups",
        measure: lookups::measure,
    },
    Part {
        row: "open-rooms",
        measure: memory::measure,
    },
];

/// Measures the rows that are asked for.
pub(crate) fn measure(options: &Options) -> Result<String> {
    let nats = machine::output_of(std::process::Command::new("nats-server").arg("-v"))
        .ok_or("there is no nats-server to find each other over")?;
    let mut report = format!(
        "# Several relays that are one\n\n{}. {}; {nats}; {} rounds of {} s.\n\n",
        machine::today(),
        machine::describe(),
        options.rounds,
        options.time.as_secs_f64(),
    );
    for part in PARTS.iter().filter(|part| options.wants_row(part.row)) {
        report += &(part.measure)(options)?;
        eprintln!("{}: done", part.row);
    }
    Ok(report)
}
