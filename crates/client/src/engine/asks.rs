//! What the relay is asked, and what it says in its own name: PROTOCOL.md, "Connecting", "What the relay
//! says" and "Rooms that outlive a line".

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

/// The longest wait that a relay is believed.
pub(super) const LONGEST_TOLD: Duration = Duration::from_secs(3600);
/// The longest life of a room that a relay is believed.
pub(super) const LONGEST_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// The longest text of its own that a relay is read, in bytes.
const LONGEST: usize = 4096;
/// The longest code that is taken from a relay, in characters.
const LONGEST_CODE: usize = 64;

/// Something that the relay says.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Says {
    RoomCreated(Room),
    RoomResumed(Room),
    RoomJoined { room_id: String },
    Queued { position: u64 },
    PeerJoined { peer_id: String },
    PeerDisconnected { peer_id: String },
    Error(Refusal),
}

/// A sender's room.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Room {
    pub(super) room_id: String,
    /// Seconds.
    pub(super) expires_in: f64,
    /// What takes the room up again, where it outlives its line.
    pub(super) resume_token: Option<String>,
}

/// An `ERROR` of the relay's.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Refusal {
    pub(super) reason: String,
    /// Seconds.
    retry_after: Option<f64>,
    /// Seconds.
    reconnect_in: Option<f64>,
}

impl Eq for Refusal {}

impl Says {
    /// Reads a text; `None` for what the relay does not say.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        serde_json::from_str(text).ok()
    }
}

impl Room {
    /// How long it can be joined.
    pub(super) fn life(&self) -> Duration {
        let told = Duration::try_from_secs_f64(self.expires_in.min(LONGEST_LIFE.as_secs_f64()));
        told.unwrap_or_default()
    }
}

impl Refusal {
    /// How long to wait before coming back.
    pub(super) fn told(&self) -> Option<Duration> {
        let seconds = self.retry_after.or(self.reconnect_in)?;
        let wait = Duration::try_from_secs_f64(seconds).ok()?;
        Some(wait.min(LONGEST_TOLD))
    }
}

/// Whether a text may be a code: it is shown, and what is sealed is bound to it.
pub(super) fn is_code(text: &str) -> bool {
    let length = (1..=LONGEST_CODE).contains(&text.len());
    length && text.bytes().all(|it| it.is_ascii_alphanumeric())
}

/// Asks for a room that outlives its line, where the relay knows such.
pub(super) fn create(expires_in: Option<Duration>) -> String {
    let mut asked = json!({"type": "CREATE_ROOM", "resume": true});
    if let Some(time) = expires_in {
        asked["expires_in"] = time.as_secs().into();
    }
    asked.to_string()
}

/// Asks for a room that was opened before.
pub(super) fn resume(code: &str, token: &str) -> String {
    json!({"type": "RESUME_ROOM", "room_id": code, "resume_token": token}).to_string()
}

/// Asks to be a receiver.
pub(super) fn join(code: &str) -> String {
    json!({"type": "JOIN_ROOM", "room_id": code, "queue_updates": true}).to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_the_relay_says_is_read_and_nothing_else() {
        let text = r#"{"type":"ROOM_CREATED","room_id":"a7f3k2","expires_in":1800}"#;
        let Some(Says::RoomCreated(room)) = Says::parse(text) else {
            unreachable!("{text}");
        };
        assert_eq!(
            (room.life(), room.resume_token),
            (Duration::from_secs(1800), None)
        );
        let text = r#"{"type":"PEER_JOINED","peer_id":"conn_1"}"#;
        let peer_id = "conn_1".to_owned();
        assert_eq!(Says::parse(text), Some(Says::PeerJoined { peer_id }));
        for text in [
            "",
            "[]",
            r#"{"type":"HELLO"}"#,
            r#"{"type":"ERROR"}"#,
            &"[".repeat(5000),
        ] {
            assert_eq!(Says::parse(text), None);
        }
    }

    #[test]
    fn waits_are_read_within_bounds() {
        let told = |field: &str| {
            let text = format!(r#"{{"type":"ERROR","reason":"server_shutdown"{field}}}"#);
            match Says::parse(&text) {
                Some(Says::Error(refusal)) => refusal.told(),
                _ => unreachable!("{text}"),
            }
        };
        assert_eq!(
            told(r#","reconnect_in":1.5"#),
            Some(Duration::from_millis(1500))
        );
        assert_eq!(told(r#","retry_after":7"#), Some(Duration::from_secs(7)));
        assert_eq!(told(r#","retry_after":1e300"#), None);
        assert_eq!(told(r#","retry_after":-1"#), None);
        assert_eq!(told(r#","retry_after":1e12"#), Some(LONGEST_TOLD));
        assert_eq!(told(""), None);
    }

    #[test]
    fn a_code_is_letters_and_digits() {
        assert!(is_code("a7f3k2"));
        for text in ["", "a b", "\u{1b}[2J", "é", &"a".repeat(65)] {
            assert!(!is_code(text));
        }
    }
}
