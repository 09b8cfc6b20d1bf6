//! The actors: a [`session::Session`] for each WebSocket, and a [`registry::RoomRegistry`] for each
//! worker thread, through which every frame goes from one session to another.
//!
//! They talk in [`messages`] alone. Which registry is on which thread is in [`directory`].

pub mod directory;
pub mod messages;
pub mod registry;
pub mod session;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod testing;

use std::time::Instant;

/// The time as the timers of this thread's runtime tell it, so that a clock which is paused or
/// moved is so for everybody.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
