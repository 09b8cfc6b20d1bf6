//! Memory that a sender borrows whose window stays full, so that it is read to the end of its message: its
//! own Ping stands behind that.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::flow::{
    credit::{Pool, Share},
    data::Data,
};

/// How long a window has to be full before there is anything to borrow, and when a sender is tried again that
/// there was no memory for. A receiver that is as fast as its sender makes room sooner.
pub(super) const LOAN_AFTER: Duration = Duration::from_millis(250);

/// What one sender may borrow, and has borrowed for the read that it is in.
#[derive(Debug)]
pub(super) struct Borrower {
    pool: Arc<Pool>,
    loan: Option<Share>,
    full_since: Option<Instant>,
}

impl Borrower {
    /// A sender that borrows from `pool`.
    pub(super) fn new(pool: Arc<Pool>) -> Self {
        Self {
            pool,
            loan: None,
            full_since: None,
        }
    }

    /// The window has room.
    pub(super) fn has_room(&mut self) {
        self.full_since = None;
    }

    /// The window is full: borrows so many bytes, if it has been for long enough and there are as many.
    pub(super) fn borrow(&mut self, bytes: usize, now: Instant) -> bool {
        let since = *self.full_since.get_or_insert(now);
        if now.duration_since(since) >= LOAN_AFTER {
            self.loan = Share::try_borrow(&self.pool, bytes);
        }
        self.loan.is_some()
    }

    /// Charges what was read to the loan rather than to the window alone.
    pub(super) fn charge(&mut self, data: &mut Data) {
        if let Some(loan) = &mut self.loan {
            data.charge_to(loan);
        }
    }

    /// Gives back what was not needed: a loan is for one read.
    pub(super) fn give_back(&mut self) {
        self.loan = None;
    }
}
