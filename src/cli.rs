//! The command line: the relay's own flags, and the subcommands beside it. The relay is what runs
//! without one; its flags may stand before one, too.

use std::{path::PathBuf, process::ExitCode};

use clap::{ArgMatches, Command};

use crate::{
    admin::commands,
    check::{self, Keys, Whose},
    config,
    observe::logging,
};

/// All of it.
pub fn command() -> Command {
    config::command()
        .disable_help_subcommand(true)
        .subcommand(check::command())
        .subcommands(commands::commands())
}

/// Does what the subcommand in `flags` says; `None` where there is none.
pub fn subcommand(flags: &ArgMatches) -> Option<ExitCode> {
    Some(match flags.subcommand()? {
        ("check", arguments) => check::run(arguments, |whose, keys| match (whose, keys) {
            (Whose::Here, Keys::Read) => config::load_to_check(flags, &config::FILES),
            (Whose::Installed, Keys::Read) => config::load_to_check(flags, &[config::INSTALLED]),
            (Whose::Here, Keys::Left) => config::load_but_keys(flags, &config::FILES),
            (Whose::Installed, Keys::Left) => config::load_but_keys(flags, &[config::INSTALLED]),
        }),
        (name, arguments) => commands::run(name, arguments, admin_socket(flags)),
    })
}

/// The socket that the settings here give a relay, or those that are installed do. Settings that cannot be
/// used are in nobody's way: a relay may well run with those before.
fn admin_socket(flags: &ArgMatches) -> Option<PathBuf> {
    let here = config::admin_socket(flags, &config::FILES);
    here.or_else(|| config::admin_socket(flags, &[config::INSTALLED]))
}

/// Prints what is to be said in place of doing anything: the help, the version, or what is wrong
/// with the command line. Returns the status to end with.
pub fn say(instead: clap::Error) -> ExitCode {
    let status = match instead.exit_code() {
        0 => instead.print().map(|()| ExitCode::SUCCESS),
        _ => {
            logging::print_to_stderr(move || instead.print());
            Ok(ExitCode::from(2))
        }
    };
    status.unwrap_or_else(|error| {
        logging::print_error(&format_args!("this cannot be printed: {error}"));
        ExitCode::FAILURE
    })
}
