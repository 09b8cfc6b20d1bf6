//! Writes what the packages of the relay and of `distill` bring along beside the programs and is made from
//! their command lines: the manual pages and the completions. It is a program of its own, so that neither
//! carries any of this.

use std::{env, fs, io, path::Path, process::ExitCode};

use clap::Command;
use clap_complete::Shell;
use claude_distill_relay::cli;
use relay_client::program;

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let (Some(directory), None) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: {} DIRECTORY", env!("CARGO_PKG_NAME"));
        return ExitCode::from(2);
    };
    match write(Path::new(&directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{} cannot be written to: {error}", directory.display());
            ExitCode::FAILURE
        }
    }
}

/// Writes all files into a folder for each program, which is made if need be, under the names that man and
/// the shells look for.
fn write(directory: &Path) -> io::Result<()> {
    for command in [cli::command(), program::cli::command()] {
        write_of(command, directory)?;
    }
    Ok(())
}

fn write_of(command: Command, directory: &Path) -> io::Result<()> {
    let name = command.get_name().to_owned();
    let folder = directory.join(&name);
    fs::create_dir_all(&folder)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command.clone(), &name, &folder)?;
    }
    clap_mangen::generate_to(command, folder)
}
