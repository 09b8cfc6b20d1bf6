//! The service manager: what it hands us at the start, and what it wants to hear.
//!
//! systemd, in practice: a listening socket of its own (`LISTEN_FDS`), so that it outlives a
//! restart, and readiness, a status line and a watchdog (`NOTIFY_SOCKET`, `WATCHDOG_USEC`).
//! Without them nothing here does anything.

use std::{env, io, net::TcpListener, sync::Arc, time::Duration};

use actix_rt::time::{interval, sleep, timeout};
use listenfd::ListenFd;
use log::{error, warn};
use sd_notify::NotifyState;

use crate::{
    actors::{directory::Directory, messages::Alive},
    state::State,
};

/// How often the status line is renewed, at least.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);
/// How soon to look again for workers that are still starting.
const START_INTERVAL: Duration = Duration::from_millis(10);

/// The listening socket that was handed to us, if any.
///
/// # Errors
///
/// Where what was handed to us is no listening socket.
pub fn inherited_listener() -> io::Result<Option<TcpListener>> {
    ListenFd::from_env().take_tcp_listener(0)
}

/// Reports for as long as it is polled: that the relay is ready, what it is doing, and, as often
/// as the watchdog wants it, that every worker still answers.
pub async fn watch(state: Arc<State>, directory: Arc<Directory>) {
    if env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    while directory.registries().count() < state.config.workers {
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
