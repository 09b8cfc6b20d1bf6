//! How fast a transfer goes, and how long it still takes: what `indicatif` makes of it, drawn or not.

use indicatif::{ProgressBar, ProgressDrawTarget};

use super::words::Pace;

/// The estimate of a transfer.
pub(super) struct Meter {
    bar: ProgressBar,
}

impl Meter {
    /// One that is drawn nowhere.
    pub(super) fn hidden() -> Self {
        Self::of(ProgressBar::with_draw_target(
            None,
            ProgressDrawTarget::hidden(),
        ))
    }

    /// The one of a bar.
    pub(super) fn of(bar: ProgressBar) -> Self {
        Self { bar }
    }

    pub(super) fn bar(&self) -> &ProgressBar {
        &self.bar
    }

    /// A transfer begins, or goes on, with so much that is there already and says nothing of its speed.
    pub(super) fn begin(&self, total: Option<u64>, from: u64) {
        match total {
            Some(total) => self.bar.set_length(total),
            None => self.bar.unset_length(),
        }
        self.bar.reset_elapsed();
        self.bar.set_position(from);
        self.bar.reset_eta();
    }

    /// So much has arrived.
    pub(super) fn at(&self, confirmed: u64) -> Pace {
        self.bar.set_position(confirmed);
        let rate = self.bar.per_sec();
        let rate = if rate.is_finite() { rate as u64 } else { 0 };
        let known = self.bar.length().is_some() && rate > 0;
        Pace {
            rate,
            left: known.then(|| self.bar.eta()),
        }
    }
}
