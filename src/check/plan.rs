//! What a check does, and how much of it.

use std::time::Duration;

use crate::config::Config;

/// What is sent each way, where nothing speaks for less.
pub(super) const DATA_SIZE: usize = 1024 * 1024;

/// What a check does.
pub(super) struct Plan {
    /// How long a step may take.
    pub(super) limit: Duration,
    /// How long to say nothing, if at all.
    pub(super) idle: Option<Duration>,
    /// How many bytes to send each way.
    pub(super) data: usize,
    /// In messages of how many bytes.
    pub(super) message: usize,
    /// Whether to look at what stands around a relay of this machine.
    pub(super) machine: bool,
}

impl Plan {
    /// The same, no larger and no faster than a relay with this configuration allows.
    pub(super) fn within(self, config: &Config) -> Self {
        let at_most = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).min(DATA_SIZE);
        let data = match config.session_bytes_per_sec {
            0 => self.data,
            pace => at_most(pace.saturating_mul(2)),
        };
        Self {
            data,
            message: at_most(config.max_msg_size),
            ..self
        }
    }
}
