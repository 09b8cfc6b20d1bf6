//! What the relay tells its operator: the log, the metrics and what its page shows.

mod filter;
pub mod logging;
pub mod memory;
pub mod metrics;
pub mod status;
mod writer;
