//! The command line.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Arg, ArgAction, Command, value_parser};

/// The name of the row that takes long, and is measured only where it is asked for.
const THIN_LINES: &str = "thin-lines";

/// What to measure, for how long, and where to write it.
pub(crate) struct Options {
    /// Rounds of each case.
    pub(crate) rounds: usize,
    /// Rounds of the cases that take long and vary little.
    pub(crate) heavy_rounds: usize,
    /// How long a load runs before the figures count: caches fill, just-in-time compilers compile.
    pub(crate) warm_up: Duration,
    /// How long a load is measured.
    pub(crate) time: Duration,
    /// Where the results are written; nowhere if the run is a partial one.
    pub(crate) out: Option<PathBuf>,
    rows: Vec<String>,
    peers: Vec<String>,
    /// Of shares over thin lines, only these: plaintext in MB, lines in Mbit/s.
    sizes: Vec<f64>,
    receivers: Vec<f64>,
    senders: Vec<f64>,
    /// What is compared in place of the peers.
    pub(crate) difference: Option<Difference>,
    /// Whether several relays that are one are measured in place of the peers.
    pub(crate) cluster: bool,
    /// For a process that only holds so many rooms open at a relay.
    pub(crate) hold: Option<(SocketAddr, usize)>,
    /// Worker threads of each of the two relays that are compared.
    pub(crate) workers: usize,
}

/// What the second relay has that the first has not.
pub(crate) struct Difference {
    /// The program of the first, if it is another build.
    pub(crate) beside: Option<OsString>,
    /// Settings of the second.
    pub(crate) with: Vec<(String, String)>,
    /// Whether somebody looks at the pages of the second meanwhile.
    pub(crate) watched: bool,
    /// Whether it also has access keys, an event log and an operator's socket, at which somebody looks.
    pub(crate) everything: bool,
}

impl Options {
    pub(crate) fn from_args() -> Self {
        let matches = command().get_matches();
        let list = |name: &str| -> Vec<String> {
            matches
                .get_many(name)
                .map(|values| values.cloned().collect())
                .unwrap_or_default()
        };
        let numbers = |name: &str| -> Vec<f64> {
            matches
                .get_many(name)
                .map(|values| values.copied().collect())
                .unwrap_or_default()
        };
        let [sizes, receivers, senders] = ["sizes", "receivers", "senders"].map(numbers);
        let quick = matches.get_flag("quick");
        let everything = matches.get_flag("everything");
        let difference = Difference {
            everything,
            beside: matches.get_one::<OsString>("beside").cloned(),
            with: list("with").iter().map(|it| setting(it)).collect(),
            watched: everything || matches.get_flag("watched"),
        };
        let plain =
            difference.beside.is_none() && difference.with.is_empty() && !difference.watched;
        let difference = (!plain).then_some(difference);
        // Many short turns, where two take turns that hardly differ.
        let cluster = matches.get_flag("cluster");
        let (few, long) = match (quick, cluster || !plain) {
            (true, _) => (1, 0.2),
            (false, false) => (5, 1.0),
            (false, true) => (40, 0.5),
        };
        let rounds: usize = matches.get_one("rounds").copied().unwrap_or(few);
        let seconds = matches.get_one("seconds").copied().unwrap_or(long);
        let (rows, peers) = (list("rows"), list("peers"));
        let filters = [&sizes, &receivers, &senders];
        let picked = !plain || !peers.is_empty() || filters.iter().any(|filter| !filter.is_empty());
        let whole = !quick && !picked && (rows.is_empty() || rows == [THIN_LINES]);
        let results = || concat!(env!("CARGO_MANIFEST_DIR"), "/benches/results").into();
        Self {
            rounds: rounds.max(1),
            heavy_rounds: rounds.clamp(1, 3),
            warm_up: Duration::from_secs_f64(seconds * 0.3),
            time: Duration::from_secs_f64(seconds),
            out: matches
                .get_one("out")
                .cloned()
                .or_else(|| whole.then(results)),
            rows,
            peers,
            sizes,
            receivers,
            senders,
            difference,
            cluster,
            hold: matches
                .get_one::<SocketAddr>("hold")
                .copied()
                .zip(matches.get_one("rooms").copied()),
            workers: matches.get_one("workers").copied().unwrap_or(1),
        }
    }

