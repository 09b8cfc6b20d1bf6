//! What an operator can choose, and how: a flag wins over an environment variable, that one over a
//! line in a file, and that one over the default. The file is the one that `--env-file` names, or else
//! `.env.relay` (or, where there is none, `.env`) in the working directory. The process environment is
//! only read, never changed.
//!
//! [`knobs`](KNOBS) has the settings, `knob` what a setting is, `source` the places that their
//! values come from, `value` the checks, and `tests` holds them together. Nothing here prints or
//! exits: the caller is handed sentences.

mod cluster;
mod keys;
mod knob;
mod knobs;
mod node;
mod site;
mod source;
#[cfg(test)]
mod tests;
mod value;

use std::{
    env,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgMatches, Command, value_parser};
use relay_wire::code;

pub use self::{
    cluster::{NatsServers, Secret},
    keys::{AccessKey, AccessKeys, Digest},
    knob::{Kind, Knob},
    knobs::{Change, Config, KNOBS},
    node::Cluster,
    site::{Site, Sites},
    source::Error,
    value::{Addresses, bytes, network, seconds},
};
use self::{
    knob::PREFIX,
    knobs::is_known,
    source::{Origin, Source, quote},
};
use crate::version;

/// The flag that names the file.
const ENV_FILE: &str = "env-file";
/// The files that may hold variables where none is named; only the first that exists is read.
pub const FILES: [&str; 2] = [".env.relay", ".env"];
/// The file of a relay that systemd runs, as its unit names it.
pub const INSTALLED: &str = "/etc/claude-distill-relay/relay.env";

/// The variable of the operator's socket.
const ADMIN_SOCKET: &str = "RELAY_ADMIN_SOCKET";

/// All that the process is told from outside.
#[derive(Debug)]
pub struct Settings {
    /// The relay's own settings.
    pub config: Config,
    /// What to log, in the syntax of `RUST_LOG`, if anyone said.
    pub log_filter: Option<String>,
    /// A sentence for each thing that is probably a mistake, to be logged.
    pub warnings: Vec<String>,
    /// The file that was read, if there was one.
    pub file: Option<PathBuf>,
    /// The file that the access keys stand in, if it is one: that, or one of their own.
    pub keys_file: Option<PathBuf>,
}

/// The command line: one flag for each knob.
pub fn command() -> Command {
    Command::new(env!("CARGO_PKG_NAME"))
        .version(version::SHOWN)
        .about(env!("CARGO_PKG_DESCRIPTION"))
        .after_help(
            "Each option can also be given as the variable shown beside it, in the environment or \
             in a file .env.relay (or else .env) in the working directory: an option wins over the \
             environment, and the environment over the file. RUST_LOG chooses what is logged.\n\n\
             Sizes may have a unit (64KiB, 10MB), and so may times (90s, 1h30m).\n\n\
             SIGHUP has a running relay read all of them again. It takes over what does not need a \
             restart; connections that are open keep what they began with.",
        )
        .arg(
            Arg::new(ENV_FILE)
                .long(ENV_FILE)
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Read this file in place of .env.relay or .env"),
        )
        .args(KNOBS.iter().map(argument))
}

fn argument(knob: &Knob) -> Arg {
    let name = match knob.kind {
        Kind::Host => "HOST",
        Kind::Networks | Kind::Sites | Kind::Keys => "LIST",
        Kind::Nats | Kind::Node => "URL",
        Kind::Secret => "SECRET",
        Kind::Header => "NAME",
        Kind::Addresses => "HOW",
        Kind::Path(_) => "PATH",
        Kind::Switch => "ON|OFF",
        Kind::Count(..) => "N",
        Kind::Bytes(..) | Kind::BytesOrZero(..) => "BYTES",
        Kind::Seconds(..) => "SECONDS",
    };
    Arg::new(knob.variable)
        .long(knob.flag())
        .value_name(name)
        .help_heading(knob.group)
        .help(format!(
            "{} [{}={}]",
            knob.summary(),
            knob.variable,
            knob.default
        ))
        // "-5" is a value to be refused for its range, not an option nobody knows.
        .allow_negative_numbers(true)
}

/// Reads the settings: `flags` as parsed by [`command`], then the environment and the file.
///
/// # Errors
///
/// One sentence for a value that cannot be used, or for a file that cannot be read.
pub fn load(flags: &ArgMatches) -> Result<Settings, Error> {
    let mut sources = sources(flags, &FILES)?;
    include(&mut sources, Kind::Secret)?;
    with_keys(sources)
}

/// Reads the settings of the first of these files as [`load`] does, for a look at the relay that has them. The
/// cluster's secret may be in a file that only the relay can read; then it does without.
///
/// # Errors
///
/// As of [`load`].
pub fn load_to_check(flags: &ArgMatches, files: &[&str]) -> Result<Settings, Error> {
    with_keys(sources_to_check(flags, files)?)
}

