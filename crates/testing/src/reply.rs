//! What the relay says in its own name, checked field by field.

use serde_json::Value;

/// The request that opens a room.
pub const CREATE: &str = r#"{"type":"CREATE_ROOM"}"#;

/// The request that opens a room which outlives its sender's line.
pub const CREATE_LASTING: &str = r#"{"type":"CREATE_ROOM","resume":true}"#;

/// The request that joins a room.
pub fn join(code: &str) -> String {
    serde_json::json!({"type": "JOIN_ROOM", "room_id": code}).to_string()
}

/// The request that takes a room up again.
pub fn resume(code: &str, token: &str) -> String {
    serde_json::json!({"type": "RESUME_ROOM", "room_id": code, "resume_token": token}).to_string()
}

/// What a sender takes its room up again with.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// The code of its room.
    pub code: String,
    /// The token that it was given.
    pub token: String,
}

impl Ticket {
    /// What a `ROOM_CREATED` or a `ROOM_RESUMED` has of it.
    pub fn of(told: &Value) -> Self {
        let text = |name: &str| {
            let text = told[name].as_str();
            text.unwrap_or_else(|| panic!("no {name} in {told}"))
                .to_owned()
        };
        assert!(told["resume_within"].is_u64(), "{told}");
        Self {
            code: text("room_id"),
            token: text("resume_token"),
        }
    }

    /// The request that takes its room up again.
    pub fn request(&self) -> String {
        resume(&self.code, &self.token)
    }
}

/// Parses a message of the relay: one JSON object with a `type`.
pub fn parse(text: &str) -> Value {
    let value: Value =
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"));
    assert!(value.is_object(), "not an object: {text}");
    assert!(value["type"].is_string(), "without a type: {text}");
    value
}

/// The code in a `ROOM_CREATED`.
pub fn created(value: &Value) -> String {
    assert_eq!(value["type"], "ROOM_CREATED", "{value}");
    assert!(value["expires_in"].is_u64(), "{value}");
    let code = value["room_id"]
        .as_str()
        .unwrap_or_else(|| panic!("no room_id in {value}"));
    assert!(!code.is_empty(), "{value}");
    // No two of these look alike.
    let distinct = |byte| b"acdefhjkmnprtvwxy23456789".contains(&byte);
    assert!(code.bytes().all(distinct), "{value}");
    code.to_owned()
}

/// What is good for the next time, in a `ROOM_RESUMED` for that room.
pub fn resumed(value: &Value, code: &str) -> Ticket {
    assert_eq!(value["type"], "ROOM_RESUMED", "{value}");
    assert_eq!(value["room_id"], code, "{value}");
    assert!(value["expires_in"].is_u64(), "{value}");
    Ticket::of(value)
}

/// Checks that this is a `ROOM_JOINED` for that room.
pub fn assert_joined(value: &Value, code: &str) {
    assert_eq!(value["type"], "ROOM_JOINED", "{value}");
    assert_eq!(value["room_id"], code, "{value}");
}

/// The peer's id in a `PEER_JOINED` or a `PEER_DISCONNECTED`.
pub fn peer(value: &Value, kind: &str) -> String {
    assert_eq!(value["type"], kind, "{value}");
    let id = value["peer_id"]
        .as_str()
        .unwrap_or_else(|| panic!("no peer_id in {value}"));
    let uuid = id
        .strip_prefix("conn_")
        .unwrap_or_else(|| panic!("another prefix in {value}"));
    let uuid = uuid::Uuid::try_parse(uuid).unwrap_or_else(|error| panic!("{error} in {value}"));
    assert_eq!(uuid.get_version_num(), 4, "not a random id: {value}");
    id.to_owned()
}

/// Checks that this is an `ERROR` with that reason and a sentence for a person.
pub fn assert_error(value: &Value, reason: &str) {
    assert_eq!(value["type"], "ERROR", "{value}");
    assert_eq!(value["reason"], reason, "{value}");
    assert!(
        value["message"]
            .as_str()
            .is_some_and(|sentence| sentence.contains(' ')),
        "no sentence for a person: {value}"
    );
    if reason == "rate_limited" {
        assert!(
            value["retry_after"]
                .as_u64()
                .is_some_and(|seconds| seconds >= 1),
            "{value}"
        );
    }
}
