//! The keys that sign the tokens by which senders take their rooms up again, and when they change.
//!
//! Where the keys are kept is for `process`. Times are seconds since 1970: a token outlives the process.

use std::{collections::HashSet, fmt};

use relay_wire::{
    code::RoomCode,
    token::{Claim, ResumeToken},
};
use ring::hmac;
use serde::{Deserialize, Serialize};

/// Seconds after which a key is followed by a new one.
const DAY: u64 = 24 * 3600;
/// Seconds for which a key still counts that was followed: no token lives longer (`RELAY_MAX_ROOM_TTL` has no
/// higher value).
pub const KEPT: u64 = 7 * DAY;
/// Keys that are kept at most: those of the last days, and one more.
const MOST: usize = (KEPT / DAY) as usize + 2;

/// A secret of 32 bytes.
pub type Secret = [u8; 32];

/// A key, and when it was made. Its `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Seconds since 1970.
    pub made: u64,
    /// The key itself.
    pub secret: Secret,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key of {}", self.made)
    }
}

/// The keys that count, the newest last: that one signs.
pub struct Keyring(Vec<Signer>);

struct Signer {
    name: [u8; 4],
    key: hmac::Key,
}

impl Signer {
    fn new(secret: &[u8]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let mut name = [0; 4];
        name.copy_from_slice(&hmac::sign(&key, b"name").as_ref()[..4]);
        Self { name, key }
    }
}

impl Keyring {
    /// These keys, of which the last signs; with none no room can be taken up again.
    pub fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let signers = secrets.into_iter().map(|secret| Signer::new(&secret));
        Self(signers.collect())
    }

    /// The one key that follows from the secret of a cluster, so that every node has it.
    pub fn of_cluster(secret: &str) -> Self {
        let common = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let derived = hmac::sign(&common, b"resume");
        Self(vec![Signer::new(derived.as_ref())])
    }

    /// A token for the room of this code; `None` where there is no key.
    pub fn sign(&self, code: &RoomCode, opened: u64, until: u64) -> Option<ResumeToken> {
        let Signer { name, key } = self.0.last()?;
        let claim = Claim {
            key: *name,
            opened,
            until,
        };
        let signed = hmac::sign(key, &said(code, claim));
        let signature = signed.as_ref().try_into().ok()?;
        Some(ResumeToken::new(claim, signature))
    }

    /// What a token says, if one of the keys has signed it for this code and its life is not over at `now`.
    pub fn verify(&self, code: &RoomCode, token: &ResumeToken, now: u64) -> Option<Claim> {
        let (claim, signature) = token.parts()?;
        let signer = self.0.iter().find(|signer| signer.name == claim.key)?;
        // It takes as long whatever the signature is.
        hmac::verify(&signer.key, &said(code, claim), signature).ok()?;
        (claim.until > now).then_some(claim)
    }
}

/// What is signed: the code, a byte of 0, and all that the token says.
fn said(code: &RoomCode, claim: Claim) -> Vec<u8> {
    [code.reveal().as_bytes(), &[0], &claim.to_bytes()].concat()
}

