//! The process `distill`: all of it is the library's.

use std::{env, process::ExitCode};

use relay_client::program;

fn main() -> ExitCode {
    program::run(env::args_os())
}
