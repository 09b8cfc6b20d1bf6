//! Counted budgets, and the guards that give back what they took.
//!
//! A [`Window`] says how much may be outstanding; a [`Credit`] is an amount taken out of it, given
//! back when dropped. A credit travels with the bytes it was charged for, through mailboxes and
//! outboxes, so whatever becomes of them (written, discarded, lost with a dead session) the window
//! opens again by exactly as much, once.
//!
//! Each session has a window for what it has sent and nobody has taken yet; the same type counts
//! the bytes assembled for senders, the sessions and the rooms of the whole relay. Who reads less
//! because a window is full is the reader's business, not this module's.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::Context,
};

use futures_util::task::AtomicWaker;

/// How much may be outstanding, and how much is.
#[derive(Debug)]
pub struct Window {
    limit: usize,
    used: AtomicUsize,
    /// Counts everything charged here as well: one figure over all sessions.
    total: Option<Arc<Window>>,
    waker: AtomicWaker,
}

impl Window {
    /// A window of `limit` units.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicUsize::new(0),
            total: None,
            waker: AtomicWaker::new(),
        })
    }

    /// A window whose charges are counted in `total` too, whatever the limit of that one.
    pub fn part_of(total: &Arc<Window>, limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicUsize::new(0),
            total: Some(Arc::clone(total)),
            waker: AtomicWaker::new(),
        })
    }

    /// Units outstanding.
    pub fn used(&self) -> usize {
        self.used.load(SeqCst)
    }

    /// Units that may still be taken; none from three quarters full, since what is left would be
    /// taken in crumbs. Then `cx` is woken when the window is half empty.
    pub fn poll_free(&self, cx: &Context<'_>) -> usize {
        if self.free() == 0 {
            self.waker.register(cx.waker());
        }
        // Asked again, for credit that came back before the waker was in place.
        self.free()
    }

    /// Units that may still be taken, by the same rule.
    pub fn free(&self) -> usize {
        let used = self.used();
        if used > self.limit / 4 * 3 {
            0
        } else {
            self.limit - used
        }
    }

    /// Whether nothing is outstanding; if not, `cx` is woken when that comes true.
    pub fn poll_empty(&self, cx: &Context<'_>) -> bool {
        self.waker.register(cx.waker());
        self.used() == 0
    }

    fn give_back(&self, amount: usize) {
        let before = self.used.fetch_sub(amount, SeqCst);
        let after = before - amount;
        let half = self.limit / 2;
        if (before > half && after <= half) || after == 0 {
            self.waker.wake();
        }
        if let Some(total) = &self.total {
            total.used.fetch_sub(amount, SeqCst);
        }
    }
}

/// An amount charged to a [`Window`], given back on drop.
#[derive(Debug)]
pub struct Credit {
    window: Arc<Window>,
    amount: usize,
}

impl Credit {
    /// Takes `amount`, past the limit if need be: for what has been accepted already.
    pub fn charge(window: &Arc<Window>, amount: usize) -> Self {
        window.used.fetch_add(amount, SeqCst);
        if let Some(total) = &window.total {
            total.used.fetch_add(amount, SeqCst);
        }
        Self {
            window: Arc::clone(window),
            amount,
        }
    }

    /// Takes `amount` if that stays within the limit.
    pub fn try_charge(window: &Arc<Window>, amount: usize) -> Option<Self> {
        let fits = |used: usize| used.checked_add(amount).filter(|&sum| sum <= window.limit);
        window.used.fetch_update(SeqCst, SeqCst, fits).ok()?;
        if let Some(total) = &window.total {
            total.used.fetch_add(amount, SeqCst);
        }
        Some(Self {
            window: Arc::clone(window),
            amount,
        })
    }

    /// The window it was charged to.
    pub fn window(&self) -> &Arc<Window> {
        &self.window
    }

    /// Takes over the amount of another credit of the same window.
    pub fn merge(&mut self, mut other: Credit) {
        debug_assert!(Arc::ptr_eq(&self.window, &other.window));
        self.amount += std::mem::take(&mut other.amount);
    }
}

impl Drop for Credit {
    fn drop(&mut self) {
        if self.amount > 0 {
            self.window.give_back(self.amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::task::{Wake, Waker};

    use super::*;

    #[derive(Default)]
    struct Flag(AtomicBool);

    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, SeqCst);
        }
    }

    #[test]
    fn a_credit_gives_back_what_it_took_to_both_counts() {
        let total = Window::new(0);
        let window = Window::part_of(&total, 100);
        let mut credit = Credit::charge(&window, 60);
        credit.merge(Credit::charge(&window, 70));
        assert_eq!((window.used(), total.used(), window.free()), (130, 130, 0));
        drop(credit);
        assert_eq!((window.used(), total.used(), window.free()), (0, 0, 100));
    }

    #[test]
    fn try_charge_stops_at_the_limit() {
        let window = Window::new(2);
        let kept = [
            Credit::try_charge(&window, 1),
            Credit::try_charge(&window, 1),
        ];
        assert!(kept.iter().all(Option::is_some));
        assert!(Credit::try_charge(&window, 1).is_none());
        assert!(Credit::try_charge(&window, usize::MAX).is_none());
        drop(kept);
        assert!(Credit::try_charge(&window, 2).is_some());
    }

    #[test]
    fn a_full_window_wakes_its_reader_at_half() {
        let window = Window::new(100);
        let (flag, credits) = (Arc::new(Flag::default()), [20; 4]);
        let mut credits: Vec<_> = credits.map(|n| Credit::charge(&window, n)).into();
        let waker = Waker::from(Arc::clone(&flag));
        assert_eq!(window.poll_free(&Context::from_waker(&waker)), 0);
        credits.pop();
        assert!(!flag.0.load(SeqCst), "60 of 100 are still out");
        credits.pop();
        assert!(flag.0.load(SeqCst));
        assert_eq!(window.free(), 60);
    }
}
