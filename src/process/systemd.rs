//! The service manager: what it hands us at the start, and what it wants to hear.
//!
//! systemd, in practice: listening sockets of its own (`LISTEN_FDS`), so that they outlive a
//! restart, readiness, a status line and a watchdog (`NOTIFY_SOCKET`, `WATCHDOG_USEC`), and directories.
//! Without them nothing here does anything.

use std::{env, net::TcpListener, path::PathBuf, sync::Arc, time::Duration};

use actix_rt::time::{interval, sleep, timeout};
use listenfd::ListenFd;
use log::{error, warn};
use sd_notify::NotifyState;
use socket2::SockRef;

use crate::{
    actors::{directory::Directory, messages::Alive},
    state::State,
};

/// How often the status line is renewed, at least.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);
/// How soon to look again for workers that are still starting.
const START_INTERVAL: Duration = Duration::from_millis(10);

/// The listening sockets that were handed to us, if any.
///
/// # Errors
///
/// Which of them is none, and what it is: to serve the others alone would leave whoever connects to
/// that one without an answer.
pub fn inherited_listeners() -> Result<Vec<TcpListener>, String> {
    let mut handed = ListenFd::from_env();
    let all = handed.len();
    let mut listeners = Vec::new();
    for index in 0..all {
        let listener = listener_at(&mut handed, index);
        listeners
            .push(listener.map_err(|what| format!("socket {} of {all} is {what}", index + 1))?);
    }
    Ok(listeners)
}

/// The directory for what lasts as long as the process (`RuntimeDirectory=`), if it has one.
pub(super) fn runtime_directory() -> Option<PathBuf> {
    directory("RUNTIME_DIRECTORY")
}

/// The directory for what outlives it (`StateDirectory=`), if it has one.
pub(super) fn state_directory() -> Option<PathBuf> {
    directory("STATE_DIRECTORY")
}

/// The first of the directories in this variable (systemd.exec(5)).
fn directory(variable: &str) -> Option<PathBuf> {
    let first = env::split_paths(&env::var_os(variable)?).next();
    first.filter(|path| path.is_absolute())
}

/// Whether a service manager has started us, which may do so again.
pub(super) fn is_there() -> bool {
    env::var_os("NOTIFY_SOCKET").is_some()
}

/// One of them, or what it is in place of one.
fn listener_at(handed: &mut ListenFd, index: usize) -> Result<TcpListener, &'static str> {
    const UNIX: &str = "a Unix socket: ListenStream= takes an address and a port, or a port";
    const DATAGRAM: &str = "for datagrams: it has to be ListenStream=";
    match handed.take_tcp_listener(index) {
        Ok(Some(socket)) => match SockRef::from(&socket).is_listener() {
            Ok(true) => Ok(socket),
            _ => Err("a connection and no listener: it has to be Accept=no"),
        },
        _ if handed.take_unix_listener(index).is_ok() => Err(UNIX),
        _ if handed.take_unix_datagram(index).is_ok() => Err(DATAGRAM),
        _ if handed.take_udp_socket(index).is_ok() => Err(DATAGRAM),
        _ => Err("no TCP socket"),
    }
}

/// Reports for as long as it is polled: that the relay is ready, what it is doing, and, as often
/// as the watchdog wants it, that every worker still answers.
pub async fn watch(state: Arc<State>, directory: Arc<Directory>) {
    if !is_there() {
        return;
    }
    while directory.registries().count() < state.live().config.workers {
        sleep(START_INTERVAL).await;
    }
    let patience = sd_notify::watchdog_enabled().map_or(REPORT_INTERVAL, |limit| limit / 2);
    let mut ticks = interval(patience.min(REPORT_INTERVAL));
    let mut ready = false;
    loop {
        ticks.tick().await;
        if !all_answer(&directory, patience).await {
            // Whether that is a hang is for the watchdog to decide: it is not told otherwise.
            error!("a worker has not answered for {patience:?}");
            continue;
        }
        let now = state.snapshot();
        let status = format!("{} sessions, {} rooms", now.sessions, now.rooms);
        let mut states = vec![NotifyState::Watchdog];
        if !state.is_stopping() {
            states.push(NotifyState::Status(&status));
        }
        if !std::mem::replace(&mut ready, true) {
            states.push(NotifyState::Ready);
        }
        notify(&states);
    }
}

/// Says that the relay has begun to stop.
pub fn stopping() {
    notify(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

/// Says that the relay reads its settings again. [`ready`] has to follow.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => warn!("there is no clock to tell the service manager of: {error}"),
    }
}

/// Says that the relay has done so.
pub(super) fn ready() {
    notify(&[NotifyState::Ready]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!("the service manager cannot be told: {error}");
    }
}

async fn all_answer(directory: &Directory, patience: Duration) -> bool {
    for registry in directory.registries() {
        if !matches!(timeout(patience, registry.send(Alive)).await, Ok(Ok(()))) {
            return false;
        }
    }
    true
}
