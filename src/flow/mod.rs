//! The bytes of one session: what they mean, how many may be under way, how fast they come, and
//! when a peer is given up.
//!
//! ```text
//! socket ─► FrameReader ─► Data ─► … mailboxes … ─► Delivery ─► (Unpacker ─►) Outbox ─► socket
//!                 └ charges a Credit, which the Outbox drops when the bytes are written;
//!                   it also books in the Ledger what becomes of them
//! ```
//!
//! A compressed message goes the same way as it came. The reader looks into one that its recipient could
//! come to harm by, and the unpacker inflates one that its recipient cannot.
//!
//! Pure: bytes and the time are passed in, and what is to be written is handed out. Sockets and
//! wake-ups are the session's, but for the one of a reader whose window has opened; what the frames
//! are for (requests, rooms, peers) is decided elsewhere.

pub mod arrival;
pub mod buffers;
pub mod chatter;
pub mod clocks;
pub mod credit;
pub mod data;
mod event;
pub mod inflate;
pub mod ledger;
pub mod outbox;
pub mod pace;
pub mod reader;
pub mod unpack;
pub mod vitals;

/// What [`credit`] counts and wakes with.
mod sync {
    pub(super) use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    pub(super) use futures_util::task::AtomicWaker;
}

// Not in `credit` itself, which `tests/window.rs` compiles with other atomics than these tests use.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "credit/tests.rs"]
mod credit_tests;
