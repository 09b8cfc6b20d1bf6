//! Several relays that are one to their clients: nodes that are processes, a nats-server, and today's clients on any of
//! them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "cluster/found.rs"]
mod found;
