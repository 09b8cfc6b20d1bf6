//! The command line of `distill`: its help is the manual's text, so whatever a user can rely on is said here.

use std::{path::PathBuf, time::Duration};

use clap::{Arg, ArgAction, Command, value_parser};
use relay_wire::code::RoomCode;

/// The fewest characters that a relay's codes have.
const MIN_CODE: usize = 4;

/// What all of it has to say behind its options.
const AFTER_HELP: &str = "\
    Settings: the relay is the one of --relay, else of the variable DISTILL_RELAY, else of a line \
    relay = \"wss://relay.example.com\" in ~/.config/distill/settings.toml ($XDG_CONFIG_HOME is \
    heeded). The access key, where a relay asks for one, is what the file of --key-file has, else \
    DISTILL_KEY, which goes to the relay of DISTILL_RELAY, or of the settings where that is not set, \
    and to no other; else the line key = \"...\", which goes to the relay of the settings alone. With a \
    line version_2_only = true every command refuses version 1.\n\n\
    Exit status: 0 done; 1 failed for another reason; 2 wrong usage or settings; 3 wrong or expired \
    code; 4 wrong passphrase; 5 the relay cannot be reached or refuses; 6 the other side left or \
    gave up; 7 this machine's disk or file; 130 stopped by a signal.\n\n\
    Signals: SIGINT (Ctrl-C), SIGTERM and SIGHUP tell the other side and end it; a second one ends \
    it at once.";

const SHARE: &str = "\
    It prints a code and a passphrase, and a line to copy for the other side. What lies at PATH may \
    have any size: it is read, packed and sealed while it goes. The line may drop, this program be \
    killed and the relay restart: the same command takes the share up again, under its code. It ends \
    once somebody has it all.\n\n\
    Passphrase: five words are made up unless there is one of --passphrase-fd, of the variable \
    DISTILL_PASSPHRASE, or typed at --ask-passphrase. It is never an argument, as other users of a \
    machine can read those.";

const RECEIVE: &str = "\
    A file that has come in part is kept as NAME.part, with NAME.part.journal beside it: the same \
    command goes on from there. Nothing that exists is written over: a second a.txt becomes \"a \
    (2).txt\".\n\n\
    Passphrase: the one of --passphrase-fd, else of the variable DISTILL_PASSPHRASE, else it is \
    asked for.";

const SESSIONS: &str = "\
    What is fetched is saved as SESSIONID.jsonl. On a terminal the sessions are listed and one is \
    asked for.\n\n\
    Passphrase: the one of --passphrase-fd, else of the variable DISTILL_PASSPHRASE, else it is \
    asked for.";

const JSON: &str = "\
    JSON: with --json standard output has one object a line and nothing else. Its \"event\" is one \
    of: connecting; opened (code, expires_in, link, resumable, and passphrase where it was made up); \
    resumed (the same); joined; peer_joined; proving; proved; begun (name, size, from, version); progress \
    (bytes, total, rate, left, slow: \"here\" or \"line\"; once a second at most); peer_gone \
    (why); line_lost and waiting (why, again_in); delivered (bytes; sent where shared, path where \
    received); sessions (sessions: id, summary, first_prompt, messages, modified, branch, project); \
    warning (text); failed (reason, side, sentence, advice, status). Sizes are bytes, times seconds, \
    rates bytes a second, and what is not known is null. Further events and fields may join.";

/// The longest time that can be given: ten years.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// All of it.
pub fn command() -> Command {
    Command::new("distill")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Share a file, a folder or a stream with another machine, end to end encrypted, through a relay")
        .after_long_help(AFTER_HELP)
        .disable_help_subcommand(true)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(share())
        .subcommand(receive())
        .subcommand(sessions())
}

