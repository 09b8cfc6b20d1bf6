//! What a client asks the relay for, before the pipe opens.

use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::code::RoomCode;

/// The longest request, in bytes of payload.
pub const MAX_REQUEST: usize = 4096;

/// What a session may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// `CREATE_ROOM`: to be the sender of a new room.
    Create,
    /// `JOIN_ROOM`: to be a receiver in a room.
    Join(Join),
}

/// What a session asks for that is to be a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Join {
    /// The room's code; `None` where the text in `room_id` can be no code, so that no room has it.
    pub code: Option<RoomCode>,
    /// Whether the client wants to hear how long the queue before it is.
    pub queue_updates: bool,
}

impl Request {
    /// Reads a request; `None` for what is not JSON, not an object, of no known `type`, or a
    /// `JOIN_ROOM` whose `room_id` is missing or no string: whoever typed a code is not to blame for it.
    pub fn parse(message: &[u8]) -> Option<Self> {
        // What other fields hold is not looked into.
        let fields: HashMap<String, &RawValue> = serde_json::from_slice(message).ok()?;
        let string = |name| {
            fields
                .get(name)
                .map(|raw| raw.get())
                .filter(|it| it.starts_with('"'))
        };
        let text = |json| serde_json::from_str::<String>(json).ok();
        match text(string("type")?)?.as_str() {
            "CREATE_ROOM" => Some(Self::Create),
            "JOIN_ROOM" => Some(Self::Join(Join {
                // A string may hold what is no text, such as half a surrogate pair: no code either.
                code: text(string("room_id")?).and_then(|typed| RoomCode::from_typed(&typed)),
                queue_updates: fields
                    .get("queue_updates")
                    .is_some_and(|value| value.get() == "true"),
            })),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_and_everything_else_is_none() {
        let asked = |code: &str, queue_updates| {
            let code = RoomCode::from_typed(code);
            Some(Request::Join(Join {
                code,
                queue_updates,
            }))
        };
        let join = |code: &str| asked(code, false);
        for (message, request) in [
            (r#"{"type":"CREATE_ROOM"}"#, Some(Request::Create)),
            (r#" {"type":"CREATE_ROOM","x":[1]} "#, Some(Request::Create)),
            (r#"{"type":"JOIN_ROOM","room_id":"a7f3k2"}"#, join("a7f3k2")),
            (r#"{"room_id":" A7 ","type":"JOIN_ROOM"}"#, join(" A7 ")),
            (
                r#"{"type":"JOIN_ROOM","room_id":"a7f3b2","queue_updates": true }"#,
                asked("a7f3b2", true),
            ),
            (
                r#"{"type":"JOIN_ROOM","room_id":"a7f3b2","queue_updates":"true"}"#,
                join("a7f3b2"),
            ),
            (
                r#"{"type":"CREATE_ROOM","x":[1e400,"\ud83d"]}"#,
                Some(Request::Create),
            ),
            (
                r#"{"type":"JOIN_ROOM","room_id":"a","type":"CREATE_ROOM"}"#,
                Some(Request::Create),
            ),
            (r#"{"\u0074ype":"CREATE_\u0052OOM"}"#, Some(Request::Create)),
            (r#"{"type":"CREATE_ROOM","x":[}"#, None),
            (r#"{"type":"CREATE_ROOM"} {}"#, None),
            (r#"{"type":"JOIN_ROOM","room_id":""}"#, join("")),
            (r#"{"type":"JOIN_ROOM","room_id":"\ud83d"}"#, join("")),
            (r#"{"type":"JOIN_ROOM","room_id":7}"#, None),
            (r#"{"type":"JOIN_ROOM","room_id":null}"#, None),
            (r#"{"type":"JOIN_ROOM","room_id":["aaaaaa"]}"#, None),
            (r#"{"type":"JOIN_ROOM"}"#, None),
            (r#"{"type":"HELLO"}"#, None),
            (r#"{"type":7}"#, None),
            (r#"{}"#, None),
            (r#"["CREATE_ROOM"]"#, None),
            (r#""CREATE_ROOM""#, None),
            ("", None),
            ("{\"type\":\"CREATE_ROOM\"", None),
        ] {
            assert_eq!(Request::parse(message.as_bytes()), request, "{message}");
        }
        assert_eq!(Request::parse(b"{\"type\":\"\xff\"}"), None);
        assert_eq!(Request::parse("[".repeat(4096).as_bytes()), None);
    }
}
