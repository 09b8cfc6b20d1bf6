//! Whether a client has one of the access keys, and what is counted of those who came with each.
//!
//! What a key is, is for the settings to say (`config::keys`). Which headers a request has, and what
//! becomes of sessions whose key is withdrawn, is for others.

use std::{
    net::IpAddr,
    str,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
};

use base64::{Engine, engine::general_purpose::STANDARD};
use relay_wire::ending::Ending;

use super::address::AddressKey;
use crate::config::{AccessKeys, Digest};

/// What a request shows of a key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shown<'a> {
    /// The query of its target, in which the first `key=` counts.
    pub query: Option<&'a str>,
    /// Its first `Authorization` (RFC 9110 §11.6.2): a Bearer token (RFC 6750 §2.1), or the user and the
    /// password of a URL, which clients send as Basic (RFC 7617 §2).
    pub authorization: Option<&'a [u8]>,
}

impl Shown<'_> {
    /// Whether anything is shown that could be a key.
    pub fn is_any(self) -> bool {
        offers(self).next().is_some()
    }
}

/// The keys that are good now. Asked once a handshake, so a lock will do.
#[derive(Debug)]
pub struct Access(RwLock<Keys>);

#[derive(Debug)]
struct Keys {
    required: bool,
    keys: Vec<Arc<Key>>,
}

/// A key, and what is counted of it.
#[derive(Debug)]
pub struct Key {
    name: String,
    digest: Digest,
    withdrawn: AtomicBool,
    counts: Arc<Counts>,
}

/// What is counted under the name of a key, also where another key has come under that name.
#[derive(Debug, Default)]
struct Counts {
    sessions: AtomicU64,
    open: AtomicU64,
    refused: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
}

/// What was counted under a name, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Count {
    /// The name.
    pub name: String,
    /// Sessions that began.
    pub sessions: u64,
    /// Sessions now.
    pub open: u64,
    /// Handshakes and requests that were refused.
    pub refused: u64,
    /// Bytes read from those sessions.
    pub received: u64,
    /// Bytes written to them.
    pub sent: u64,
}

/// Who has come, as far as that is known.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// The address of the client, whoever the TCP peer is.
    pub address: IpAddr,
    /// What it is counted under.
    pub network: AddressKey,
    /// The key that it has shown.
    pub key: Option<Arc<Key>>,
    /// Whether it is a check of this relay, from this machine.
    pub check: bool,
    /// Whether another node brings it, which has charged its request and looked at its key.
    pub brought: bool,
}

impl Visitor {
    /// Somebody at this address; an IPv4 address in IPv6 (RFC 4291 §2.5.5.2), as a listener of both has it, is
    /// the IPv4 address.
    pub fn new(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self {
            address,
            network: address.into(),
            key: None,
            check: false,
            brought: false,
        }
    }

    /// Counts that a handshake or a request of its was refused.
    pub fn refused(&self) {
        if let Some(key) = &self.key {
            key.counts.refused.fetch_add(1, SeqCst);
        }
    }
}

/// A session that has come with a key, which counts as open until it is dropped.
#[derive(Debug)]
pub struct Guest(Arc<Key>);

impl Access {
    /// Those of the settings.
    pub fn new(keys: &AccessKeys) -> Self {
        let access = Self(RwLock::new(Keys {
            required: false,
            keys: Vec::new(),
        }));
        access.configure(keys);
        access
    }

    /// Has these be the good ones from here on. Those that are not among them are withdrawn; what is
    /// counted under a name that stays goes on. Where no key is asked for any more, none is withdrawn, and those
    /// of before stay known.
    pub fn configure(&self, keys: &AccessKeys) {
        // Every change is whole before anything can panic.
        let mut now = self.0.write().unwrap_or_else(PoisonError::into_inner);
        now.required = keys.required;
        if !now.required {
            return;
        }
        let before = std::mem::take(&mut now.keys);
        let of_now = keys.keys.iter().map(|key| {
            let known = before.iter().find(|it| it.name == key.name);
            match known {
                Some(known) if known.digest == key.digest => Arc::clone(known),
                _ => Arc::new(Key {
                    name: key.name.clone(),
                    digest: key.digest,
                    withdrawn: AtomicBool::new(false),
                    counts: known.map_or_else(Arc::default, |it| Arc::clone(&it.counts)),
                }),
            }
        });
        now.keys = of_now.collect();
        for key in before {
            let stays = now.keys.iter().any(|it| Arc::ptr_eq(it, &key));
            key.withdrawn.store(!stays, SeqCst);
        }
    }

