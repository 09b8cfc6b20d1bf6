//! What a check does, and how much of it.

use std::time::Duration;

use super::target::Target;
use crate::config::Config;

/// What is sent each way, where nothing speaks for less.
pub(super) const DATA_SIZE: usize = 1024 * 1024;
/// Bytes of the longest message that is taken: more than the longest that is sent.
pub(super) const LONGEST: usize = 2 * DATA_SIZE;
/// Bytes that are read from one connection, whatever the server sends: what is asked for, and room for
/// what comes with it.
pub(super) const MOST: usize = 4 * DATA_SIZE;

/// What a check does.
pub(super) struct Plan {
    /// How long a step may take.
    pub(super) limit: Duration,
    /// The URL that clients use, where it is given.
    pub(super) public: Option<Target>,
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
            message: at_most(config.sender_message().min(config.receiver_message())),
            ..self
        }
    }
}