/// The same but for the access keys, as if there were none.
///
/// # Errors
///
/// As of [`load`].
pub fn load_but_keys(flags: &ArgMatches, files: &[&str]) -> Result<Settings, Error> {
    let mut sources = sources_to_check(flags, files)?;
    for knob in KNOBS.iter().filter(|knob| knob.kind == Kind::Keys) {
        for source in &mut sources {
            source.values.remove(knob.variable);
        }
    }
    settings(&sources)
}

/// The operator's socket by the settings in the first of these files, over which go environment and flags; whatever
/// else stands there, as a relay may well run with the settings of before.
pub fn admin_socket(flags: &ArgMatches, files: &[&str]) -> Option<PathBuf> {
    let knob = KNOBS.iter().find(|knob| knob.variable == ADMIN_SOCKET)?;
    value::read(knob, &sources(flags, files).ok()?).ok()?
}

fn sources(flags: &ArgMatches, files: &[&str]) -> Result<Vec<Source>, Error> {
    let environment = Source::environment(env::vars_os());
    let file = match flags.get_one::<PathBuf>(ENV_FILE) {
        Some(path) => Some(Source::file(path)?),
        None => Source::first_file(Path::new(""), files)?,
    };
    let sources = [flag_values(flags), environment].into_iter().chain(file);
    Ok(sources.collect())
}

fn sources_to_check(flags: &ArgMatches, files: &[&str]) -> Result<Vec<Source>, Error> {
    let mut sources = sources(flags, files)?;
    // A file that cannot be read leaves its path, which says as much.
    let _ = include(&mut sources, Kind::Secret);
    Ok(sources)
}

fn with_keys(mut sources: Vec<Source>) -> Result<Settings, Error> {
    Ok(Settings {
        keys_file: include(&mut sources, Kind::Keys)?,
        ..settings(&sources)?
    })
}

/// Where what counts of this kind is the path of a file, puts what is in that behind it. Returns the file that
/// what counts stands in, if it stands in one.
fn include(sources: &mut [Source], kind: Kind) -> Result<Option<PathBuf>, Error> {
    let mut file = None;
    for knob in KNOBS.iter().filter(|knob| knob.kind == kind) {
        let mut sources = sources.iter_mut();
        if let Some(source) = sources.find(|it| it.get(knob.variable).is_some()) {
            file = source.include(knob.variable)?;
        }
    }
    Ok(file)
}

fn flag_values(flags: &ArgMatches) -> Source {
    let value = |knob: &Knob| {
        let text = flags.get_one::<String>(knob.variable)?;
        Some((knob.variable.to_owned(), text.clone()))
    };
    Source {
        origin: Origin::Flags,
        values: KNOBS.iter().filter_map(value).collect(),
    }
}

/// The settings in `sources`, of which an earlier one wins over a later one.
fn settings(sources: &[Source]) -> Result<Settings, Error> {
    let log_filter = sources.iter().find_map(|source| source.get("RUST_LOG"));
    Ok(Settings {
        config: with_all_of_a_cluster(with_codes_to_spare(Config::read(sources)?)?)?,
        log_filter: log_filter
            .filter(|filter| !filter.is_empty())
            .map(str::to_owned),
        warnings: sources.iter().flat_map(unknown).collect(),
        file: sources.iter().find_map(|source| match &source.origin {
            Origin::File(path) => Some(path.clone()),
            _ => None,
        }),
        keys_file: None,
    })
}

/// Sees that most codes are of no room: else guesses would meet one, and new rooms find none.
fn with_codes_to_spare(config: Config) -> Result<Config, Error> {
    let (rooms, length) = (config.max_rooms, config.room_code_length);
    let most = code::count(length as u32) / 2;
    if rooms as u128 > most {
        return Err(Error(format!(
            "RELAY_MAX_ROOMS is {rooms}, which is more than half of all codes of \
             RELAY_ROOM_CODE_LENGTH={length} characters: allow {most} rooms at most, or longer codes"
        )));
    }
    Ok(config)
}

/// Sees that a relay which is one of several has all that takes.
fn with_all_of_a_cluster(config: Config) -> Result<Config, Error> {
    match config.incomplete_cluster() {
        None => Ok(config),
        Some(missing) => Err(Error(format!(
            "{missing} is missing: RELAY_CLUSTER_NATS, RELAY_CLUSTER_ADDRESS and RELAY_CLUSTER_SECRET go together"
        ))),
    }
}

/// A warning for each variable that looks like one of ours and is none.
fn unknown(source: &Source) -> impl Iterator<Item = String> {
    let names = source.values.keys();
    names
        .filter(move |name| name.starts_with(PREFIX) && !is_known(name))
        .map(|name| {
            let distance = |knob: &&Knob| strsim::damerau_levenshtein(knob.variable, name);
            let nearest = KNOBS
                .iter()
                .min_by_key(distance)
                .map_or("", |knob| knob.variable);
            let (name, origin) = (quote(name), &source.origin);
            format!("{name}, from {origin}, is no setting of this relay; the nearest is {nearest}")
        })
}
