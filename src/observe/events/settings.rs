//! What the operator has said of the event log.

use std::{path::PathBuf, time::Duration};

use crate::config::{Addresses, Config};

/// Where and how events are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) folder: Option<PathBuf>,
    pub(super) addresses: Addresses,
    /// Bytes of all files of lines.
    pub(super) size: u64,
    /// How long a line is kept.
    pub(super) keep: Duration,
}

impl Settings {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            folder: config.log_dir.clone(),
            addresses: config.log_addresses,
            size: config.log_size,
            keep: config.log_keep,
        }
    }
}