/// The keys that count at `now`, the newest last: one more than there were, made of `fresh`, where the newest
/// is older than a day, and without those of which no token can live. A key from the future, as a clock that was ahead
/// leaves it, counts as made now: its days would begin only then, with a new key at each look until they do.
pub fn renewed(mut keys: Vec<Key>, now: u64, fresh: Secret) -> Vec<Key> {
    for key in &mut keys {
        key.made = key.made.min(now);
    }
    keys.sort_by_key(|key| key.made);
    // Two relays that have one file may have seen the same key from the future at different times.
    let mut known = HashSet::new();
    keys.retain(|key| known.insert(key.secret));
    let is_new = |key: &Key| now - key.made < DAY;
    if !keys.last().is_some_and(is_new) {
        keys.push(Key {
            made: now,
            secret: fresh,
        });
    }
    // Each counts until the last token of it is dead, which was signed before the next was made.
    let followed: Vec<_> = keys.iter().skip(1).map(|next| next.made).collect();
    let mut followed = followed.into_iter();
    keys.retain(|_| {
        followed
            .next()
            .is_none_or(|at| now < at.saturating_add(KEPT))
    });
    keys.split_off(keys.len().saturating_sub(MOST))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const NOW: u64 = 1_767_225_600;

    fn code(text: &str) -> RoomCode {
        RoomCode::from_typed(text).unwrap()
    }

    fn made(keys: &[Key]) -> Vec<u64> {
        keys.iter().map(|key| key.made).collect()
    }

    #[test]
    fn a_token_is_good_for_its_code_and_its_life() {
        let keys = Keyring::new([[1; 32]]);
        let token = keys.sign(&code("a7f3k2"), 5, NOW + 60).unwrap();
        let claim = keys.verify(&code("A7F-3K2"), &token, NOW).unwrap();
        assert_eq!((claim.opened, claim.until), (5, NOW + 60));
        assert!(keys.verify(&code("a7f3k3"), &token, NOW).is_none());
        assert!(keys.verify(&code("a7f3k2"), &token, NOW + 60).is_none());
        assert!(
            Keyring::new([[2; 32]])
                .verify(&code("a7f3k2"), &token, NOW)
                .is_none()
        );
        assert!(
            Keyring::new([])
                .sign(&code("a7f3k2"), 5, NOW + 60)
                .is_none()
        );
    }

    #[test]
    fn no_bit_of_a_token_can_be_another() {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let keys = Keyring::new([[1; 32]]);
        let text = keys.sign(&code("a7f3k2"), 5, NOW + 60).unwrap().to_text();
        let bytes = URL_SAFE_NO_PAD.decode(text).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            let other = ResumeToken::from_text(&URL_SAFE_NO_PAD.encode(other)).unwrap();
            assert!(keys.verify(&code("a7f3k2"), &other, NOW).is_none(), "{bit}");
        }
    }

    /// PROTOCOL.md has this token, and what it is made of.
    #[test]
    fn the_protocol_page_has_this_token() {
        let page = include_str!("../../PROTOCOL.md");
        let secret: Secret = std::array::from_fn(|at| at as u8);
        let keys = Keyring::new([secret]);
        let token = keys
            .sign(&code("a7f3k2"), 1_767_225_600_000, 1_767_232_800)
            .unwrap();
        let token = token.to_text();
        assert!(page.contains(&token), "{token}");
        let of_cluster = Keyring::of_cluster("0123456789abcdef0123456789abcdef");
        let token = of_cluster.sign(&code("a7f3k2"), 1_767_225_600_000, 1_767_232_800);
        let token = token.unwrap().to_text();
        assert!(page.contains(&token), "{token}");
    }

    #[test]
    fn keys_overlap_for_as_long_as_a_token_can_live() {
        let first = renewed(Vec::new(), NOW, [9; 32]);
        assert_eq!(made(&first), [NOW]);
        let same = renewed(first.clone(), NOW + DAY - 1, [8; 32]);
        assert_eq!(made(&same), [NOW]);
        let two = renewed(first, NOW + DAY, [8; 32]);
        assert_eq!(made(&two), [NOW, NOW + DAY]);
        let token = Keyring::new([[9; 32]])
            .sign(&code("a7f3k2"), 5, NOW + 60)
            .unwrap();
        let both = Keyring::new(two.iter().map(|key| key.secret));
        assert!(both.verify(&code("a7f3k2"), &token, NOW).is_some());
        // Its last token was signed a moment before the second was made.
        let both = renewed(two.clone(), NOW + DAY + KEPT - 1, [7; 32]);
        assert_eq!(made(&both), [NOW, NOW + DAY, NOW + DAY + KEPT - 1]);
        let later = renewed(two, NOW + DAY + KEPT, [7; 32]);
        assert_eq!(made(&later), [NOW + DAY, NOW + DAY + KEPT]);
    }

    #[test]
    fn a_clock_that_was_ahead_makes_no_keys_and_costs_no_token() {
        const LOOK: u64 = 600;
        let mut keys = vec![Key {
            made: NOW + 5 * DAY,
            secret: [255; 32],
        }];
        let token = Keyring::new([keys[0].secret])
            .sign(&code("a7f3k2"), 5, NOW + 10 * DAY)
            .unwrap();
        for look in 0..KEPT / LOOK {
            let now = NOW + look * LOOK;
            keys = renewed(keys, now, [look as u8; 32]);
            let days = (now - NOW) / DAY;
            assert_eq!(keys.len() as u64, 1 + days, "a key for each day");
            let keyring = Keyring::new(keys.iter().map(|key| key.secret));
            assert!(keyring.verify(&code("a7f3k2"), &token, now).is_some());
        }
    }

    #[test]
    fn a_key_is_there_once_however_often_it_was_seen() {
        let seen = [NOW - 1, NOW, NOW + DAY].map(|made| Key {
            made,
            secret: [1; 32],
        });
        let keys = renewed(seen.to_vec(), NOW, [9; 32]);
        assert_eq!(made(&keys), [NOW - 1]);
    }

    #[test]
    fn a_file_of_any_length_leaves_few_keys() {
        let many = (0..1000).map(|at| Key {
            made: NOW - at,
            secret: std::array::from_fn(|byte| (at >> (8 * (byte % 8))) as u8),
        });
        assert_eq!(renewed(many.collect(), NOW, [9; 32]).len(), MOST);
    }
}
