//! Places for connections on their way to becoming sessions, and who gives way when none is free.
//!
//! A worker has so many, and one client address a share of them: an IPv4 address or an IPv6 /64, as
//! it is silence alone that a wider network could buy with more of them, and the silent give way.
//! Whoever comes when they are taken gets in: the connection that has got least far gives way, and
//! of several the oldest. So a crowd that connects and says nothing keeps nobody out, and whoever
//! sends a whole request at once is served before its turn to give way comes. No I/O here: the
//! connections themselves, and what one of them is told that gives way, are
//! [`desk`](super::desk)'s.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    convert::Infallible,
    rc::Rc,
};

use tokio::sync::oneshot;

use crate::limits::address::AddressKey;

/// The part of the places that one address may have.
const SHARE: usize = 4;

/// How far a connection has come. Who has got least far is the first to give way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Nothing has come from it.
    Silent,
    /// Some of its request has.
    Heard,
    /// The head of its request is there.
    Whole,
}

/// The order in which connections give way: by how far they have come, and then by age.
type Turn = (Stage, u64);

/// The places of one worker. `H` is what tells the holder of one that it has lost it.
#[derive(Debug)]
struct Table<H> {
    most: usize,
    /// Connections so far.
    count: u64,
    taken: BTreeMap<Turn, (Option<AddressKey>, H)>,
    /// The same, for those of which the address counts.
    by_address: BTreeMap<AddressKey, BTreeSet<Turn>>,
}

impl<H> Table<H> {
    fn new(most: usize) -> Self {
        Self {
            most,
            count: 0,
            taken: BTreeMap::new(),
            by_address: BTreeMap::new(),
        }
    }

    /// Takes a place for a connection of this address, of none in particular if it is a proxy's. Who
    /// has to give way for it loses its own: that is returned.
    fn take(&mut self, whose: Option<AddressKey>, holder: H) -> (Turn, Option<H>) {
        let first = self.first_to_give_way(whose);
        let lost = first.and_then(|turn| self.remove(turn));
        let turn = (Stage::Silent, self.count);
        self.count += 1;
        self.insert(turn, whose, holder);
        (turn, lost.map(|(_, holder)| holder))
    }

    fn first_to_give_way(&self, whose: Option<AddressKey>) -> Option<Turn> {
        let own = whose.and_then(|whose| self.by_address.get(&whose));
        match own {
            Some(own) if own.len() >= self.most.div_ceil(SHARE) => own.first().copied(),
            _ if self.taken.len() < self.most => None,
            _ => self.taken.first_key_value().map(|(&turn, _)| turn),
        }
    }

    /// A connection has come this far, if it has not lost its place meanwhile.
    fn reach(&mut self, turn: Turn, stage: Stage) -> Turn {
        let reached = (stage, turn.1);
        if let Some((whose, holder)) = self.remove(turn) {
            self.insert(reached, whose, holder);
        }
        reached
    }

    fn insert(&mut self, turn: Turn, whose: Option<AddressKey>, holder: H) {
        self.taken.insert(turn, (whose, holder));
        if let Some(whose) = whose {
            self.by_address.entry(whose).or_default().insert(turn);
        }
    }

    fn remove(&mut self, turn: Turn) -> Option<(Option<AddressKey>, H)> {
        let (whose, holder) = self.taken.remove(&turn)?;
        if let Some(whose) = whose
            && let Entry::Occupied(mut own) = self.by_address.entry(whose)
        {
            own.get_mut().remove(&turn);
            if own.get().is_empty() {
                own.remove();
            }
        }
        Some((whose, holder))
    }
}

/// Comes true, as an error, once a connection has lost its place.
pub type Lost = oneshot::Receiver<Infallible>;

/// The places of one worker.
#[derive(Debug, Clone)]
pub struct Places(Rc<RefCell<Table<oneshot::Sender<Infallible>>>>);

impl Places {
    /// So many places, all of them free.
    pub fn new(most: usize) -> Self {
        Self(Rc::new(RefCell::new(Table::new(most))))
    }

    /// Takes a place for a new connection of this client address; of none in particular where it is
    /// that of a proxy, through which anybody comes. Says whether another has lost its place to it.
    pub fn take(&self, whose: Option<AddressKey>) -> (Place, Lost, bool) {
        let (holder, lost) = oneshot::channel();
        let (turn, gives_way) = self.0.borrow_mut().take(whose, holder);
        let place = Place {
            places: self.clone(),
            turn,
        };
        // To drop it tells whoever has lost its place.
        (place, lost, gives_way.is_some())
    }
}

