//! What the nodes' common secret is good for: to seal what they say to each other, to name a room without
//! its code, and to tell one cluster from another.
//!
//! Each process seals with a key of its own, made of the secret and a salt (RFC 5869), and counts what it
//! seals: so no nonce of AES-GCM (RFC 5116 §3.2) comes twice under one key, whoever shares the secret.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use relay_wire::code::RoomCode;
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Salt},
    hmac,
};

/// Bytes of the salt of a process.
const SALT: usize = 16;
/// Bytes in front of what is sealed: the salt and the number.
const HEAD: usize = SALT + 8;

/// A room, for those that do not know its code.
pub type RoomHash = [u8; 16];

/// What a sealed text is for: it is opened for nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Said over NATS.
    Word,
    /// A visit that asks to be let in.
    Visit,
    /// The answer to a visit.
    Welcome,
}

/// The keys of one process.
pub(super) struct Keys {
    secret: String,
    rooms: hmac::Key,
    tag: String,
    salt: [u8; SALT],
    own: LessSafeKey,
    sealed: AtomicU64,
}

impl Keys {
    /// Those that follow from this secret, and a salt that nobody else has.
    pub(super) fn new(secret: &str, salt: [u8; SALT]) -> Self {
        let named = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let derived = |label: &[u8]| hmac::sign(&named, label);
        let tag = hex(&derived(b"tag").as_ref()[..4]);
        Self {
            rooms: hmac::Key::new(hmac::HMAC_SHA256, derived(b"rooms").as_ref()),
            tag,
            own: key(secret, &salt),
            secret: secret.to_owned(),
            salt,
            sealed: AtomicU64::new(0),
        }
    }

    /// What tells this cluster from others that use the same NATS servers.
    pub(super) fn tag(&self) -> &str {
        &self.tag
    }

    /// The room of this code.
    pub(super) fn room(&self, code: &RoomCode) -> RoomHash {
        let signed = hmac::sign(&self.rooms, code.reveal().as_bytes());
        let mut hash = RoomHash::default();
        let len = hash.len();
        hash.copy_from_slice(&signed.as_ref()[..len]);
        hash
    }

    /// Seals a text, to be opened where it was meant to go.
    pub(super) fn seal(&self, purpose: Purpose, place: &str, text: &[u8]) -> Vec<u8> {
        let number = self.sealed.fetch_add(1, Relaxed).to_be_bytes();
        let mut body = text.to_vec();
        // It fails for texts of 64 GiB.
        let _ = self
            .own
            .seal_in_place_append_tag(nonce(number), aad(purpose, place), &mut body);
        [&self.salt[..], &number, &body].concat()
    }

    /// Opens what a process with the same secret has sealed for this purpose and place; `None` for anything else. With
    /// its number, which is higher than those of what that process sealed before.
    pub(super) fn open(
        &self,
        purpose: Purpose,
        place: &str,
        sealed: &[u8],
    ) -> Option<(u64, Vec<u8>)> {
        let (head, body) = sealed.split_at_checked(HEAD)?;
        let (salt, number) = head.split_at(SALT);
        let mut body = body.to_vec();
        let number = number.try_into().ok()?;
        let theirs = key(&self.secret, salt);
        let text = theirs
            .open_in_place(nonce(number), aad(purpose, place), &mut body)
            .ok()?;
        Some((u64::from_be_bytes(number), text.to_vec()))
    }
}

fn key(secret: &str, salt: &[u8]) -> LessSafeKey {
    let derived = Salt::new(HKDF_SHA256, salt).extract(secret.as_bytes());
    let key = derived
        .expand(&[b"claude-distill-relay nodes"], &AES_256_GCM)
        .map(UnboundKey::from);
    // The one error is a key longer than 255 hashes.
    #[allow(clippy::expect_used)]
    LessSafeKey::new(key.expect("a key is 32 bytes long"))
}

fn nonce(number: [u8; 8]) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[NONCE_LEN - number.len()..].copy_from_slice(&number);
    Nonce::assume_unique_for_key(bytes)
}

fn aad(purpose: Purpose, place: &str) -> Aad<Vec<u8>> {
    let purpose: &[u8] = match purpose {
        Purpose::Word => b"word ",
        Purpose::Visit => b"visit ",
        Purpose::Welcome => b"welcome ",
    };
    Aad::from([purpose, place.as_bytes()].concat())
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn what_one_seals_the_others_open_for_that_purpose_alone() {
        let (a, b) = (Keys::new(SECRET, [1; SALT]), Keys::new(SECRET, [2; SALT]));
        let stranger = Keys::new("another secret, another cluster!", [1; SALT]);
        let sealed = a.seal(Purpose::Word, "here", b"hello");
        let again = a.seal(Purpose::Word, "here", b"hello");
        let (first, text) = b.open(Purpose::Word, "here", &sealed).unwrap();
        assert_eq!(text, b"hello");
        assert!(b.open(Purpose::Word, "here", &again).unwrap().0 > first);
        assert!(b.open(Purpose::Visit, "here", &sealed).is_none());
        assert!(b.open(Purpose::Word, "there", &sealed).is_none());
        assert!(stranger.open(Purpose::Word, "here", &sealed).is_none());
        for at in 0..sealed.len() {
            let mut other = sealed.clone();
            other[at] ^= 1;
            assert!(b.open(Purpose::Word, "here", &other).is_none(), "{at}");
            assert!(
                b.open(Purpose::Word, "here", &sealed[..at]).is_none(),
                "{at}"
            );
        }
        assert_ne!(again, sealed, "a nonce comes once");
        assert!(!sealed.windows(5).any(|it| it == b"hello"));
    }

    #[test]
    fn a_room_has_one_name_in_its_cluster_and_another_elsewhere() {
        let (a, b) = (Keys::new(SECRET, [1; SALT]), Keys::new(SECRET, [2; SALT]));
        let stranger = Keys::new("another secret, another cluster!", [1; SALT]);
        let code = RoomCode::random(6).unwrap();
        assert_eq!(a.room(&code), b.room(&code));
        assert_ne!(a.room(&code), stranger.room(&code));
        assert_eq!(a.tag(), b.tag());
        assert_ne!(a.tag(), stranger.tag());
    }
}
