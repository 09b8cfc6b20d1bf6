//! How many events there were, in the file and not.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

/// Why an event is not in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// Too many waited for the disk.
    QueueFull,
    /// Clients have more refused than there is room for.
    OverBudget,
    /// The disk did not take it.
    Disk,
}

impl Lost {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::QueueFull, Self::OverBudget, Self::Disk];

    /// Its label.
    pub fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::OverBudget => "over_budget",
            Self::Disk => "disk",
        }
    }
}

/// How many events there were.
#[derive(Debug, Default)]
pub struct Counts {
    written: AtomicU64,
    lost: [AtomicU64; Lost::ALL.len()],
    failing: AtomicBool,
}

impl Counts {
    /// Events in the file.
    pub fn written(&self) -> u64 {
        self.written.load(SeqCst)
    }

    /// Events that are not, for this reason.
    pub fn lost(&self, why: Lost) -> u64 {
        self.lost[why as usize].load(SeqCst)
    }

    /// Whether the disk does not take them now.
    pub fn are_failing(&self) -> bool {
        self.failing.load(SeqCst)
    }

    pub(super) fn fail(&self, failing: bool) {
        self.failing.store(failing, SeqCst);
    }

    pub(super) fn wrote(&self, events: usize) {
        self.written.fetch_add(events as u64, SeqCst);
    }

    pub(super) fn lose(&self, events: usize, why: Lost) {
        self.lost[why as usize].fetch_add(events as u64, SeqCst);
    }
}
