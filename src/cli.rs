//! The command line: the relay's own flags, and the subcommands beside it. The relay is what runs
//! without one; its flags may stand before one, too. Two are for packagers and hidden: `man` and
//! `completions` print what is made of this command line.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use crate::{check, config};

/// All of it.
pub fn command() -> Command {
    let page = Arg::new("page")
        .value_name("SUBCOMMAND")
        .help("The subcommand whose page it is, if not the relay's")
        .value_parser(["check"]);
    let shell = Arg::new("shell")
        .required(true)
        .value_parser(value_parser!(Shell));
    config::command()
        .disable_help_subcommand(true)
        .subcommand(check::command())
        .subcommand(
            Command::new("man")
                .about("Print the manual page, as roff")
                .hide(true)
                .arg(page),
        )
        .subcommand(
            Command::new("completions")
                .about("Print the completions for a shell")
                .hide(true)
                .arg(shell),
        )
}

/// Does what the subcommand in `flags` says; `None` where there is none.
pub fn subcommand(flags: &ArgMatches) -> Option<ExitCode> {
    let (name, arguments) = flags.subcommand()?;
    Some(match name {
        "check" => check::run(arguments, || config::load_installed(flags)),
        "man" => print(man(arguments)),
        _ => print(Ok(completions(arguments))),
    })
}

/// The manual page, of section 1.
fn man(arguments: &ArgMatches) -> io::Result<Vec<u8>> {
    let mut command = command();
    // Names the subcommands in full, as `claude-distill-relay-check`.
    command.build();
    let page = arguments.get_one::<String>("page");
    let page = page
        .and_then(|name| command.find_subcommand(name))
        .unwrap_or(&command);
    let mut text = Vec::new();
    clap_mangen::Man::new(page.clone()).render(&mut text)?;
    Ok(text)
}

fn completions(arguments: &ArgMatches) -> Vec<u8> {
    let mut text = Vec::new();
    if let Some(&shell) = arguments.get_one::<Shell>("shell") {
        let name = env!("CARGO_PKG_NAME");
        clap_complete::generate(shell, &mut command(), name, &mut text);
    }
    text
}

fn print(text: io::Result<Vec<u8>>) -> ExitCode {
    match text.and_then(|text| io::stdout().write_all(&text)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
