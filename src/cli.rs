//! The command line: the relay's own flags, and the subcommand beside it. The relay is what runs
//! without one; its flags may stand before one, too.

use std::process::ExitCode;

use clap::{ArgMatches, Command};

use crate::{check, config};

/// All of it.
pub fn command() -> Command {
    config::command()
        .disable_help_subcommand(true)
        .subcommand(check::command())
}

/// Does what the subcommand in `flags` says; `None` where there is none.
pub fn subcommand(flags: &ArgMatches) -> Option<ExitCode> {
    let (_, arguments) = flags.subcommand()?;
    Some(check::run(arguments, || config::load_installed(flags)))
}
