//! Counted amounts, and the guards that give back what they took.
//!
//! A [`Pool`] counts something of the whole relay, or of a part of it: sessions, rooms, bytes put
//! together for senders. A [`Window`] bounds the bytes that one session has sent and nobody has taken
//! yet; it opens as they are taken, and wakes the session's task, which reads on. A [`Share`] of a
//! pool and a [`Credit`] of a window give their amount back when dropped. They travel with what they
//! were charged for, through mailboxes and outboxes, so whatever becomes of that (written, discarded,
//! lost with a dead session), the amount comes back, once. In the same way a [`Credit`] books what
//! becomes of the payload among its bytes.
//!
//! The atomics come from the parent module, so that a model checker can bring its own.

use std::{iter::successors, mem, sync::Arc, task::Context};

use super::{
    ledger::{Dropped, Ledger},
    sync::{AtomicUsize, AtomicWaker, SeqCst},
};

/// How much of something may be outstanding in the whole relay or in a part of it, and how much is.
#[derive(Debug)]
pub struct Pool {
    limit: AtomicUsize,
    used: AtomicUsize,
    /// Counts everything taken here as well.
    whole: Option<Arc<Pool>>,
    waker: AtomicWaker,
}

/// Whose limit an amount would pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// A pool's that is no part of another.
    Whole,
    /// A part's.
    Part,
}

impl Pool {
    /// A pool of `limit` units.
    pub fn new(limit: usize) -> Arc<Self> {
        Self::within(limit, None)
    }

    /// A part of `whole`, which may itself be one: what is taken here is taken there too, and has to
    /// fit into both.
    pub fn part_of(whole: &Arc<Self>, limit: usize) -> Arc<Self> {
        Self::within(limit, Some(Arc::clone(whole)))
    }

    fn within(limit: usize, whole: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self {
            limit: AtomicUsize::new(limit),
            used: AtomicUsize::new(0),
            whole,
            waker: AtomicWaker::new(),
        })
    }

    /// The pool, and those it is a part of, to the whole.
    fn levels(&self) -> impl Iterator<Item = &Self> {
        successors(Some(self), |pool| pool.whole.as_deref())
    }

    /// Lets there be `limit` units from here on. What is taken beyond that stays so until it comes back.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, SeqCst);
    }

    /// Units outstanding.
    pub fn used(&self) -> usize {
        self.used.load(SeqCst)
    }

    /// Whether nothing is outstanding. If something is, the task of `cx` is woken once nothing is;
    /// the last task to ask is the one that is woken.
    pub fn poll_empty(&self, cx: &Context<'_>) -> bool {
        self.waker.register(cx.waker());
        self.used() == 0
    }

    /// Whether more than half of it is taken, or of a pool that it is a part of.
    fn is_crowded(&self) -> bool {
        self.levels()
            .any(|pool| pool.used() > pool.limit.load(SeqCst) / 2)
    }

    fn add(&self, amount: usize) {
        for pool in self.levels() {
            pool.used.fetch_add(amount, SeqCst);
        }
    }

    fn try_add(&self, amount: usize) -> Result<(), Full> {
        for (taken, pool) in self.levels().enumerate() {
            let limit = pool.limit.load(SeqCst);
            let fits = |used: usize| used.checked_add(amount).filter(|&sum| sum <= limit);
            if pool.used.fetch_update(SeqCst, SeqCst, fits).is_err() {
                for pool in self.levels().take(taken) {
                    pool.give_back_here(amount);
                }
                return Err(match pool.whole {
                    None => Full::Whole,
                    Some(_) => Full::Part,
                });
            }
        }
        Ok(())
    }

    fn give_back(&self, amount: usize) {
        for pool in self.levels() {
            pool.give_back_here(amount);
        }
    }

    fn give_back_here(&self, amount: usize) {
        if self.used.fetch_sub(amount, SeqCst) == amount {
            self.waker.wake();
        }
    }
}

/// An amount taken out of a [`Pool`], given back on drop.
#[derive(Debug)]
pub struct Share {
    pool: Arc<Pool>,
    amount: usize,
}

impl Share {
    /// Takes `amount`, past the limit if need be: for what has been accepted already.
    pub fn take(pool: &Arc<Pool>, amount: usize) -> Self {
        pool.add(amount);
        Self {
            pool: Arc::clone(pool),
            amount,
        }
    }

    /// Takes `amount` if that stays within the limit, and within that of each pool this one is a
    /// part of.
    ///
    /// # Errors
    ///
    /// Which of them is full; then nothing is taken.
    pub fn try_take(pool: &Arc<Pool>, amount: usize) -> Result<Self, Full> {
        pool.try_add(amount)?;
        Ok(Self {
            pool: Arc::clone(pool),
            amount,
        })
    }

    /// Takes `amount` for somebody who can do without: if that leaves half of this pool to others, and half
    /// of each that it is a part of.
    pub fn try_borrow(pool: &Arc<Pool>, amount: usize) -> Option<Self> {
        let leaves_half = |pool: &Pool| {
            let half = pool.limit.load(SeqCst) / 2;
            pool.used().saturating_add(amount) <= half
        };
        let may = pool.levels().all(leaves_half);
        may.then(|| Self::try_take(pool, amount).ok())?
    }

