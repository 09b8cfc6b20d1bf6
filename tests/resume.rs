//! Rooms that outlive their senders' connections. `kept` is what happens in one relay, `again` what a relay does that has
//! started anew, `stopping` how the last one hands over to it, and `keys` what becomes of the file that lets it. What wrong
//! tokens cost is in `guessing`, and what the operator does in `operator`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "resume/again.rs"]
mod again;
#[path = "resume/kept.rs"]
mod kept;
#[path = "resume/keys.rs"]
mod keys;
#[path = "resume/stopping.rs"]
mod stopping;
