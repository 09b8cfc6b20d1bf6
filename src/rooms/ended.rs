//! Rooms that have ended, as long as the token of one still lives: it opens none of them again.
//!
//! A token's owner alone can open such a room again, and only where its code has not been given to somebody
//! else. So a bound that lets the oldest be forgotten does no harm to others.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    time::Instant,
};

/// Rooms that are remembered; beyond that the one that has ended first is forgotten.
pub const MOST: usize = 16_384;

/// Rooms that have ended, by their code or what stands for it.
#[derive(Debug)]
pub struct Ended<K> {
    until: HashMap<K, Instant>,
    /// In the order in which they have ended.
    order: VecDeque<(K, Instant)>,
}

impl<K> Default for Ended<K> {
    fn default() -> Self {
        Self {
            until: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<K: Copy + Eq + Hash> Ended<K> {
    /// A room has ended whose token lives until then.
    pub fn insert(&mut self, room: K, until: Instant) {
        if self.order.len() >= MOST {
            self.forget_first();
        }
        self.until.insert(room, until);
        self.order.push_back((room, until));
    }

    /// Forgets the first that have ended, as far as their tokens are dead at `now`.
    pub fn prune(&mut self, now: Instant) {
        while self.order.front().is_some_and(|&(_, until)| until <= now) {
            self.forget_first();
        }
        if self.order.is_empty() {
            // They would keep their size for as long as the relay runs.
            *self = Self::default();
        }
    }

    fn forget_first(&mut self) {
        // A later room of the same code may have ended meanwhile.
        if let Some((room, until)) = self.order.pop_front()
            && self.until.get(&room) == Some(&until)
        {
            self.until.remove(&room);
        }
    }

    /// Whether a room of this code has ended whose token lives at `now`.
    pub fn has(&self, room: &K, now: Instant) -> bool {
        self.until.get(room).is_some_and(|&until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_room_is_remembered_until_its_token_is_dead() {
        let now = Instant::now();
        let mut ended = Ended::default();
        ended.insert('a', now + HOUR);
        ended.insert('b', now + 2 * HOUR);
        assert!(ended.has(&'a', now) && ended.has(&'b', now));
        assert!(!ended.has(&'c', now));
        assert!(!ended.has(&'a', now + HOUR) && ended.has(&'b', now + HOUR));
        ended.prune(now + HOUR);
        assert_eq!((ended.until.len(), ended.order.len()), (1, 1));
    }

    #[test]
    fn a_code_that_ends_twice_is_remembered_for_the_second_time() {
        let now = Instant::now();
        let mut ended = Ended::default();
        ended.insert('a', now + HOUR);
        ended.insert('a', now + 3 * HOUR);
        ended.prune(now + 2 * HOUR);
        assert!(ended.has(&'a', now + 2 * HOUR));
    }

    #[test]
    fn a_crowd_that_ends_is_bounded() {
        let now = Instant::now();
        let mut ended = Ended::default();
        for room in 0..3 * MOST {
            ended.insert(room, now + HOUR);
        }
        assert_eq!((ended.until.len(), ended.order.len()), (MOST, MOST));
        assert!(ended.has(&(3 * MOST - 1), now) && !ended.has(&0, now));
        ended.prune(now + HOUR);
        assert_eq!((ended.until.capacity(), ended.order.capacity()), (0, 0));
    }
}