    /// The key of a client that shows this, or none where everybody may come.
    ///
    /// # Errors
    ///
    /// [`Ending::AccessKeyRequired`], for a wrong key as for none.
    pub fn admit(&self, shown: Shown<'_>) -> Result<Option<Arc<Key>>, Ending> {
        let now = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if !now.required {
            return Ok(None);
        }
        let mut offers = offers(shown);
        let found = offers.find_map(|offer| offer.found_in(&now.keys));
        found.map(Some).ok_or(Ending::AccessKeyRequired)
    }

    /// Whether who has come so may be here no longer: with a key that is withdrawn, or without one where one is asked
    /// for by now. Checks of this machine are let finish.
    pub fn is_over_for(&self, visitor: &Visitor) -> bool {
        if visitor.brought {
            return false;
        }
        match &visitor.key {
            Some(key) => key.withdrawn.load(SeqCst),
            None => !visitor.check && self.is_required(),
        }
    }

    fn is_required(&self) -> bool {
        let now = self.0.read().unwrap_or_else(PoisonError::into_inner);
        now.required
    }

    /// What is counted under each name.
    pub fn counts(&self) -> Vec<Count> {
        let now = self.0.read().unwrap_or_else(PoisonError::into_inner);
        now.keys.iter().map(|key| key.count()).collect()
    }
}

impl Key {
    /// Whose it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn count(&self) -> Count {
        let Counts {
            sessions,
            open,
            refused,
            received,
            sent,
        } = &*self.counts;
        Count {
            name: self.name.clone(),
            sessions: sessions.load(SeqCst),
            open: open.load(SeqCst),
            refused: refused.load(SeqCst),
            received: received.load(SeqCst),
            sent: sent.load(SeqCst),
        }
    }
}

impl Guest {
    /// A session begins that has come with this key.
    pub fn new(key: Arc<Key>) -> Self {
        key.counts.sessions.fetch_add(1, SeqCst);
        key.counts.open.fetch_add(1, SeqCst);
        Self(key)
    }

    /// Counts bytes read from it.
    pub fn received(&self, bytes: usize) {
        self.0.counts.received.fetch_add(bytes as u64, SeqCst);
    }

    /// Counts bytes written to it.
    pub fn sent(&self, bytes: usize) {
        self.0.counts.sent.fetch_add(bytes as u64, SeqCst);
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.counts.open.fetch_sub(1, SeqCst);
    }
}

/// What may be a key, of whoever's name, where one is said.
struct Offer {
    name: Option<Vec<u8>>,
    key: Vec<u8>,
}

impl Offer {
    /// The key that it is. Every key is compared, and each in full, so that the time tells nothing.
    fn found_in(&self, keys: &[Arc<Key>]) -> Option<Arc<Key>> {
        let digest = Digest::of(&self.key);
        let fitting = keys.iter().filter(|key| key.digest.fits(&digest));
        let found = fitting.fold(None, |_, key| Some(key))?;
        let named = self.name.as_deref();
        let is_theirs = named.is_none_or(|name| name == found.name.as_bytes());
        is_theirs.then(|| Arc::clone(found))
    }
}

/// What a request shows, which is two of these at most.
fn offers(shown: Shown<'_>) -> impl Iterator<Item = Offer> {
    let mut fields = shown.query.into_iter().flat_map(|query| query.split('&'));
    let in_query = fields.find_map(|field| field.strip_prefix("key="));
    let in_query = in_query.map(|key| Offer {
        name: None,
        key: key.as_bytes().to_vec(),
    });
    in_query
        .into_iter()
        .chain(shown.authorization.and_then(authorized))
}

/// What an `Authorization` offers.
fn authorized(line: &[u8]) -> Option<Offer> {
    let (scheme, rest) = str::from_utf8(line).ok()?.trim().split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Offer {
            name: None,
            key: rest.as_bytes().to_vec(),
        });
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = STANDARD.decode(rest).ok()?;
    let colon = pair.iter().position(|&byte| byte == b':')?;
    Some(Offer {
        name: Some(pair[..colon].to_vec()),
        key: pair[colon + 1..].to_vec(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
