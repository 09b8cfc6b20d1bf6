//! Writes what a package of the relay brings along beside the program and is made from its command
//! line: the manual pages and the completions. It is a program of its own, so that a relay that
//! serves carries none of this.

use std::{env, fs, io, path::Path, process::ExitCode};

use clap_complete::Shell;
use claude_distill_relay::cli;

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

/// Writes all files into `directory`, which is made if need be, under the names that man and the
/// shells look for.
fn write(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let mut command = cli::command();
    let name = command.get_name().to_owned();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command, &name, directory)?;
    }
    clap_mangen::generate_to(cli::command(), directory)
}
