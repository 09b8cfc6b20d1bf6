//! The texts of both versions: how the two sides find a version, and how a receiver proves that it knows
//! the passphrase. Version 1 says everything in such texts, version 2 what comes before its first
//! binary message.

use serde::{Deserialize, Serialize};

use super::hex::Hex;

/// A public key: a point on P-256, uncompressed (SEC 1 §2.3.3).
pub type PublicKey = Hex<65>;

/// One text message between sender and receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "SCREAMING_SNAKE_CASE",
    rename_all_fields = "camelCase"
)]
pub enum Word {
    /// The receiver begins.
    Hello {
        /// What a sender of version 1 reads; always 1.
        version: u32,
        /// The versions that the receiver speaks; empty where it says nothing of them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        versions: Vec<u32>,
        /// The receiver's key for this attempt, where it speaks version 2.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<PublicKey>,
    },
    /// The sender asks for a proof.
    Challenge {
        /// The version that the sender has chosen; nothing stands for 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<u32>,
        /// What the passphrase is salted with.
        salt: Hex<32>,
        /// Bytes that no other challenge has.
        nonce: Hex<16>,
        /// The sender's key for this attempt, in version 2.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<PublicKey>,
    },
    /// The receiver proves that it knows the passphrase.
    Auth {
        /// The proof.
        proof: Hex<32>,
    },
    /// The sender does not go on.
    Denied {
        /// Why, in one word.
        reason: String,
    },
    /// The content, in version 1.
    Payload(Payload),
    /// The receiver has the content, in version 1.
    Ack,
    /// The receiver asks which sessions there are.
    ListSessions,
    /// The sessions there are.
    SessionList {
        /// The sessions, in the order they are to be shown.
        sessions: Vec<Session>,
    },
    /// The receiver asks for one session.
    SelectSession {
        /// Which.
        session_id: String,
    },
    /// The receiver wants no more sessions.
    Done,
    /// The sender cannot do what the receiver asks for.
    Error {
        /// Why, in one word.
        reason: String,
    },
}

/// Content of version 1, sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Payload {
    /// What the passphrase is salted with for the payload's key.
    pub salt: Hex<32>,
    /// The nonce of AES-256-GCM.
    pub nonce: Hex<12>,
    /// The sealed content, with the tag behind it.
    #[serde(with = "hex::serde")]
    pub ciphertext: Vec<u8>,
    /// The session that this is, where sessions are shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
}

/// What a sender of sessions tells of one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Session {
    /// Its name among the sender's sessions.
    pub session_id: String,
    /// What it is about.
    pub summary: Option<String>,
    /// The first 100 characters of what it began with.
    pub first_prompt: Option<String>,
    /// How many messages it has.
    pub message_count: Option<u64>,
    /// When it began (ISO 8601).
    pub created: Option<String>,
    /// When it was last added to (ISO 8601).
    pub modified: Option<String>,
    /// The branch it was on.
    pub git_branch: Option<String>,
    /// The folder it was in.
    pub project_path: Option<String>,
    /// Whether it is a branch of another.
    pub is_sidechain: bool,
}

impl Word {
    /// What a receiver of both versions begins with.
    pub fn hello(key: PublicKey) -> Self {
        Self::Hello {
            version: 1,
            versions: vec![1, 2],
            key: Some(key),
        }
    }

    /// What a receiver of version 1 alone begins with.
    pub fn hello_v1() -> Self {
        Self::Hello {
            version: 1,
            versions: Vec::new(),
            key: None,
        }
    }

    /// Reads a text; `None` for what is none of the messages above. How long a text may be is for the
    /// connection to say.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The text to send.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| unreachable!("strings, numbers and lists"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_are_those_of_today() {
        for text in [
            r#"{"type":"HELLO","version":1}"#,
            r#"{"type":"DENIED","reason":"invalid_proof"}"#,
            r#"{"type":"ACK"}"#,
            r#"{"type":"LIST_SESSIONS"}"#,
            r#"{"type":"SELECT_SESSION","sessionId":"a"}"#,
            r#"{"type":"DONE"}"#,
            r#"{"type":"ERROR","reason":"session_not_found"}"#,
        ] {
            let word = Word::parse(text);
            assert_eq!(word.map(|word| word.to_text()).as_deref(), Some(text));
        }
        assert_eq!(
            Word::parse(r#"{"type":"HELLO","version":1}"#),
            Some(Word::hello_v1())
        );
    }

    #[test]
    fn what_a_later_version_adds_is_ignored() {
        let text = r#"{"type":"ACK","more":[1,{"a":2}]}"#;
        assert_eq!(Word::parse(text), Some(Word::Ack));
    }

    #[test]
    fn a_session_may_lack_what_it_is_not_known_by() {
        let text = r#"{"type":"SESSION_LIST","sessions":[{"sessionId":"a","firstPrompt":null,"messageCount":3}]}"#;
        let session = Session {
            session_id: "a".into(),
            message_count: Some(3),
            ..Session::default()
        };
        let sessions = vec![session];
        assert_eq!(Word::parse(text), Some(Word::SessionList { sessions }));
    }

    #[test]
    fn anything_else_is_no_word() {
        let deep = "[".repeat(100_000);
        for text in [
            "",
            "null",
            r#"{"type":"PUSH"}"#,
            r#"{"type":"AUTH","proof":"00"}"#,
            r#"{"type":"AUTH","proof":7}"#,
            &format!(r#"{{"type":"ACK","more":{deep}"#),
        ] {
            assert_eq!(Word::parse(text), None, "{:.40}", text);
        }
    }
}
