//! The access keys of a relay that is for some people only: each has a name, which is shown and counted by,
//! and a key, which is never shown. Of a key its SHA-256 is enough, so that settings which others may read
//! need not tell it. Whether a client has one is for `limits::access`.

use std::{collections::HashSet, fmt, ops::RangeInclusive};

use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use subtle::ConstantTimeEq;

/// Keys there may be: all of them are compared for a handshake, and each has its lines in the metrics.
pub(super) const MAX_KEYS: usize = 1000;
/// Characters of a name.
pub(super) const MAX_NAME: usize = 32;
/// Characters of a key. A shorter one could be guessed.
pub(super) const KEY: RangeInclusive<usize> = 16..=128;
/// What stands in front of a hash in the place of a key.
const HASHED: &str = "sha256-";
/// The name of a key that checks use.
const CHECK: &str = "check";

/// The SHA-256 of a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; SHA256_OUTPUT_LEN]);

impl Digest {
    /// That of this key.
    pub fn of(key: &[u8]) -> Self {
        let mut bytes = [0; SHA256_OUTPUT_LEN];
        bytes.copy_from_slice(digest(&SHA256, key).as_ref());
        Self(bytes)
    }

    /// Reads it as 64 hexadecimal digits.
    fn parse(hex: &str) -> Option<Self> {
        let mut bytes = [0; SHA256_OUTPUT_LEN];
        let digits = hex.as_bytes();
        if digits.len() != 2 * bytes.len() || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// Whether both are of the same key, in a time that does not tell where they differ.
    pub fn fits(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// It would help whoever guesses.
impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(not shown)")
    }
}

/// A key and its name.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// Whose it is.
    pub name: String,
    /// What it is known by.
    pub digest: Digest,
    /// The key itself, where the settings have it.
    plain: Option<String>,
}

impl AccessKey {
    /// Reads `name:key`, or `name:sha256-` and the hash of the key.
    fn parse(pair: &str) -> Option<Self> {
        let (name, key) = pair.split_once(':')?;
        let is_name = (1..=MAX_NAME).contains(&name.len()) && is_plain(name);
        let hash = key.split_at_checked(HASHED.len());
        let hash = hash.filter(|(prefix, _)| prefix.eq_ignore_ascii_case(HASHED));
        let (digest, plain) = match hash {
            Some((_, hex)) => (Digest::parse(hex)?, None),
            None if KEY.contains(&key.len()) && is_plain(key) => {
                (Digest::of(key.as_bytes()), Some(key.to_owned()))
            }
            None => return None,
        };
        let name = name.to_owned();
        is_name.then_some(Self {
            name,
            digest,
            plain,
        })
    }
}

/// Whether a text is the same wherever it stands: in a URL's query, as its user or password, in a header.
fn is_plain(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

/// Who may use a relay.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AccessKeys {
    /// Whether a key is asked for at all.
    pub required: bool,
    /// The keys that are good.
    pub keys: Vec<AccessKey>,
}

impl AccessKeys {
    /// Reads `name:key` pairs with commas between them. Where there is none, everybody may come.
    ///
    /// Or reads the path of a file with what is in it, from its next line on: a pair a line, and lines that
    /// begin with `#`. Where that has no pair, nobody may come: whoever takes out the last key means to
    /// keep its owner out, and not to let all others in.
    pub fn parse(text: &str) -> Option<Self> {
        let is_file = text.starts_with('/');
        let pairs: Vec<_> = if is_file {
            let lines = text.lines().skip(1).map(str::trim);
            lines.filter(|line| !line.starts_with('#')).collect()
        } else {
            text.split(',').map(str::trim).collect()
        };
        let pairs = pairs.into_iter().filter(|pair| !pair.is_empty());
        let keys = pairs.map(AccessKey::parse).collect::<Option<Vec<_>>>()?;
        let names: HashSet<_> = keys.iter().map(|key| &key.name).collect();
        let digests: HashSet<_> = keys.iter().map(|key| key.digest).collect();
        let distinct = names.len() == keys.len() && digests.len() == keys.len();
        let required = !text.trim().is_empty();
        // Of commas alone somebody has forgotten what belongs between them.
        let meant = is_file || !required || !keys.is_empty();
        (meant && distinct && keys.len() <= MAX_KEYS).then_some(Self { required, keys })
    }

    /// The names of keys that stand there in full, but for the one that is for checks, which are made by anybody on
    /// the relay's machine.
    pub fn in_full(&self) -> impl Iterator<Item = &str> {
        let keys = self.keys.iter().filter(|key| key.plain.is_some());
        keys.map(|key| key.name.as_str()).filter(|&it| it != CHECK)
    }

