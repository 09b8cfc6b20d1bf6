//! Where rooms live: which worker keeps a room, and which is to keep the next.
//!
//! The one place that knows. A relay of several machines would answer here.

use std::{
    iter,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use actix::Addr;

use crate::{registry::RoomRegistry, rooms::RoomCode};

/// The workers, by their number.
#[derive(Debug)]
pub struct Directory(Vec<Entry>);

#[derive(Debug, Default)]
struct Entry {
    /// Once the worker has started.
    registry: OnceLock<Addr<RoomRegistry>>,
    /// How many rooms it keeps. A hint: others read it while it changes.
    rooms: AtomicUsize,
}

impl Directory {
    /// A directory of so many workers, none of which has started yet.
    pub fn new(workers: usize) -> Self {
        Self(iter::repeat_with(Entry::default).take(workers).collect())
    }

    /// Enters the registry of a worker that has started.
    pub fn enter(&self, worker: usize, registry: Addr<RoomRegistry>) {
        if let Some(entry) = self.0.get(worker) {
            entry.registry.get_or_init(|| registry);
        }
    }

    /// The registry of a worker, if that has started.
    pub fn registry(&self, worker: usize) -> Option<&Addr<RoomRegistry>> {
        self.0.get(worker)?.registry.get()
    }

    /// Every registry that has started.
    pub fn registries(&self) -> impl Iterator<Item = &Addr<RoomRegistry>> {
        self.0.iter().filter_map(|entry| entry.registry.get())
    }

    /// The worker that keeps the room of this code, if there is one.
    pub fn home(&self, code: &RoomCode) -> usize {
        code.worker(self.0.len())
    }

    /// The worker that is to keep a room its sender asks for on worker `here`: that one, unless
    /// another has fewer.
    pub fn home_for_new(&self, here: usize) -> usize {
        let started = self.0.iter().enumerate();
        let started = started.filter(|(_, entry)| entry.registry.get().is_some());
        let fewest = started.min_by_key(|&(worker, entry)| {
            let rooms = entry.rooms.load(Relaxed);
            (rooms, worker != here)
        });
        fewest.map_or(here, |(worker, _)| worker)
    }

    /// A worker keeps one room more.
    pub fn opened(&self, worker: usize) {
        if let Some(entry) = self.0.get(worker) {
            entry.rooms.fetch_add(1, Relaxed);
        }
    }

    /// A worker keeps one room less.
    pub fn closed(&self, worker: usize) {
        if let Some(entry) = self.0.get(worker) {
            entry.rooms.fetch_sub(1, Relaxed);
        }
    }
}
