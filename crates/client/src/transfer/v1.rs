//! Version 1, which today's clients speak: the proof of the passphrase, and the payload.

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hmac,
};

use super::{
    hello::Payload,
    hex::Hex,
    keys::{NoRandomness, PassKey, random},
};

/// What was sealed does not open: another passphrase, or changed on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotOpened;

/// What proves the passphrase to a sender that asks with `nonce`; `key` is the passphrase's under the
/// challenge's salt.
pub fn proof(key: &PassKey, nonce: &Hex<16>) -> Hex<32> {
    Hex::copied(hmac::sign(&proof_key(key), &nonce.0).as_ref())
}

/// Whether `proof` is that of a receiver who knows the passphrase; in constant time.
pub fn is_proved_by(key: &PassKey, nonce: &Hex<16>, proof: &Hex<32>) -> bool {
    hmac::verify(&proof_key(key), &nonce.0, &proof.0).is_ok()
}

/// Seals `content` under the passphrase's key, which was derived with `salt`.
///
/// # Errors
///
/// [`NoRandomness`] where the system gives no nonce.
pub fn seal(key: &PassKey, salt: Hex<32>, mut content: Vec<u8>) -> Result<Payload, NoRandomness> {
    let nonce: [u8; 12] = random()?;
    content.reserve_exact(AES_256_GCM.tag_len());
    payload_key(key)
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::empty(),
            &mut content,
        )
        .unwrap_or_else(|_| unreachable!("only content of 64 GiB is refused"));
    Ok(Payload {
        salt,
        nonce: Hex(nonce),
        ciphertext: content,
        session_id: None,
    })
}

/// Opens a payload; `key` is the passphrase's under the payload's salt.
///
/// # Errors
///
/// [`NotOpened`] where that key does not open it.
pub fn open(key: &PassKey, payload: Payload) -> Result<Vec<u8>, NotOpened> {
    let mut content = payload.ciphertext;
    let nonce = Nonce::assume_unique_for_key(payload.nonce.0);
    let opened = payload_key(key).open_in_place(nonce, Aad::empty(), &mut content);
    let len = opened.map_err(|_| NotOpened)?.len();
    content.truncate(len);
    Ok(content)
}

fn proof_key(key: &PassKey) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes())
}

fn payload_key(key: &PassKey) -> LessSafeKey {
    let key = UnboundKey::new(&AES_256_GCM, key.as_bytes());
    LessSafeKey::new(key.unwrap_or_else(|_| unreachable!("a key of 32 bytes")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_and_what_was_changed_does_not() {
        let key = PassKey::from_bytes([7; 32]);
        let payload = seal(&key, Hex([1; 32]), b"content".to_vec()).unwrap();
        assert_eq!(open(&key, payload.clone()).unwrap(), b"content");
        let other = PassKey::from_bytes([8; 32]);
        assert_eq!(open(&other, payload.clone()), Err(NotOpened));
        let mut changed = payload;
        changed.ciphertext[0] ^= 1;
        assert_eq!(open(&key, changed.clone()), Err(NotOpened));
        changed.ciphertext.clear();
        assert_eq!(open(&key, changed), Err(NotOpened));
    }

    #[test]
    fn a_proof_is_of_one_key_and_one_nonce() {
        let (key, nonce) = (PassKey::from_bytes([7; 32]), Hex([1; 16]));
        let proof = proof(&key, &nonce);
        assert!(is_proved_by(&key, &nonce, &proof));
        assert!(!is_proved_by(&key, &Hex([2; 16]), &proof));
        assert!(!is_proved_by(&PassKey::from_bytes([8; 32]), &nonce, &proof));
    }
}
