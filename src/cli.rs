//! The command line: the relay's own flags, and the subcommand beside it. The relay is what runs
//! without one; its flags may stand before one, too.

use std::process::ExitCode;

use clap::{ArgMatches, Command};

use crate::{
    check::{self, Whose},
    config,
    observe::logging,
};

/// All of it.
pub fn command() -> Command {
    config::command()
        .disable_help_subcommand(true)
        .subcommand(check::command())
}

/// Does what the subcommand in `flags` says; `None` where there is none.
pub fn subcommand(flags: &ArgMatches) -> Option<ExitCode> {
    let (_, arguments) = flags.subcommand()?;
    Some(check::run(arguments, |whose| match whose {
        Whose::Here => config::load(flags),
        Whose::Installed => config::load_installed(flags),
    }))
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
