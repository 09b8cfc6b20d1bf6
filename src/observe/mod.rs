//! What the relay tells its operator: the log, the event log and the metrics.

pub mod events;
mod filter;
pub mod logging;
pub mod memory;
pub mod metrics;
mod writer;