fn share() -> Command {
    Command::new("share")
        .about("Share a file, a folder, or standard input")
        .after_long_help(behind(SHARE))
        .arg(
            Arg::new("path")
                .value_name("PATH")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The file or folder; - is standard input"),
        )
        .arg(flag(
            "stay",
            "Go on after the first receiver has it, for others, until Ctrl-C",
        ))
        .arg(
            option(
                "expires-in",
                "TIME",
                "How long the code can be used, as far as the relay allows",
            )
            .value_parser(time),
        )
        .arg(flag(
            "ask-passphrase",
            "Ask for a passphrase of your own, twice",
        ))
        .arg(version_2_only())
        .arg(flag(
            "new",
            "Begin anew, under a new code, where an earlier share could be taken up",
        ))
        .args(common())
}

fn receive() -> Command {
    Command::new("receive")
        .about("Receive what somebody shares")
        .after_long_help(behind(RECEIVE))
        .arg(code())
        .arg(output(
            "Where it goes: into this folder, or else under this name; - is standard output \
                    (of files and streams)",
        ))
        .arg(version_2_only())
        .args(common())
}

fn sessions() -> Command {
    Command::new("sessions")
        .about("List the sessions that somebody shares, and fetch one")
        .after_long_help(behind(SESSIONS))
        .arg(code())
        .arg(output(
            "Where it goes: into this folder, or else under this name; - is standard output",
        ))
        .arg(
            flag("list", "Print the list, and fetch nothing")
                .conflicts_with_all(["pick", "output"]),
        )
        .arg(option(
            "pick",
            "ID",
            "Fetch the session of this id, as the list has it",
        ))
        .args(common())
}

/// The options of all subcommands.
fn common() -> [Arg; 6] {
    [
        option(
            "relay",
            "URL",
            "The relay, such as wss://relay.example.com [DISTILL_RELAY]",
        ),
        option(
            "key-file",
            "FILE",
            "A file of the access key that the relay asks for [DISTILL_KEY]",
        )
        .value_parser(value_parser!(PathBuf)),
        option(
            "passphrase-fd",
            "N",
            "Read the passphrase from this file descriptor, up to its first line's end",
        )
        .value_parser(value_parser!(i32).range(0..)),
        option("patience", "TIME", "How long to try on while nothing moves")
            .default_value("10m")
            .value_parser(time),
        flag(
            "json",
            "Print JSON for programs, an object a line, on standard output",
        ),
        flag(
            "quiet",
            "Say nothing but what the other side needs, and what went wrong",
        )
        .short('q'),
    ]
}

fn version_2_only() -> Arg {
    flag(
        "version-2-only",
        "Refuse version 1, which the Python clients of today speak: whoever hears it can try passphrases on it",
    )
}

fn code() -> Arg {
    Arg::new("code")
        .value_name("CODE")
        .required(true)
        .value_parser(room_code)
        .help("The code that the other side was given, such as a7f-3k2")
}

fn output(help: &'static str) -> Arg {
    option("output", "PATH", help)
        .short('o')
        .value_parser(value_parser!(PathBuf))
}

fn option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .help(help)
        .action(ArgAction::SetTrue)
}

/// What a subcommand says behind its options, and what all of them do.
fn behind(own: &str) -> String {
    format!("{own}\n\n{JSON}\n\n{AFTER_HELP}")
}

fn room_code(text: &str) -> Result<RoomCode, String> {
    RoomCode::from_typed(text)
        .filter(|code| code.reveal().len() >= MIN_CODE)
        .ok_or_else(|| "a code has 4 to 16 letters and digits, such as a7f-3k2".to_owned())
}

fn time(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if (Duration::from_secs(1)..=LONGEST).contains(&time) => Ok(time),
        Ok(_) => Err("it must be a second at least, and ten years at most".to_owned()),
        Err(_) => Err("a time is given as 90s, 10m or 1h30m".to_owned()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        command().debug_assert();
    }

    #[test]
    fn codes_are_read_as_people_type_them_and_times_with_their_unit() {
        assert_eq!(room_code("A7F-3K2").unwrap().reveal(), "a7f3k2");
        assert!(room_code("a-7/f").is_err());
        assert_eq!(time("1h30m"), Ok(Duration::from_secs(5400)));
        for none in ["0s", "soon", "11years", "200000000000years"] {
            assert!(time(none).is_err(), "{none}");
        }
    }
}
