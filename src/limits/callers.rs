//! What each client address has done here: how often it came, how often it was refused, and the bytes that
//! it sent and was sent. It is counted where it happens, and looked at only when the operator asks.
//!
//! An address is known for as long as it has a session, and some thousands more are that had one last.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::address::AddressKey;

/// Addresses without a session that are known at most.
pub const MOST_GONE: usize = 4096;

/// One address. Its sessions, on whatever threads, count for themselves.
#[derive(Debug, Default)]
pub struct Caller {
    handshakes: AtomicU64,
    refused: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
}

/// What an address has done since it is known.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Deeds {
    /// Handshakes of its own, whatever became of them.
    pub handshakes: u64,
    /// What it was refused: handshakes, what came in their place, and requests of its sessions.
    pub refused: u64,
    /// Bytes read from its sessions.
    pub received: u64,
    /// Bytes written to its sessions.
    pub sent: u64,
}

impl Caller {
    /// Bytes were read from it.
    pub fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Relaxed);
    }

    /// Bytes were written to it.
    pub fn sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Relaxed);
    }

    fn deeds(&self) -> Deeds {
        Deeds {
            handshakes: self.handshakes.load(Relaxed),
            refused: self.refused.load(Relaxed),
            received: self.received.load(Relaxed),
            sent: self.sent.load(Relaxed),
        }
    }
}

/// All addresses that are known.
#[derive(Debug)]
pub struct Callers(Mutex<Table>);

#[derive(Debug)]
struct Table {
    callers: HashMap<AddressKey, Known>,
    /// How often anybody was looked up.
    turns: u64,
    /// Handshakes of all, of those who are forgotten as well.
    handshakes: u64,
    /// How many there may be before those that came longest ago are forgotten.
    sweep_at: usize,
}

#[derive(Debug)]
struct Known {
    /// When it was looked up last.
    turn: u64,
    caller: Arc<Caller>,
}

impl Default for Callers {
    fn default() -> Self {
        Self(Mutex::new(Table {
            callers: HashMap::new(),
            turns: 0,
            handshakes: 0,
            sweep_at: MOST_GONE,
        }))
    }
}

impl Callers {
    fn table(&self) -> MutexGuard<'_, Table> {
        // Every change to it is whole before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address of this client. Asked for a handshake and a session, so a lock will do.
    pub fn of(&self, client: AddressKey) -> Arc<Caller> {
        self.table().of(client)
    }

    /// A handshake of this client's has come.
    pub fn came(&self, client: AddressKey) {
        let mut table = self.table();
        table.handshakes += 1;
        let caller = table.of(client);
        caller.handshakes.fetch_add(1, Relaxed);
    }

    /// This client was refused something.
    pub fn refused(&self, client: AddressKey) {
        self.of(client).refused.fetch_add(1, Relaxed);
    }

    /// Handshakes that have come, whoever's.
    pub fn handshakes(&self) -> u64 {
        self.table().handshakes
    }

    /// All of them, in no order.
    pub fn all(&self) -> Vec<(AddressKey, Deeds)> {
        let table = self.table();
        let all = table.callers.iter();
        all.map(|(&client, known)| (client, known.caller.deeds()))
            .collect()
    }
}

impl Table {
    fn of(&mut self, client: AddressKey) -> Arc<Caller> {
        self.turns += 1;
        let turn = self.turns;
        if self.callers.len() >= self.sweep_at && !self.callers.contains_key(&client) {
            self.sweep();
        }
        let known = self.callers.entry(client).or_insert_with(|| Known {
            turn,
            caller: Arc::default(),
        });
        known.turn = turn;
        Arc::clone(&known.caller)
    }

    /// Forgets half of those without a session, the ones that came longest ago.
    fn sweep(&mut self) {
        let is_gone = |known: &Known| Arc::strong_count(&known.caller) == 1;
        let mut gone: Vec<_> = self
            .callers
            .values()
            .filter(|known| is_gone(known))
            .map(|known| known.turn)
            .collect();
        gone.sort_unstable();
        let kept_from = gone.get(gone.len().saturating_sub(MOST_GONE / 2));
        let kept_from = kept_from.copied().unwrap_or(0);
        self.callers
            .retain(|_, known| known.turn >= kept_from || !is_gone(known));
        self.sweep_at = self.callers.len() + MOST_GONE / 2;
        self.callers.shrink_to(self.sweep_at);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn client(number: u32) -> AddressKey {
        IpAddr::from(Ipv4Addr::from(number)).into()
    }

    fn deeds(callers: &Callers, number: u32) -> Option<Deeds> {
        let mut all = callers.all().into_iter();
        all.find(|(key, _)| *key == client(number))
            .map(|(_, deeds)| deeds)
    }

    #[test]
    fn what_an_address_does_is_counted_over_its_sessions() {
        let callers = Callers::default();
        callers.came(client(1));
        callers.came(client(1));
        callers.refused(client(1));
        let (first, second) = (callers.of(client(1)), callers.of(client(1)));
        first.received(10);
        drop(first);
        second.received(5);
        second.sent(7);
        let expected = Deeds {
            handshakes: 2,
            refused: 1,
            received: 15,
            sent: 7,
        };
        assert_eq!(deeds(&callers, 1), Some(expected));
        assert_eq!(deeds(&callers, 2), None);
    }

    #[test]
    fn a_crowd_of_strangers_takes_bounded_memory_and_hides_nobody_who_is_here() {
        let callers = Callers::default();
        let here = callers.of(client(0));
        here.sent(3);
        callers.came(client(1));
        for stranger in 2..100_000 {
            callers.came(client(stranger));
            // Who keeps coming is known all the while.
            callers.came(client(1));
            callers.refused(client(1));
            assert!(callers.table().callers.len() <= MOST_GONE + 2);
        }
        assert_eq!(deeds(&callers, 0).unwrap().sent, 3);
        assert_eq!(deeds(&callers, 1).unwrap().refused, 99_998);
        // Those of who is forgotten count all the same.
        assert_eq!(callers.handshakes(), 1 + 2 * 99_998);
        assert!(callers.table().callers.capacity() <= 4 * MOST_GONE);
        drop(here);
        for stranger in 100_000..110_000 {
            callers.came(client(stranger));
        }
        assert_eq!(deeds(&callers, 0), None);
    }
}
