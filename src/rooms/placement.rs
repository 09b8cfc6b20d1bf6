//! Which worker keeps a room, and which is to keep the next: the one place that knows.
//!
//! How to reach a worker is for `actors::directory`.

use std::{
    iter,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use relay_wire::code::RoomCode;

/// How many rooms each worker keeps, by the worker's number. A hint: others read it while it changes.
#[derive(Debug)]
pub struct Placement(Vec<AtomicUsize>);

impl Placement {
    /// The placement over so many workers.
    pub fn new(workers: usize) -> Self {
        let none = iter::repeat_with(AtomicUsize::default);
        Self(none.take(workers).collect())
    }

    /// The worker that keeps the room of this code, if there is one; the same answer everywhere.
    pub fn home(&self, code: &RoomCode) -> usize {
        (code.number() % self.0.len().max(1) as u128) as usize
    }

    /// The worker that is to keep a room its sender asks for on worker `here`: that one, unless
    /// another has fewer.
    pub fn home_for_new(&self, here: usize) -> usize {
        let workers = self.0.iter().enumerate();
        let fewest = workers.min_by_key(|&(index, rooms)| (rooms.load(Relaxed), index != here));
        fewest.map_or(here, |(index, _)| index)
    }

    /// A worker keeps one room more.
    pub fn opened(&self, worker: usize) {
        if let Some(rooms) = self.0.get(worker) {
            rooms.fetch_add(1, Relaxed);
        }
    }

    /// A worker keeps one room less.
    pub fn closed(&self, worker: usize) {
        if let Some(rooms) = self.0.get(worker) {
            rooms.fetch_sub(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_worker_gets_rooms_and_knows_them_again() {
        let placement = Placement::new(3);
        let codes = (0..400).filter_map(|_| RoomCode::random(6).ok());
        let workers: HashSet<_> = codes.map(|code| placement.home(&code)).collect();
        assert_eq!(workers, HashSet::from([0, 1, 2]));
    }

    #[test]
    fn a_new_room_goes_to_the_worker_with_the_fewest_and_stays_where_that_is_no_other() {
        let placement = Placement::new(2);
        assert_eq!(placement.home_for_new(1), 1);
        placement.opened(1);
        assert_eq!(placement.home_for_new(1), 0);
        placement.opened(0);
        assert_eq!(placement.home_for_new(1), 1);
        placement.closed(0);
        assert_eq!(placement.home_for_new(1), 0);
    }
}
