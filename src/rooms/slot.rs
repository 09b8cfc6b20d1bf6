//! Which codes a process gives out, so that it gives out none of a room that the last processes have opened, and
//! whose sender may take it up again here.
//!
//! All codes are parted into [`SLOTS`] by a keyed hash, and each start of the relay uses the next. Nobody without
//! the key can tell which codes those are: a guess is right as seldom as without slots.

use relay_wire::code::RoomCode;
use ring::hmac;

use super::keyring::Secret;

/// How many there are: what a start has given out, the next fifteen do not.
pub const SLOTS: u64 = 16;

/// The codes of one start.
#[derive(Debug)]
pub struct Slot {
    key: hmac::Key,
    number: u64,
}

impl Slot {
    /// Those of a start, by how many there were before it.
    pub fn new(key: &Secret, starts: u64) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
            number: starts % SLOTS,
        }
    }

    /// Whether a code is one of them.
    pub fn has(&self, code: &RoomCode) -> bool {
        let signed = hmac::sign(&self.key, code.reveal().as_bytes());
        let first = signed.as_ref().first().copied().unwrap_or_default();
        u64::from(first) % SLOTS == self.number
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::rooms::placement::Placement;

    #[test]
    fn a_code_belongs_to_one_start_of_sixteen() {
        let codes: Vec<_> = (0..1000).map(|_| RoomCode::random(6).unwrap()).collect();
        for code in &codes {
            let starts = (0..2 * SLOTS).filter(|&starts| Slot::new(&[7; 32], starts).has(code));
            let starts: Vec<_> = starts.collect();
            assert_eq!(starts.len(), 2);
            assert_eq!(starts[1] - starts[0], SLOTS);
        }
        let in_first = codes.iter().filter(|code| Slot::new(&[7; 32], 0).has(code));
        let count = in_first.count();
        assert!((20..120).contains(&count), "{count} of 1000");
    }

    #[test]
    fn every_worker_finds_codes_in_every_slot() {
        for workers in [1, 2, 3, 16, 64] {
            let placement = Placement::new(workers);
            let mut missing: Vec<_> = (0..workers).collect();
            let slot = Slot::new(&[7; 32], 3);
            for _ in 0..100_000 {
                let code = RoomCode::random(6).unwrap();
                if slot.has(&code) {
                    missing.retain(|&worker| worker != placement.home(&code));
                }
            }
            assert_eq!(missing, [0; 0], "of {workers}");
        }
    }
}