    /// The pool it was taken out of.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Whether others may soon need it: more than half of its pool is taken, or of one around that.
    pub fn is_wanted(&self) -> bool {
        self.pool.is_crowded()
    }

    /// Takes `amount` out of it, or all there is.
    pub fn split(&mut self, amount: usize) -> Self {
        let amount = amount.min(self.amount);
        self.amount -= amount;
        Self {
            pool: Arc::clone(&self.pool),
            amount,
        }
    }

    /// Takes over the amount of another share of the same pool.
    pub fn merge(&mut self, mut other: Share) {
        debug_assert!(Arc::ptr_eq(&self.pool, &other.pool));
        self.amount += mem::take(&mut other.amount);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.amount > 0 {
            self.pool.give_back(self.amount);
        }
    }
}

/// How many bytes of one session may be under way, and how many are.
#[derive(Debug)]
pub struct Window {
    limit: usize,
    used: AtomicUsize,
    /// Counts everything charged here as well: one figure over all sessions.
    total: Option<Arc<Pool>>,
    /// Where payload is booked.
    ledger: Arc<Ledger>,
    waker: AtomicWaker,
}

impl Window {
    /// A window of `limit` bytes, whose payload nobody asks about.
    pub fn new(limit: usize) -> Arc<Self> {
        Self::counted(limit, None, Arc::default())
    }

    /// A window whose charges are counted in `total` too, whatever the limit of that, and whose
    /// payload is booked in `ledger`.
    pub fn part_of(total: &Arc<Pool>, ledger: &Arc<Ledger>, limit: usize) -> Arc<Self> {
        Self::counted(limit, Some(Arc::clone(total)), Arc::clone(ledger))
    }

    fn counted(limit: usize, total: Option<Arc<Pool>>, ledger: Arc<Ledger>) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicUsize::new(0),
            total,
            ledger,
            waker: AtomicWaker::new(),
        })
    }

    /// Bytes outstanding.
    pub fn used(&self) -> usize {
        self.used.load(SeqCst)
    }

    /// Bytes that may still be taken; none when it is more than three quarters full, since what is
    /// left would be taken in crumbs. Then the task of `cx` is woken when the window is half empty:
    /// by the task that drops the [`Credit`] which brings it there.
    pub fn poll_free(&self, cx: &Context<'_>) -> usize {
        if self.free() == 0 {
            self.waker.register(cx.waker());
        }
        // Asked again, for credit that came back before the waker was in place.
        self.free()
    }

    /// Bytes that may still be taken, by the same rule.
    pub fn free(&self) -> usize {
        let used = self.used();
        if used > self.limit - self.limit / 4 {
            0
        } else {
            self.limit - used
        }
    }

    fn give_back(&self, amount: usize) {
        let before = self.used.fetch_sub(amount, SeqCst);
        let after = before - amount;
        let half = self.limit / 2;
        if before > half && after <= half {
            self.waker.wake();
        }
        if let Some(total) = &self.total {
            total.give_back(amount);
        }
    }
}

/// Bytes charged to a [`Window`], given back on drop, and the payload among them, which is booked as
/// dropped if nobody has said before what became of it.
#[derive(Debug)]
pub struct Credit {
    window: Arc<Window>,
    amount: usize,
    payload: usize,
}

impl Credit {
    /// Charges `amount`, past the limit if need be: for what has been read already.
    pub fn charge(window: &Arc<Window>, amount: usize) -> Self {
        window.used.fetch_add(amount, SeqCst);
        if let Some(total) = &window.total {
            total.add(amount);
        }
        Self {
            window: Arc::clone(window),
            amount,
            payload: 0,
        }
    }

    /// The window it was charged to.
    pub fn window(&self) -> &Arc<Window> {
        &self.window
    }

    /// Bytes of payload of which nobody has said yet what became of them.
    pub fn payload(&self) -> usize {
        self.payload
    }

    /// Books so many bytes of payload as taken from a client.
    pub fn take_payload(&mut self, bytes: usize) {
        self.window.ledger.taken(bytes);
        self.set_payload(self.payload + bytes);
    }

    /// What is held is counted apart from what becomes of it, so that each can be held against the other.
    fn set_payload(&mut self, bytes: usize) -> usize {
        self.window.ledger.held(self.payload, bytes);
        mem::replace(&mut self.payload, bytes)
    }

    /// Has so many bytes of another's payload from here on.
    pub fn take_over(&mut self, other: &mut Self, bytes: usize) {
        debug_assert!(Arc::ptr_eq(&self.window.ledger, &other.window.ledger));
        let bytes = bytes.min(other.payload);
        other.set_payload(other.payload - bytes);
        self.set_payload(self.payload + bytes);
    }

    /// Books the payload as given to its recipient.
    pub fn given(&mut self) {
        let bytes = self.set_payload(0);
        self.window.ledger.given(bytes);
    }

    /// Books the payload as dropped.
    pub fn dropped(&mut self, why: Dropped) {
        let bytes = self.set_payload(0);
        self.window.ledger.dropped(bytes, why);
    }
}

impl Drop for Credit {
    fn drop(&mut self) {
        if self.payload > 0 {
            self.dropped(Dropped::PeerGone);
        }
        if self.amount > 0 {
            self.window.give_back(self.amount);
        }
    }
}
