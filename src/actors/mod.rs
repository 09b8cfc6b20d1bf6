//! The actors: a [`session::Session`] for each WebSocket, and a [`registry::RoomRegistry`] for each
//! worker thread, through which every frame goes from one session to another.
//!
//! They talk in [`messages`] alone. Which registry is on which thread is in [`directory`].

mod charge;
pub mod directory;
pub mod messages;
pub mod registry;
pub mod session;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod testing;

use std::{
    future::Future,
    pin::pin,
    time::{Duration, Instant},
};

use tokio::time::{error::Elapsed, timeout, timeout_at};

use crate::flow::clocks::TIME_TO_READ;

/// How late a deadline is noticed at most, while the process runs.
const LATE: Duration = Duration::from_millis(100);

/// The time as the timers of this thread's runtime tell it, so that a clock which is paused or
/// moved is so for everybody.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Waits for `work`, for as long as `most`; and for a little longer where the whole process has stood
/// still past that, since what it waits for may have come meanwhile and waits to be read.
///
/// # Errors
///
/// Where the time is up.
pub async fn within<F: Future>(most: Duration, work: F) -> Result<F::Output, Elapsed> {
    let due = tokio::time::Instant::now() + most;
    let mut work = pin!(work);
    match timeout_at(due, &mut work).await {
        Err(_) if due.elapsed() > LATE => timeout(TIME_TO_READ, work).await,
        done => done,
    }
}
