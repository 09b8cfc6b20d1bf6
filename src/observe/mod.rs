//! What the relay tells its operator: the log and the metrics.

mod filter;
pub mod logging;
pub mod memory;
pub mod metrics;
mod writer;
