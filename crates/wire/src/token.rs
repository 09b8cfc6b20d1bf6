//! The token by which a sender takes its room up again: what it says, and how it is written.
//!
//! What of it is signed, and by whom, is for the relay: a client keeps the text, and shows it.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// Bytes of what a token says.
const HEAD: usize = 21;
/// Bytes of its signature (HMAC-SHA256).
const SIGNATURE: usize = 32;
/// Bytes of a token, and characters of its text.
const LEN: usize = HEAD + SIGNATURE;
const TEXT: usize = (LEN * 4).div_ceil(3);
/// The one version there is.
const VERSION: u8 = 1;

/// What a token says of its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Which key has signed it.
    pub key: [u8; 4],
    /// When the room was opened, in milliseconds since 1970: it tells two rooms of one code apart.
    pub opened: u64,
    /// When its life ends, in seconds since 1970.
    pub until: u64,
}

impl Claim {
    /// The bytes of it: the version (1), and then the key's name (4), the opening (8) and the end of life (8),
    /// big-endian.
    pub fn to_bytes(self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        bytes[0] = VERSION;
        bytes[1..5].copy_from_slice(&self.key);
        bytes[5..13].copy_from_slice(&self.opened.to_be_bytes());
        bytes[13..].copy_from_slice(&self.until.to_be_bytes());
        bytes
    }
}

/// A token: a claim and its signature.
///
/// Whoever shows it has the room, so that neither `Debug` nor anything else here shows it but
/// [`ResumeToken::to_text`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ResumeToken([u8; LEN]);

impl ResumeToken {
    /// A token of this claim and its signature.
    pub fn new(claim: Claim, signature: [u8; SIGNATURE]) -> Self {
        let mut bytes = [0; LEN];
        bytes[..HEAD].copy_from_slice(&claim.to_bytes());
        bytes[HEAD..].copy_from_slice(&signature);
        Self(bytes)
    }

    /// Reads one: base64url (RFC 4648 §5) without padding. It looks at no text of another length.
    pub fn from_text(text: &str) -> Option<Self> {
        if text.len() != TEXT {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }

    /// The text, for its sender.
    pub fn to_text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// What it says, and the signature that shows whether that is so; `None` where it is of another version.
    pub fn parts(&self) -> Option<(Claim, &[u8])> {
        let (head, signature) = self.0.split_at(HEAD);
        let claim = Claim {
            key: head[1..5].try_into().ok()?,
            opened: u64::from_be_bytes(head[5..13].try_into().ok()?),
            until: u64::from_be_bytes(head[13..].try_into().ok()?),
        };
        (head[0] == VERSION).then_some((claim, signature))
    }
}

impl fmt::Debug for ResumeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResumeToken")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const CLAIM: Claim = Claim {
        key: [1, 2, 3, 4],
        opened: 1_767_225_600_123,
        until: 1_767_229_200,
    };

    #[test]
    fn a_token_is_read_as_it_is_written() {
        let token = ResumeToken::new(CLAIM, [7; SIGNATURE]);
        let text = token.to_text();
        assert_eq!(text.len(), TEXT);
        assert_eq!(ResumeToken::from_text(&text), Some(token));
        assert_eq!(token.parts(), Some((CLAIM, &[7; SIGNATURE][..])));
        assert_eq!(format!("{token:?}"), "ResumeToken");
    }

    #[test]
    fn what_is_no_token_is_none() {
        let text = ResumeToken::new(CLAIM, [255; SIGNATURE]).to_text();
        for bad in [
            "",
            &text[1..],
            &format!("{text}="),
            &"A".repeat(4096),
            &text.replace('_', "/"),
        ] {
            assert_eq!(ResumeToken::from_text(bad), None, "{bad}");
        }
        let other = ResumeToken::from_text(&format!("B{}", &text[1..])).unwrap();
        assert_eq!(other.parts(), None, "of another version");
    }
}
