//! The program `distill`: what it is told from outside, and what it says.
//!
//! | module | contents |
//! |---|---|
//! | [`cli`] | the command line |
//! | `settings` | which relay, with which key |
//! | `passphrase` | where a passphrase comes from |
//! | `signals` | what ends it from outside |
//! | `invitation` | what the other side has to be told |
//! | `failure` | why it ends otherwise than well |
//! | `news` | what there is to show |
//! | `show` | what is shown while it goes on |
//! | `share`, `receive`, `sessions` | the subcommands |
//!
//! What is shared and received, and how, is the engine's.

pub mod cli;
mod failure;
mod invitation;
mod news;
mod passphrase;
mod receive;
mod sessions;
mod settings;
mod share;
mod show;
mod signals;

use std::{ffi::OsString, process::ExitCode};

use clap::ArgMatches;

use self::{failure::Failure, news::Role, show::Show, signals::Stop};
use crate::engine::fault::Fault;

/// Does what the command line says, and returns the status to end with.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let flags = match cli::command().try_get_matches_from(arguments) {
        Ok(flags) => flags,
        Err(instead) => {
            // Where it cannot be printed, nobody is there to be told.
            let _ = instead.print();
            return ExitCode::from(u8::try_from(instead.exit_code()).unwrap_or(2));
        }
    };
    let stop = match signals::watch() {
        Ok(stop) => stop,
        Err(error) => return show::end_without(&cannot_start(&error)),
    };
    // One thread: what takes time, the disk and the sealing, has threads of its own.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return show::end_without(&cannot_start(&error)),
    };
    let status = runtime.block_on(obey(&flags, stop));
    // A thread that still waits for a prompt or a disk is not waited for.
    runtime.shutdown_background();
    status
}

/// Does what the subcommand says.
async fn obey(flags: &ArgMatches, mut stop: Stop) -> ExitCode {
    let Some((name, flags)) = flags.subcommand() else {
        // clap asks for one.
        return ExitCode::from(2);
    };
    let role = match name {
        "share" => Role::Sender,
        _ => Role::Receiver,
    };
    let show = Show::new(flags, role);
    let done = match name {
        "share" => share::run(flags, &show, &mut stop).await,
        "receive" => receive::run(flags, &show, &mut stop).await,
        _ => sessions::run(flags, &show, &mut stop).await,
    };
    show.end(done)
}

fn cannot_start(error: &std::io::Error) -> Failure {
    Fault::Machine(format!("This program cannot start: {error}.")).into()
}
