//! What the relay tells its operator: the log and the metrics.

pub mod logging;
pub mod metrics;
mod writer;
