//! The commands for a relay that runs: each asks its socket one thing, and says in words or in JSON what it
//! has answered.

use std::{path::PathBuf, process::ExitCode};

use clap::{Arg, ArgAction, ArgMatches, Command};
use relay_wire::text::{escaped, escaped_json};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    api::{Blocking, Done, End, Limiting, Logging, NotDone, Unblocking},
    ask::{Answer, Relay},
    top, words,
};
use crate::{config, limits::network::Network, observe::logging};

const AFTER_HELP: &str = "It asks the relay's socket (RELAY_ADMIN_SOCKET), which is its owner's and its group's: \
    with the unit that comes with the relay, that takes sudo.\n\n\
    Exit status: 0 done, 1 not done, 2 a command line that makes no sense.";

/// All of them.
pub fn commands() -> impl Iterator<Item = Command> {
    let network = |what| {
        Arg::new("network")
            .value_name("ADDRESS|CIDR")
            .help(what)
            .value_parser(|text: &str| text.parse::<Network>())
    };
    let json = Arg::new("json")
        .long("json")
        .help("Print the answer as JSON")
        .action(ArgAction::SetTrue);
    [
        Command::new("status").about("How a relay is that runs: one screen"),
        Command::new("top").about("How a relay is, live, until q is pressed"),
        Command::new("rooms")
            .about("The rooms: their age, their receivers, how fast, and which side is slow"),
        Command::new("who").about("Who uses the relay: addresses by their sessions, rooms and bytes"),
        Command::new("end")
            .about("End a room, and tell everybody in it")
            .arg(
                Arg::new("room")
                    .value_name("ROOM")
                    .help("Its name in `rooms`, in `top` or in the log")
                    .required(true),
            ),
        Command::new("block")
            .about("Block an address or a network, and end its sessions; alone, list what is decided")
            .arg(network("Whom: an IPv4 address, an IPv6 /64 (by any address of it), or a network"))
            .arg(
                Arg::new("for")
                    .long("for")
                    .value_name("TIME")
                    .help("For how long, such as 90s or 1h30m; else until it is unblocked")
                    .requires("network")
                    .value_parser(|text: &str| {
                        let seconds = config::seconds(text).filter(|&seconds| seconds > 0);
                        seconds.ok_or("it must be a time, such as 90s, 1h30m or 7d")
                    }),
            )
            .arg(
                Arg::new("force")
                    .long("force")
                    .help("Also where it has an address of this machine or of a trusted proxy")
                    .requires("network")
                    .action(ArgAction::SetTrue),
            ),
        Command::new("unblock")
            .about("Let an address or a network in again")
            .arg(network("Whom, as it was blocked").required(true)),
        Command::new("limit")
            .about("Read an address or a network only so fast; alone, list what is decided")
            .arg(network("Whom; all its sessions have the pace together").requires("bytes-per-sec"))
            .arg(
                Arg::new("bytes-per-sec")
                    .long("bytes-per-sec")
                    .value_name("N")
                    .help("Bytes read from it in a second, such as 64KiB; 0 is no limit")
                    .requires("network")
                    .value_parser(|text: &str| {
                        config::bytes(text).ok_or("it must be a number of bytes, such as 64KiB")
                    }),
            ),
        Command::new("drain")
            .about("Let nobody new in, give pairs the time to finish (RELAY_DRAIN_TIMEOUT), and end"),
        Command::new("log")
            .about("Change what the log shows, until the settings are read again")
            .arg(
                Arg::new("level")
                    .value_name("LEVEL")
                    .help("off, error, warn, info, debug or trace, or anything else that RUST_LOG takes")
                    .required(true),
            ),
        Command::new("reload").about("Read the settings again, as on SIGHUP"),
    ]
    .into_iter()
    .map(move |command| command.arg(json.clone()).after_help(AFTER_HELP))
}

