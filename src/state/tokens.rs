//! The keys of the tokens by which senders take their rooms up again, and the codes that may be given out meanwhile.
//!
//! Where they are kept, and when the keys change, is for `process`.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use relay_wire::code::RoomCode;

use crate::rooms::{
    keyring::{Keyring, Secret},
    slot::Slot,
};

/// What all workers know of tokens.
pub struct Tokens {
    keyring: RwLock<Arc<Keyring>>,
    slot: OnceLock<Slot>,
}

impl Tokens {
    /// A key of this process alone.
    pub(super) fn new() -> Self {
        let mut secret = Secret::default();
        // Without randomness there is no key, and so no token.
        let made = getrandom::fill(&mut secret).map(|()| secret);
        Self {
            keyring: RwLock::new(Arc::new(Keyring::new(made))),
            slot: OnceLock::new(),
        }
    }

    /// The keys of now.
    pub fn keyring(&self) -> Arc<Keyring> {
        let keyring = self.keyring.read();
        Arc::clone(&keyring.unwrap_or_else(PoisonError::into_inner))
    }

    /// Has these keys count from here on.
    pub fn set_keyring(&self, keyring: Keyring) {
        let mut now = self.keyring.write().unwrap_or_else(PoisonError::into_inner);
        *now = Arc::new(keyring);
    }

    /// Has only these codes be given out, as far as there are enough; once.
    pub fn set_slot(&self, slot: Slot) {
        self.slot.get_or_init(|| slot);
    }

    /// Whether a code is one of those that this process gives out first.
    pub fn prefers(&self, code: &RoomCode) -> bool {
        self.slot.get().is_none_or(|slot| slot.has(code))
    }
}
