//! What `credit` counts and wakes with, where loom schedules it.

use std::task::Waker;

pub use loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// Loom's, called as the relay's is.
#[derive(Debug)]
pub struct AtomicWaker(loom::future::AtomicWaker);

impl AtomicWaker {
    pub fn new() -> Self {
        Self(loom::future::AtomicWaker::new())
    }

    pub fn register(&self, waker: &Waker) {
        self.0.register_by_ref(waker);
    }

    pub fn wake(&self) {
        self.0.wake();
    }
}