    /// A key that can be shown to the relay: the one named `check`, or else the first that the settings have
    /// in full.
    pub fn for_checks(&self) -> Option<&str> {
        let plain = |key: &&AccessKey| key.plain.is_some();
        let named = self.keys.iter().filter(plain).find(|it| it.name == CHECK);
        let any = || self.keys.iter().find(plain);
        named.or_else(any)?.plain.as_deref()
    }
}

/// The names alone.
impl fmt::Display for AccessKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.keys.iter().map(|key| key.name.as_str()).collect();
        match (self.required, names.as_slice()) {
            (true, []) => f.write_str("(nobody)"),
            (_, names) => f.write_str(&names.join(",")),
        }
    }
}

impl fmt::Debug for AccessKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const KEY: &str = "correct-horse-battery";

    #[test]
    fn pairs_are_of_a_name_and_a_key_that_is_not_shown() {
        let keys = AccessKeys::parse(&format!(" alice:{KEY}, bob:0123456789abcdef ,")).unwrap();
        assert!(keys.required);
        assert_eq!(keys.to_string(), "alice,bob");
        assert!(keys.keys[0].digest.fits(&Digest::of(KEY.as_bytes())));
        assert!(!keys.keys[1].digest.fits(&Digest::of(KEY.as_bytes())));
        let shown = format!("{keys:?} {:?}", keys.keys[0].digest);
        assert!(!shown.contains("horse") && !shown.contains('['), "{shown}");
        assert_eq!(keys.for_checks(), Some(KEY));
        for bad in [
            "alice",
            "alice:",
            ":0123456789abcdef",
            "alice:short",
            "alice:0123456789abcde",
            "alice:0123456789abcdef:x",
            "alice:0123456789 abcdef",
            "alice:0123456789abcde+",
            "al ice:0123456789abcdef",
            "alice:0123456789abcdef,alice:0123456789abcdeg",
            "alice:0123456789abcdef,bob:0123456789abcdef",
            "alice:sha256-0123",
            "alice:SHA256-0123456789abcdef",
            ",",
            " , ,",
            "./keys",
        ] {
            assert!(AccessKeys::parse(bad).is_none(), "{bad}");
        }
        let long = |name, key| format!("{}:{}", "n".repeat(name), "k".repeat(key));
        assert!(AccessKeys::parse(&long(32, 128)).is_some());
        assert!(AccessKeys::parse(&long(33, 128)).is_none());
        assert!(AccessKeys::parse(&long(32, 129)).is_none());
    }

    /// The hash is what `printf %s correct-horse-battery | sha256sum` prints.
    #[test]
    fn a_hash_stands_for_its_key() {
        let hash = "62249369389075490555a758353aec61500c6218fa597252d52dc4bd0148f12d";
        let keys = AccessKeys::parse(&format!("alice:sha256-{hash}")).unwrap();
        assert!(keys.keys[0].digest.fits(&Digest::of(KEY.as_bytes())));
        assert_eq!(keys.for_checks(), None);
        let upper = format!("alice:SHA256-{}", hash.to_uppercase());
        assert!(AccessKeys::parse(&upper) == Some(keys));
        let both = format!("alice:sha256-{hash},bob:{KEY}");
        assert!(AccessKeys::parse(&both).is_none(), "one key for two");
        let other = format!("alice:sha256-{hash},bob:0123456789abcdef,check:fedcba9876543210");
        let keys = AccessKeys::parse(&other).unwrap();
        assert_eq!(keys.for_checks(), Some("fedcba9876543210"));
    }

    #[test]
    fn none_in_the_settings_lets_all_in_and_none_in_a_file_nobody() {
        let none = AccessKeys::parse("").unwrap();
        assert!(!none.required && none.keys.is_empty());
        assert_eq!(none.to_string(), "");
        for empty in ["/keys", "/keys\n", "/keys\n# alice:0123456789abcdef\n\n"] {
            let keys = AccessKeys::parse(empty).unwrap();
            assert!(keys.required && keys.keys.is_empty(), "{empty:?}");
            assert_eq!(keys.to_string(), "(nobody)");
        }
        let text = format!("/keys\n# of the team\n alice:{KEY}\r\n\nbob:0123456789abcdef");
        assert_eq!(AccessKeys::parse(&text).unwrap().to_string(), "alice,bob");
    }

    #[test]
    fn there_are_a_thousand_at_most() {
        let pairs = |count| (0..count).map(|it| format!("n{it}:0123456789abcdef{it}"));
        let text = |count| pairs(count).collect::<Vec<_>>().join(",");
        assert!(AccessKeys::parse(&text(MAX_KEYS)).is_some());
        assert!(AccessKeys::parse(&text(MAX_KEYS + 1)).is_none());
    }
}
