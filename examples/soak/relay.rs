//! The relay under test: this very program again, as a child, so that its memory is its own.

use std::{
    env, io,
    process::Stdio,
    time::{Duration, Instant},
};

use claude_distill_relay::{
    config::Config,
    process::{Relay, worker},
};
use relay_testing::{
    metrics::Account,
    process::{self, Start},
    program::Program,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::sleep,
};

use crate::times::{PATIENCE, STALL};

/// The argument that makes this program the relay.
pub const AS_RELAY: &str = "--as-relay";

/// What must be back at nothing when everybody has left.
const OUTSTANDING: [&str; 7] = [
    "relay_sessions",
    "relay_rooms",
    "relay_pairs",
    "relay_queued_receivers",
    "relay_in_flight_bytes",
    "relay_buffered_bytes",
    "relay_held_bytes",
];

/// Runs a relay in this process until it is told to stop, at the port in its environment.
pub fn serve() -> io::Result<()> {
    let port = env::var("RELAY_PORT").map_err(io::Error::other)?;
    let relay = Relay::bind(Config {
        port: port.parse().map_err(io::Error::other)?,
        // Half of all pairs meet after one of them has changed workers.
        workers: 2,
        // All clients share one address; budgets and shares are not what is tested here.
        address_sessions: 1_000_000,
        address_rooms: 1_000_000,
        address_buffered: 1 << 40,
        rate_limit_max: 1_000_000,
        address_rate_limit_max: 1_000_000,
        failed_join_max: 1_000_000,
        ping_interval: STALL / 2,
        stall_timeout: STALL,
        ..Config::default()
    })?;
    worker::system()?.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let stopped = async {
            let _ = terminate.recv().await;
        };
        relay.run(stopped).await
    })
}

/// Starts one in a process of its own.
pub fn start() -> io::Result<process::Relay> {
    let program = Program::new(env::current_exe()?).args([AS_RELAY]);
    Ok(Start::through(program.stderr(Stdio::inherit())).run())
}

/// Waits until nothing is outstanding; returns what still is when patience is at an end.
pub async fn settle(relay: &process::Relay) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let metrics = relay.metrics().await;
        let left = OUTSTANDING.map(|name| (name, metrics.get(name)));
        let left = left.iter().filter(|(_, value)| *value != 0);
        let left = left.map(|(name, value)| format!("{name} {value}"));
        let account = Account::of(&metrics);
        let uneven =
            (!account.is_even()).then(|| format!("{account:?}, which does not come out even"));
        let left: Vec<_> = left.chain(uneven).collect();
        if left.is_empty() || Instant::now() > deadline {
            return left;
        }
        sleep(Duration::from_millis(100)).await;
    }
}
