//! The memory of the process: what it has now, and what clients can make of it at most.

use std::fs;

use crate::{
    config::Config,
    limits::{admission::MAX_ADDRESSES, callers::MOST_GONE},
};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// What the process has before anybody comes.
const ITSELF: u64 = 15 * MIB;
/// A session at its worst, beside its window: itself, the read that filled the window, little reads before
/// they are a fragment, what is read ahead, and what inflates a message.
const SESSION: u64 = (4 + 64 + 64 + 4 + 80) * KIB;
/// The last part of a message for a sender, and its growth by doubling, for each receiver in mid-message.
const MESSAGE: u64 = 128 * KIB;
/// An address with a budget.
const ADDRESS: u64 = 600;
/// What an address has done that has no session now.
const CALLER: u64 = 200;
/// For a worker: connections that are no sessions yet, with half a head each, and what the allocator rounds
/// up and keeps apart.
const WORKER: u64 = 1024 * 20 * KIB + 2 * MIB;

/// Bytes of memory that clients of a relay with these settings can make it take, whatever they send. README
/// explains the sum ("Memory").
pub fn ceiling(config: &Config) -> u64 {
    let sessions = config.max_sessions as u64;
    // Each has a sender beside it.
    let receivers = sessions / 2;
    ITSELF
        + sessions * (SESSION + config.window as u64)
        + config.max_buffered as u64
        + receivers * MESSAGE
        + MAX_ADDRESSES as u64 * ADDRESS
        + MOST_GONE as u64 * CALLER
        + config.workers as u64 * WORKER
}

/// Bytes of memory that the process has now; 0 where the system does not tell.
pub fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * KIB
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_is_the_sum_that_the_readme_has() {
        let sum = ceiling(&Config::default());
        // 4.5 GiB + 256 MiB + 625 MiB + 38 MiB + 20 MiB, and the 15 and 2 MiB that are always there.
        let shown = 4_609 + 256 + 625 + 38 + 20 + 15 + 2;
        assert!((sum / MIB).abs_diff(shown) <= 2, "{} MiB", sum / MIB);
    }

    #[test]
    fn a_process_has_memory() {
        assert!(resident() > MIB / 4, "{}", resident());
    }
}
