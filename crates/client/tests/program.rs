//! The program `distill` as its users meet it: processes that share with each other through a relay, what
//! they say, and how they end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "program/disks.rs"]
mod disks;
#[path = "program/relays.rs"]
mod relays;
#[path = "program/setup.rs"]
mod setup;
#[path = "program/sharing.rs"]
mod sharing;
#[path = "program/stopping.rs"]
mod stopping;
#[path = "program/terminal.rs"]
mod terminal;
#[path = "program/usage.rs"]
mod usage;