    pub(crate) fn wants_row(&self, name: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|wanted| wanted == name)
    }

    /// Whether shares over thin lines are asked for, and so nothing else: they wait for lines most of the
    /// time, and are not among the rows that a run without a choice has.
    pub(crate) fn wants_thin_lines(&self) -> bool {
        self.rows == [THIN_LINES]
    }

    pub(crate) fn wants_size(&self, megabytes: f64) -> bool {
        self.sizes.is_empty() || self.sizes.contains(&megabytes)
    }

    pub(crate) fn wants_receiver(&self, mbit: f64) -> bool {
        self.receivers.is_empty() || self.receivers.contains(&mbit)
    }

    pub(crate) fn wants_sender(&self, mbit: f64) -> bool {
        self.senders.is_empty() || self.senders.contains(&mbit)
    }

    pub(crate) fn wants_peer(&self, name: &str) -> bool {
        self.peers.is_empty() || self.peers.iter().any(|wanted| wanted == name)
    }
}

/// A setting of a relay's, as the command line has it.
fn setting(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (name.to_owned(), value.to_owned())
}

fn command() -> Command {
    let list = |name: &'static str| Arg::new(name).long(name).value_delimiter(',');
    let numbers = |name| list(name).value_parser(value_parser!(f64));
    Command::new("relay benchmark")
        .about("Loads the relay and its peers in turn, and compares their CPU time and memory")
        .arg(
            Arg::new("quick")
                .long("quick")
                .action(ArgAction::SetTrue)
                .help("One short round of everything: does it run? The figures are rough"),
        )
        .arg(
            Arg::new("rounds")
                .long("rounds")
                .value_parser(value_parser!(usize))
                .help("Rounds of each row; the median counts [default: 5]"),
        )
        .arg(
            Arg::new("seconds")
                .long("seconds")
                .value_parser(value_parser!(f64))
                .help("How long each load is measured [default: 1]"),
        )
        .arg(list("rows").help(
            "Only these, comma-separated: bulk-64, round-trip, …, growth; or thin-lines, which is \
             in no other run",
        ))
        .arg(numbers("sizes").help("Of thin-lines, only these sizes, in MB: 0.5, 4, 5, 24"))
        .arg(numbers("receivers").help("Only these lines of receivers, in Mbit/s: 0.25, 1, 5, …"))
        .arg(numbers("senders").help("Only these lines of senders, in Mbit/s: 5, 20, 100"))
        .arg(list("peers").help("Only these, comma-separated: relay, python, ws, bun, haproxy"))
        .arg(
            Arg::new("beside")
                .long("beside")
                .value_name("PROGRAM")
                .value_parser(value_parser!(OsString))
                .help("Compare this relay with another build of it, side by side"),
        )
        .arg(
            Arg::new("with")
                .long("with")
                .value_name("NAME=VALUE")
                .action(ArgAction::Append)
                .help("The same, with this setting for the second relay"),
        )
        .arg(
            Arg::new("watched")
                .long("watched")
                .action(ArgAction::SetTrue)
                .help("The same, with somebody who asks the second for its pages"),
        )
        .arg(
            Arg::new("everything")
                .long("everything")
                .action(ArgAction::SetTrue)
                .help("The same, with access keys, event log and operator's socket for the second, and all of it looked at"),
        )
        .arg(
            Arg::new("cluster")
                .long("cluster")
                .action(ArgAction::SetTrue)
                .help("Load several relays that are one, and their NATS server: middle, across, rooms, lookups, open-rooms"),
        )
        .arg(
            Arg::new("hold")
                .long("hold")
                .value_parser(value_parser!(SocketAddr))
                .requires("rooms")
                .hide(true),
        )
        .arg(
            Arg::new("rooms")
                .long("rooms")
                .value_parser(value_parser!(usize))
                .hide(true),
        )
        .arg(
            Arg::new("workers")
                .long("workers")
                .value_parser(value_parser!(usize))
                .help("Worker threads of both relays that are compared [default: 1]"),
        )
        .arg(
            Arg::new("out")
                .long("out")
                .value_parser(value_parser!(PathBuf))
                .help("Where to write the results [default: benches/results for a whole run]"),
        )
        .arg(
            Arg::new("bench")
                .long("bench")
                .action(ArgAction::SetTrue)
                .hide(true),
        )
}
