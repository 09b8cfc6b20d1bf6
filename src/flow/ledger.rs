//! What becomes of the payload that clients send each other: the relay takes it from one of them, and
//! then gives it to the other, drops it for a reason, or still holds it.
//!
//! A [`Credit`](super::credit::Credit) travels with the payload and books each byte, once. Payload is
//! what is inside the data frames of a session that is in a room: no header, no request, no control
//! frame, and nothing of a frame that broke the protocol. It is given when the recipient's system has
//! the last byte of the chunk it is in; of a chunk that was written in part all is dropped.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Why payload went to nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// Its sender is paired with nobody.
    NoPeer,
    /// It was for a receiver that is gone, or may have been.
    ReceiverGone,
    /// It ends a message that began before this receiver came.
    TailOfMessage,
    /// Its receiver left before its turn.
    NotPaired,
    /// Its receiver left in the middle of a message, which its sender gets whole or not at all.
    Unfinished,
    /// Its room was closed when it came.
    RoomGone,
    /// Its session was being closed when it came.
    Closing,
    /// It was on its way to a peer whose connection took no more.
    PeerGone,
}

impl Dropped {
    /// Every reason there is.
    pub const ALL: [Self; 8] = [
        Self::NoPeer,
        Self::ReceiverGone,
        Self::TailOfMessage,
        Self::NotPaired,
        Self::Unfinished,
        Self::RoomGone,
        Self::Closing,
        Self::PeerGone,
    ];

    /// Its metric label.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoPeer => "no_peer",
            Self::ReceiverGone => "receiver_gone",
            Self::TailOfMessage => "tail_of_message",
            Self::NotPaired => "not_paired",
            Self::Unfinished => "unfinished",
            Self::RoomGone => "room_gone",
            Self::Closing => "closing",
            Self::PeerGone => "peer_gone",
        }
    }
}

/// The bytes of payload of a whole relay, by what became of them.
#[derive(Debug, Default)]
pub struct Ledger {
    taken: AtomicU64,
    given: AtomicU64,
    dropped: [AtomicU64; Dropped::ALL.len()],
    held: AtomicU64,
}

/// A ledger at one moment. What was taken is what was given, dropped and held, where nothing moves
/// meanwhile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Bytes taken from clients.
    pub taken: u64,
    /// Bytes of these that were given to their peers.
    pub given: u64,
    /// Bytes of these that were dropped, in the order of [`Dropped::ALL`].
    pub dropped: [u64; Dropped::ALL.len()],
    /// Bytes that are on their way.
    pub held: u64,
}

impl Ledger {
    pub(super) fn taken(&self, bytes: usize) {
        self.taken.fetch_add(bytes as u64, SeqCst);
    }

    pub(super) fn given(&self, bytes: usize) {
        self.given.fetch_add(bytes as u64, SeqCst);
    }

    pub(super) fn dropped(&self, bytes: usize, why: Dropped) {
        self.dropped[why as usize].fetch_add(bytes as u64, SeqCst);
    }

    /// A credit holds so many bytes now, and held so many before.
    pub(super) fn held(&self, before: usize, now: usize) {
        // Wraps around where it is less, to the right sum.
        let more = (now as u64).wrapping_sub(before as u64);
        self.held.fetch_add(more, SeqCst);
    }

    /// How it stands now.
    pub fn account(&self) -> Account {
        Account {
            taken: self.taken.load(SeqCst),
            given: self.given.load(SeqCst),
            dropped: self.dropped.each_ref().map(|bytes| bytes.load(SeqCst)),
            held: self.held.load(SeqCst),
        }
    }
}

impl Account {
    /// Bytes dropped for this reason.
    pub fn dropped(&self, why: Dropped) -> u64 {
        self.dropped[why as usize]
    }

    /// Whether each byte that was taken is in one of the other columns.
    pub fn is_even(&self) -> bool {
        self.taken == self.given + self.dropped.iter().sum::<u64>() + self.held
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_reason_has_a_place_and_a_label_of_its_own() {
        let names: HashSet<_> = Dropped::ALL.iter().map(|why| why.name()).collect();
        assert_eq!(names.len(), Dropped::ALL.len());
        for (place, why) in Dropped::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, place);
        }
    }

    #[test]
    fn an_account_is_even_once_each_byte_is_in_one_column() {
        let ledger = Ledger::default();
        ledger.taken(100);
        ledger.held(0, 100);
        assert!(ledger.account().is_even());
        ledger.held(100, 30);
        assert!(!ledger.account().is_even());
        ledger.given(60);
        ledger.dropped(7, Dropped::PeerGone);
        ledger.dropped(3, Dropped::NoPeer);
        let account = ledger.account();
        assert_eq!(account.dropped(Dropped::NoPeer), 3);
        assert_eq!(account.held, 30);
        assert!(account.is_even(), "{account:?}");
    }
}
