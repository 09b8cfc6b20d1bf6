//! Several relays that are one to their clients: nodes that are processes, and a nats-server of their own.
//!
//! `found` has what works, `clients` those of today, `pipe` what goes between nodes, `strangers` those who are none, `faults` what
//! fails, `restarts` nodes that come and go, `resume` senders that do, and `guessing` what wrong codes cost.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "cluster/clients.rs"]
mod clients;
#[allow(dead_code, reason = "the tests of compression need more of it")]
#[path = "compression/deflated.rs"]
mod deflated;
#[path = "cluster/faults.rs"]
mod faults;
#[path = "cluster/found.rs"]
mod found;
#[path = "cluster/guessing.rs"]
mod guessing;
#[path = "cluster/pipe.rs"]
mod pipe;
#[path = "cluster/restarts.rs"]
mod restarts;
#[path = "cluster/resume.rs"]
mod resume;
#[path = "cluster/strangers.rs"]
mod strangers;
