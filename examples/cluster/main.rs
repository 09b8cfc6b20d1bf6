//! Three relays that are one, on this machine: a nats-server over which they find each other's rooms, nginx in
//! front of them, and a file that is shared through them, from one node to another.
//!
//! ```text
//! cargo run --release --example cluster
//! cargo run --release --example cluster -- FILE --once
//! ```
//!
//! It takes free ports and temporary folders, and ends all that it has started when it ends. Without `--once` it
//! stays until Ctrl-C, for who wants to connect, or to end a node and see what becomes of it.

mod parts;
mod share;

use std::{env, error::Error, fs, path::Path, process::ExitCode};

use clap::{Arg, ArgAction, Command, value_parser};
use relay_testing::skip::find;
use tokio::signal::unix::{SignalKind, signal};

use self::parts::Parts;

/// What is shared where nobody names a file.
const BYTES: usize = 8 << 20;
/// What has to be installed, and what brings it on Debian.
const NEEDED: [(&str, &str); 2] = [("nats-server", "nats-server"), ("nginx", "nginx-light")];

fn main() -> ExitCode {
    if env::args().nth(1).as_deref() == Some(parts::AS_RELAY) {
        return match parts::serve() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("relay: {error}");
                ExitCode::FAILURE
            }
        };
    }
    match try_it() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cluster: {error}");
            ExitCode::FAILURE
        }
    }
}

fn try_it() -> Result<(), Box<dyn Error>> {
    let arguments = [
        Arg::new("FILE")
            .help("What is shared [default: 8 MiB of noise]")
            .value_parser(value_parser!(std::path::PathBuf)),
        Arg::new("once")
            .long("once")
            .action(ArgAction::SetTrue)
            .help("End after the share"),
    ];
    let chosen = Command::new("cluster").args(arguments).get_matches();
    let missing: Vec<_> = NEEDED.iter().filter(|(it, _)| find(it).is_none()).collect();
    if !missing.is_empty() {
        let names = |of: fn(&(&'static str, &'static str)) -> &'static str| {
            missing
                .iter()
                .map(|it| of(it))
                .collect::<Vec<_>>()
                .join(" ")
        };
        let (programs, packages) = (names(|it| it.0), names(|it| it.1));
        return Err(format!("not installed: {programs} (sudo apt-get install {packages})").into());
    }
    let file = chosen.get_one::<std::path::PathBuf>("FILE");
    let content = match file {
        Some(path) => fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?,
        None => relay_testing::noise(&mut relay_testing::seeded(15), BYTES),
    };
    let name = file.and_then(|path| path.file_name()).map(Path::new);
    let name = name.map_or("noise".into(), |name| name.to_string_lossy());

    let parts = Parts::start()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let shared = share::share(parts.url(), &content).await?;
        println!(
            "{name}, {} bytes: the sender is on {}, the receiver on {}, and it has arrived as it was, in {} ms",
            content.len(),
            parts.name_of(&shared.sender)?,
            parts.name_of(&shared.receiver)?,
            shared.took.as_millis()
        );
        if chosen.get_flag("once") {
            return Ok(());
        }
        println!("Connect to {}; Ctrl-C ends it all.", parts.url());
        let (mut interrupt, mut terminate) = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        );
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        println!();
        Ok(())
    })
}
