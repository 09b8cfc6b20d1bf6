//! The keys of version 2: each attempt has its own, made of the passphrase and of two fresh keys.
//!
//! Who only listens does not know what the fresh keys have in common, and so cannot try passphrases on what
//! was said. Who sits in between and pretends to be the sender draws one proof out of the receiver for each attempt,
//! and can try passphrases on that for as long as they like. The attempt then fails, unless they find the passphrase
//! within the time that the receiver waits for a manifest.

use std::num::NonZeroU32;

use ring::{agreement, digest, hkdf, hmac, pbkdf2, rand};

use super::{
    hex::Hex,
    seal::{Opener, Sealer},
};

/// Rounds of PBKDF2 that a passphrase is put through, in both versions.
const ROUNDS: NonZeroU32 = NonZeroU32::new(600_000).unwrap();

/// The passphrase, stretched.
#[derive(Clone, PartialEq, Eq)]
pub struct PassKey([u8; 32]);

/// The system gives no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRandomness;

/// What the other side has sent is no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadKey;

/// A key pair for one attempt.
pub struct Ephemeral {
    private: agreement::EphemeralPrivateKey,
    public: Hex<65>,
}

/// What the two sides have said, and both keys are bound to.
#[derive(Debug, Clone, Copy)]
pub struct Exchange<'a> {
    /// The room's code, as the relay has given it.
    pub room: &'a str,
    /// The receiver's public key.
    pub receiver: &'a Hex<65>,
    /// The sender's public key.
    pub sender: &'a Hex<65>,
    /// The salt of the challenge.
    pub salt: &'a Hex<32>,
    /// The nonce of the challenge.
    pub nonce: &'a Hex<16>,
}

/// The keys of one attempt.
pub struct Schedule {
    transcript: [u8; 32],
    proof: hmac::Key,
    to_receiver: [u8; 32],
    to_sender: [u8; 32],
}

/// `N` random bytes.
///
/// # Errors
///
/// [`NoRandomness`] where the system has none to give.
pub fn random<const N: usize>() -> Result<[u8; N], NoRandomness>
where
    [u8; N]: rand::RandomlyConstructable,
{
    let random = rand::generate(&rand::SystemRandom::new());
    Ok(random.map_err(|_| NoRandomness)?.expose())
}

impl PassKey {
    /// Stretches `passphrase`. This keeps a core busy for some tenths of a second.
    pub fn derive(passphrase: &str, salt: &Hex<32>) -> Self {
        let mut key = [0; 32];
        let phrase = passphrase.as_bytes();
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            ROUNDS,
            &salt.0,
            phrase,
            &mut key,
        );
        Self(key)
    }

    /// The key that was once derived, from where it was kept.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key's bytes: as secret as the passphrase.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Ephemeral {
    /// A fresh pair.
    ///
    /// # Errors
    ///
    /// [`NoRandomness`] where the system has none to give.
    pub fn new() -> Result<Self, NoRandomness> {
        Self::from_random(&rand::SystemRandom::new())
    }

    fn from_random(random: &dyn rand::SecureRandom) -> Result<Self, NoRandomness> {
        let private = agreement::EphemeralPrivateKey::generate(&agreement::ECDH_P256, random)
            .map_err(|_| NoRandomness)?;
        let point = private.compute_public_key().map_err(|_| NoRandomness)?;
        let public = Hex::copied(point.as_ref());
        Ok(Self { private, public })
    }

    /// The half that the other side is told.
    pub fn public(&self) -> &Hex<65> {
        &self.public
    }
}

impl Exchange<'_> {
    /// T of PROTOCOL.md.
    fn transcript(&self) -> [u8; 32] {
        let mut hash = digest::Context::new(&digest::SHA256);
        for part in [
            b"distill 2".as_slice(),
            self.room.as_bytes(),
            &[0],
            &self.receiver.0,
            &self.sender.0,
            &self.salt.0,
            &self.nonce.0,
        ] {
            hash.update(part);
        }
        Hex::copied(hash.finish().as_ref()).0
    }
}

impl Schedule {
    /// The keys of an attempt, from our own fresh key, the other side's and the passphrase.
    ///
    /// # Errors
    ///
    /// [`BadKey`] where `peer` is no point of the curve.
    pub fn agree(
        own: Ephemeral,
        peer: &Hex<65>,
        exchange: &Exchange<'_>,
        passphrase: &PassKey,
    ) -> Result<Self, BadKey> {
        let peer = agreement::UnparsedPublicKey::new(&agreement::ECDH_P256, peer.0);
        agreement::agree_ephemeral(own.private, &peer, |shared| {
            Self::from_shared(shared, exchange, passphrase)
        })
        .map_err(|_| BadKey)
    }

    /// The keys of an attempt, from `shared`, what the two fresh keys have in common.
    fn from_shared(shared: &[u8], exchange: &Exchange<'_>, passphrase: &PassKey) -> Self {
        let transcript = exchange.transcript();
        let secret = [shared, &passphrase.0].concat();
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, &transcript).extract(&secret);
        Self {
            transcript,
            proof: hmac::Key::new(hmac::HMAC_SHA256, &expand(&root, "receiver proof")),
            to_receiver: expand(&root, "to receiver"),
            to_sender: expand(&root, "to sender"),
        }
    }

    /// What proves that the receiver knows the passphrase.
    pub fn proof(&self) -> Hex<32> {
        Hex::copied(hmac::sign(&self.proof, &self.transcript).as_ref())
    }

    /// Whether `proof` is that of a receiver who knows the passphrase; in constant time.
    pub fn is_proved_by(&self, proof: &Hex<32>) -> bool {
        hmac::verify(&self.proof, &self.transcript, &proof.0).is_ok()
    }

    /// What the sender seals and opens with.
    pub fn of_sender(&self) -> (Sealer, Opener) {
        (Sealer::new(&self.to_receiver), Opener::new(&self.to_sender))
    }

    /// What the receiver seals and opens with.
    pub fn of_receiver(&self) -> (Sealer, Opener) {
        (Sealer::new(&self.to_sender), Opener::new(&self.to_receiver))
    }
}

/// HKDF-Expand to 32 bytes (RFC 5869 §2.3).
fn expand(root: &hkdf::Prk, info: &str) -> [u8; 32] {
    let mut key = [0; 32];
    root.expand(&[info.as_bytes()], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut key))
        .unwrap_or_else(|_| unreachable!("32 bytes are the length of one hash"));
    key
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
