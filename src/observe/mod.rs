//! What the relay tells its operator: the log, the event log, the metrics and what its page shows.

pub mod events;
mod filter;
pub mod logging;
pub mod memory;
pub mod metrics;
pub mod status;
pub mod uptime;
mod writer;