/// A place, free again when dropped.
#[derive(Debug)]
pub struct Place {
    places: Places,
    turn: Turn,
}

impl Place {
    /// Something has come from the connection.
    pub fn heard(&mut self) {
        if self.turn.0 == Stage::Silent {
            self.reach(Stage::Heard);
        }
    }

    /// The head of its request is there.
    pub fn whole(&mut self) {
        self.reach(Stage::Whole);
    }

    fn reach(&mut self, stage: Stage) {
        self.turn = self.places.0.borrow_mut().reach(self.turn, stage);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.0.borrow_mut().remove(self.turn);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn address(last: u8) -> Option<AddressKey> {
        Some(IpAddr::from([192, 0, 2, last]).into())
    }

    /// Everybody from an address of its own.
    fn crowd(table: &mut Table<u8>, names: std::ops::Range<u8>) -> Vec<Turn> {
        let take = |name| {
            let (turn, lost) = table.take(address(name), name);
            assert_eq!(lost, None);
            turn
        };
        names.map(take).collect()
    }

    #[test]
    fn nobody_gives_way_while_a_place_is_free() {
        let mut table = Table::new(8);
        let turns = crowd(&mut table, 0..8);
        table.remove(turns[3]);
        assert_eq!(table.take(address(100), 100).1, None);
        assert_eq!(table.taken.len(), 8);
    }

    #[test]
    fn the_oldest_silent_one_gives_way_then_the_oldest_that_was_heard_then_the_oldest() {
        let mut table = Table::new(8);
        let turns = crowd(&mut table, 0..8);
        for (name, turn) in turns.into_iter().enumerate() {
            match name {
                0 | 3 => drop(table.reach(turn, Stage::Whole)),
                1 | 2 | 6 => drop(table.reach(turn, Stage::Heard)),
                _ => {}
            }
        }
        let mut come = |name| {
            let (turn, lost) = table.take(address(name), name);
            // Not to be the next one itself.
            table.reach(turn, Stage::Whole);
            assert_eq!(table.taken.len(), 8);
            lost.unwrap()
        };
        let lost: Vec<_> = (100..110).map(&mut come).collect();
        assert_eq!(lost, [4, 5, 7, 1, 2, 6, 0, 3, 100, 101]);
    }

    #[test]
    fn who_has_its_share_gives_way_to_itself_alone() {
        let mut table = Table::new(8);
        crowd(&mut table, 0..3);
        let (first, _) = table.take(address(100), 100);
        table.reach(first, Stage::Heard);
        assert_eq!(table.take(address(100), 101).1, None);
        // A quarter of eight. Places are free, and others have silent ones that are older.
        for name in 102..120 {
            assert_eq!(table.take(address(100), name).1, Some(name - 1));
        }
        assert_eq!(table.taken.len(), 5);
        assert_eq!(table.take(address(3), 3).1, None);
    }

    #[test]
    fn proxies_have_no_share_and_take_their_turn() {
        let mut table = Table::new(8);
        for name in 0..8 {
            assert_eq!(table.take(None, name).1, None);
        }
        assert_eq!(table.take(None, 8).1, Some(0));
        assert_eq!(table.take(address(1), 9).1, Some(1));
    }

    #[test]
    fn one_place_is_enough_for_a_share() {
        let mut table = Table::new(1);
        assert_eq!(table.take(address(1), 1).1, None);
        assert_eq!(table.take(address(1), 2).1, Some(1));
        assert_eq!(table.take(address(2), 3).1, Some(2));
    }

    #[test]
    fn who_has_lost_its_place_is_told_and_has_no_other() {
        let places = Places::new(1);
        let (mut first, mut lost, crowded) = places.take(address(1));
        assert!(!crowded && lost.try_recv().unwrap_err() == oneshot::error::TryRecvError::Empty);
        let (second, mut kept, crowded) = places.take(address(2));
        assert!(crowded && lost.try_recv().unwrap_err() == oneshot::error::TryRecvError::Closed);
        first.heard();
        first.whole();
        drop(first);
        assert_eq!(kept.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        assert_eq!(places.0.borrow().taken.len(), 1);
        drop(second);
        let table = places.0.borrow();
        assert!(table.taken.is_empty() && table.by_address.is_empty());
    }
}
