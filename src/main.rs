//! The relay's process: settings, logging, signals, exit status. The relay itself is the library's.
//!
//! Status 0 is a relay that was told to stop and did, 1 one that could not run, 2 a setting that
//! cannot be used; a second signal ends the drain at once, with the status a shell would report.

use std::{
    future::poll_fn,
    io, panic,
    path::PathBuf,
    pin::pin,
    process::{self, ExitCode},
    sync::Arc,
    task::Poll,
};

use clap::ArgMatches;
use claude_distill_relay::{
    cli,
    config::{self, Config, Settings},
    observe::logging,
    process::{Relay, orders, systemd, worker},
    version,
};
use futures_util::future::{Either, select};
use log::{error, info, warn};
use tikv_jemallocator::Jemalloc;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
};

/// It gives memory back to the system by a thread of its own, some seconds after it was last needed,
/// wherever it lies (.cargo/config.toml says how many). glibc's allocator keeps all that lies below
/// something still in use, for ever.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let flags = match cli::command().try_get_matches() {
        Ok(flags) => flags,
        Err(instead) => return cli::say(instead),
    };
    if let Some(status) = cli::subcommand(&flags) {
        return status;
    }
    let settings = match config::load(&flags) {
        Ok(settings) => settings,
        Err(error) => {
            logging::print_error(&error);
            return ExitCode::from(2);
        }
    };
    let Settings {
        config,
        log_filter,
        warnings,
        file,
        keys_file: _,
    } = settings;
    let complaint = logging::set_filter(log_filter.as_deref());
    let _log = match logging::init() {
        Ok(log) => log,
        Err(error) => {
            logging::print_error(&format_args!("the log cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    log_panics();
    info!("{} {}", env!("CARGO_PKG_NAME"), version::SHOWN);
    for warning in complaint.into_iter().chain(warnings) {
        warn!("{warning}");
    }
    let ended = match worker::system() {
        Ok(system) => system.block_on(serve(config, flags, log_filter, file)),
        Err(error) => Err(format!("the relay cannot start: {error}")),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            error!("{reason}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the relay until a signal or its operator ends it. An error is one sentence.
async fn serve(
    config: Config,
    flags: ArgMatches,
    log_filter: Option<String>,
    file: Option<PathBuf>,
) -> Result<(), String> {
    let (host, port) = (config.host.clone(), config.port);
    let no_signals = |error| format!("cannot await signals: {error}");
    let mut signals = Signals::new().map_err(no_signals)?;
    let hang_up = signal(SignalKind::hangup()).map_err(no_signals)?;
    let inherited = systemd::inherited_listeners()
        .map_err(|error| format!("what systemd hands to the relay is of no use: {error}"))?;
    let mut relay = match inherited.as_slice() {
        [] => Relay::bind(config),
        _ => Relay::inherit(inherited, config),
    }
    .map_err(|error| bind_failure(&host, port, &error))?;
    let events = relay.events();
    let (reload, orders) = (relay.reload(flags, log_filter, file), relay.orders());
    let drain = Arc::new(Notify::new());
    let drained = Arc::clone(&drain);
    actix_rt::spawn(orders::obey(reload, orders, hang_up, drain));
    let shutdown = async move {
        let ordered = match select(pin!(drained.notified()), pin!(signals.next())).await {
            // Polled first: where both are there, the operator was answered before the signal came.
            Either::Left(_) => {
                info!("stopping, as the operator says");
                true
            }
            Either::Right((signal, _)) => {
                info!("stopping on {}; again to stop at once", signal.name);
                false
            }
        };
        actix_rt::spawn(async move {
            if ordered {
                // A service manager's first signal means no more than that either.
                let signal = signals.next().await;
                info!("{}: stopping already; again to stop at once", signal.name);
            }
            let signal = signals.next().await;
            events.end();
            logging::flush();
            process::exit(signal.status)
        });
    };
    let ended = relay.run(shutdown).await;
    ended.map_err(|error| format!("the relay cannot go on: {error}"))
}

/// Logs where a panic happened, and not what it was about: that may be a client's data.
fn log_panics() {
    panic::set_hook(Box::new(|panic| match panic.location() {
        Some(place) => error!("panic at {place}"),
        None => error!("panic at an unknown place"),
    }));
}

/// Why we cannot listen on `port` of `host`, and what to do about it.
fn bind_failure(host: &str, port: u16, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            // Which of several addresses.
            let which = error.get_ref().map(|address| format!(" ({address})"));
            format!(
                "port {port} of {host} is in use{}: stop what uses it, or choose another RELAY_PORT",
                which.unwrap_or_default()
            )
        }
        io::ErrorKind::AddrNotAvailable => format!(
            "RELAY_HOST {host} is not an address of this machine: choose one that is, or 0.0.0.0 \
             or :: for all of them"
        ),
        io::ErrorKind::PermissionDenied => format!(
            "RELAY_PORT {port} is not ours to listen on: choose one from 1024 on, or run with the \
             right to it"
        ),
        // A failed lookup has no kind of its own, but no number of the operating system's either.
        _ if error.raw_os_error().is_none() => {
            format!("RELAY_HOST {host} does not resolve to an address: {error}")
        }
        _ => format!("cannot listen on RELAY_PORT {port} of RELAY_HOST {host}: {error}"),
    }
}

/// A request to stop, and the exit status of a process that it ended.
struct StopSignal {
    name: &'static str,
    status: i32,
}

const INTERRUPT: StopSignal = StopSignal {
    name: "SIGINT",
    status: 130,
};

const TERMINATE: StopSignal = StopSignal {
    name: "SIGTERM",
    status: 143,
};

/// The signals that ask us to stop, caught from creation on.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> StopSignal {
        poll_fn(|cx| {
            if self.interrupt.poll_recv(cx).is_ready() {
                Poll::Ready(INTERRUPT)
            } else {
                self.terminate.poll_recv(cx).map(|_| TERMINATE)
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(host: &str, kind: impl Into<io::Error>) -> String {
        bind_failure(host, 9784, &kind.into())
    }

    #[test]
    fn each_reason_for_not_listening_names_the_setting_to_change() {
        let in_use = failure("::1", io::ErrorKind::AddrInUse);
        assert!(in_use.starts_with("port 9784 of ::1 is in use"), "{in_use}");
        assert!(in_use.contains("RELAY_PORT"), "{in_use}");

        let one = io::Error::new(io::ErrorKind::AddrInUse, "[::1]:9784");
        let one = failure("localhost", one);
        assert!(
            one.starts_with("port 9784 of localhost is in use ([::1]:9784): "),
            "{one}"
        );

        let not_ours = failure("192.0.2.1", io::ErrorKind::AddrNotAvailable);
        assert!(
            not_ours.starts_with("RELAY_HOST 192.0.2.1 is not an address"),
            "{not_ours}"
        );

        let forbidden = failure("127.0.0.1", io::ErrorKind::PermissionDenied);
        assert!(
            forbidden.starts_with("RELAY_PORT 9784 is not ours"),
            "{forbidden}"
        );

        let unresolved = failure("nowhere", io::Error::other("Name or service not known"));
        assert!(
            unresolved.starts_with("RELAY_HOST nowhere does not resolve"),
            "{unresolved}"
        );
    }

    #[test]
    fn any_other_failure_is_told_as_it_is() {
        let error = io::Error::from_raw_os_error(24);
        let text = failure("127.0.0.1", error);
        assert!(
            text.starts_with("cannot listen on RELAY_PORT 9784 of RELAY_HOST 127.0.0.1: "),
            "{text}"
        );
    }
}
