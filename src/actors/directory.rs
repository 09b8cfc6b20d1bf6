//! How to reach each worker: its registry, and the thread it runs on.

use std::{
    iter,
    sync::{Arc, OnceLock},
};

use actix::Addr;
use actix_rt::{Arbiter, ArbiterHandle};

use super::registry::RoomRegistry;
use crate::state::State;

/// The workers, by their number.
#[derive(Debug)]
pub struct Directory(Vec<OnceLock<Home>>);

/// Where the sessions and rooms of one worker live.
#[derive(Debug)]
pub struct Home {
    /// Its registry.
    pub registry: Addr<RoomRegistry>,
    /// Its thread.
    pub thread: ArbiterHandle,
}

impl Directory {
    /// A directory of so many workers, none of which has started yet.
    pub fn new(workers: usize) -> Self {
        Self(iter::repeat_with(OnceLock::new).take(workers).collect())
    }

    /// Starts the registry of a worker on the thread it is called on, and enters it.
    pub fn begin(&self, state: &Arc<State>, worker: usize) -> Addr<RoomRegistry> {
        let registry = RoomRegistry::begin(Arc::clone(state), worker);
        if let Some(entry) = self.0.get(worker) {
            entry.get_or_init(|| Home {
                registry: registry.clone(),
                thread: Arbiter::current(),
            });
        }
        registry
    }

    /// A worker, if it has started.
    pub fn home(&self, worker: usize) -> Option<&Home> {
        self.0.get(worker)?.get()
    }

    /// The registries of all workers that have started.
    pub fn registries(&self) -> impl Iterator<Item = &Addr<RoomRegistry>> {
        self.0
            .iter()
            .filter_map(|entry| Some(&entry.get()?.registry))
    }
}
