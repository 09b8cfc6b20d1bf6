//! Tells of progress, a few times a second at most.

use std::time::Duration;

use tokio::time::Instant;

use super::event::{Event, Slow, Tell};

/// Between two tellings.
const EVERY: Duration = Duration::from_millis(200);

/// Progress of one attempt.
pub(super) struct Meter {
    tell: Tell,
    total: Option<u64>,
    last: Option<Instant>,
}

impl Meter {
    /// For so many bytes in all, where that is known.
    pub(super) fn new(tell: &Tell, total: Option<u64>) -> Self {
        Self {
            tell: Tell::clone(tell),
            total,
            last: None,
        }
    }

    /// So many bytes are on the receiver's disk.
    pub(super) fn moved(&mut self, confirmed: u64, slow: Slow) {
        let now = Instant::now();
        if self.last.is_none_or(|last| now >= last + EVERY) || self.total == Some(confirmed) {
            self.last = Some(now);
            (self.tell)(Event::Progress {
                confirmed,
                total: self.total,
                slow,
            });
        }
    }
}

/// Tells of content of version 1, which is sent or received all at once.
pub(super) fn tell_begun(tell: &Tell, name: &str, bytes: usize) {
    tell(Event::Begun {
        name: name.to_owned(),
        size: Some(bytes as u64),
        from: 0,
        version: 1,
    });
}