/// Does what one of them says. `socket` is where the settings have the relay's socket, if they do.
pub fn run(name: &str, flags: &ArgMatches, socket: Option<PathBuf>) -> ExitCode {
    let teller = Teller {
        relay: Relay::find(socket),
        json: flags.get_flag("json"),
    };
    match teller.tell(name, flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Told) => ExitCode::FAILURE,
        Err(Failure::Says(why)) => {
            teller.complain(why);
            ExitCode::FAILURE
        }
    }
}

/// Why a command was not done.
enum Failure {
    /// It was said already.
    Told,
    Says(String),
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self::Says(why)
    }
}

/// Who asks a relay, and tells what it has answered.
struct Teller {
    relay: Relay,
    json: bool,
}

impl Teller {
    fn tell(&self, name: &str, flags: &ArgMatches) -> Result<(), Failure> {
        let network = flags
            .try_get_one::<Network>("network")
            .ok()
            .flatten()
            .copied();
        match (name, network) {
            ("status", _) => self.show("/status", words::status),
            ("rooms", _) => self.show("/rooms", words::room_list),
            ("who", _) => self.show("/who", words::who),
            ("block" | "limit", None) => self.show("/decided", |decided| {
                let lines = words::decided(decided);
                match lines.is_empty() {
                    true => "Nobody is blocked or limited.\n".to_owned(),
                    false => lines,
                }
            }),
            ("block", Some(network)) => {
                let block = Blocking {
                    network,
                    seconds: flags.get_one("for").copied(),
                    force: flags.get_flag("force"),
                };
                self.act("/block", &block)
            }
            ("unblock", Some(network)) => self.act("/unblock", &Unblocking { network }),
            ("limit", Some(network)) => {
                let bytes_per_sec = flags.get_one("bytes-per-sec").copied().unwrap_or(0);
                let limit = Limiting {
                    network,
                    bytes_per_sec,
                };
                self.act("/limit", &limit)
            }
            ("end", _) => self.act(
                "/end",
                &End {
                    room: text(flags, "room"),
                },
            ),
            ("log", _) => self.act(
                "/log",
                &Logging {
                    filter: text(flags, "level"),
                },
            ),
            ("drain", _) => self.act("/drain", &()),
            ("reload", _) => self.act("/reload", &()),
            _ => Ok(top::run(&self.relay, self.json)?),
        }
    }

    /// Tells what is at this path.
    fn show<T: DeserializeOwned>(
        &self,
        path: &str,
        words: impl Fn(&T) -> String,
    ) -> Result<(), Failure> {
        let answer = self.relay.get(path)?;
        self.print(&answer, |answer| answer.read().map(|it| words(&it)))
    }

    /// Has done what is at this path, and tells of it.
    fn act(&self, path: &str, wanted: &impl Serialize) -> Result<(), Failure> {
        let answer = self.relay.post(path, wanted)?;
        self.print(&answer, |answer| {
            let done: Done = answer.read()?;
            Ok(format!("{}\n", done.said))
        })
    }

    /// Says why nothing was done: in JSON where answers are to be, if anybody reads it.
    fn complain(&self, why: String) {
        let json = serde_json::to_string(&NotDone { error: why.clone() });
        let printed = match json.ok().filter(|_| self.json) {
            Some(json) => words::print(&format!("{}\n", escaped_json(&json))).is_ok(),
            None => false,
        };
        if !printed {
            logging::print_error(&why);
        }
    }

    fn print(
        &self,
        answer: &Answer,
        words: impl FnOnce(&Answer) -> Result<String, String>,
    ) -> Result<(), Failure> {
        if self.json {
            words::print(&format!("{}\n", escaped_json(&answer.text)))?;
            return answer.is_done().then_some(()).ok_or(Failure::Told);
        }
        let lines = words(answer)?;
        // What is quoted there, a terminal does not obey.
        let lines = lines.lines().map(|line| format!("{}\n", escaped(line)));
        words::print(&lines.collect::<String>())?;
        Ok(())
    }
}

fn text(flags: &ArgMatches, name: &str) -> String {
    flags.get_one::<String>(name).cloned().unwrap_or_default()
}
