//! What the relay's tests, benchmarks and soak share: a relay on a free port, in this process or in
//! one of its own, and clients to talk to it.
//!
//! | module | contents |
//! |---|---|
//! | [`local`] | a relay on a thread of this process |
//! | [`process`] | the relay as a process of its own |
//! | [`program`] | any program: what it is started with, what it says, how it ends |
//! | [`memory`] | what the system tells of a process's memory |
//! | `netns` | a network that can be cut (Linux) |
//! | [`nats`] | a nats-server |
//! | [`certificate`] | certificates of servers, good and bad |
//! | [`mod@proxy`] | a proxy before a relay, with or without TLS |
//! | [`nginx`] | how nginx is started |
//! | [`mod@line`] | a line of some rate, delay and buffers |
//! | [`cluster`] | several relays that are one |
//! | [`client`] | a well-behaved client, on a library that the relay does not use |
//! | [`browser`] | a browser, steered |
//! | [`distill`] | `distill`, at work |
//! | [`raw`] | a socket that says exactly the bytes it is told to |
//! | [`pairs`] | two clients in one room |
//! | [`wire`] | frames by hand, right or wrong |
//! | [`reply`] | what the relay says in its own name |
//! | [`http`] | requests, and the relay's pages |
//! | [`metrics`] | `/metrics`, read |
//! | [`port`] | a port to listen on that nobody else is given |
//! | [`mod@noise`] | bytes and text without a pattern |
//! | [`python`] | a share between two clients of today's |
//! | [`mod@skip`] | what to do where a program is not installed |
//! | [`tap`] | a forwarder that keeps what passes, and can be cut |
//! | [`wait`] | how long anything may take |
//!
//! Whatever goes wrong here fails the test that uses it, by a panic with the reason.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

pub mod browser;
pub mod certificate;
pub mod client;
pub mod cluster;
pub mod distill;
pub mod http;
pub mod line;
pub mod local;
pub mod memory;
pub mod metrics;
#[cfg(target_os = "linux")]
pub mod nats;
pub mod netns;
pub mod nginx;
pub mod noise;
pub mod pairs;
pub mod port;
pub mod process;
pub mod program;
pub mod proxy;
pub mod python;
pub mod raw;
pub mod reply;
pub mod skip;
pub mod tap;
pub mod wait;
pub mod wire;

pub use client::{Client, text};
pub use local::TestRelay;
pub use noise::{noise, prose, seeded};
pub use pairs::{pair, raw_pair, raw_receiver_pair, raw_sender_pair};
pub use raw::Raw;
pub use skip::skip;
pub use wait::{DEADLINE, within};
pub use wire::{Frame, frame};
