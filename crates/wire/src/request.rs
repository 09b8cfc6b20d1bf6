//! What a client asks the relay for, before the pipe opens.

use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::{code::RoomCode, token::ResumeToken};

/// The longest request, in bytes of payload.
pub const MAX_REQUEST: usize = 4096;

/// What a session may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// `CREATE_ROOM`: to be the sender of a new room.
    Create(Create),
    /// `JOIN_ROOM`: to be a receiver in a room.
    Join(Join),
    /// `RESUME_ROOM`: to be the sender of a room again.
    Resume(Resume),
}

/// What a session asks for that is to be the sender of a new room.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Create {
    /// Whether the room is to outlive its sender's connection.
    pub resume: bool,
    /// Seconds that it is to live, where the client says so.
    pub expires_in: Option<u64>,
}

/// What a session asks for that is to be a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Join {
    /// The room's code; `None` where the text in `room_id` can be no code, so that no room has it.
    pub code: Option<RoomCode>,
    /// Whether the client wants to hear how long the queue before it is.
    pub queue_updates: bool,
}

/// What a session asks for that is to be the sender of a room again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resume {
    /// The room's code, as in [`Join`].
    pub code: Option<RoomCode>,
    /// What it was given for that; `None` where the text in `resume_token` is no token.
    pub token: Option<ResumeToken>,
}

impl Request {
    /// The code of the room that is asked for, where it is one that is to be there already.
    pub fn code(&self) -> Option<RoomCode> {
        match self {
            Self::Create(_) => None,
            Self::Join(Join { code, .. }) | Self::Resume(Resume { code, .. }) => *code,
        }
    }

    /// Reads a request; `None` for what is not JSON, not an object, of no known `type`, or a
    /// `JOIN_ROOM` or `RESUME_ROOM` of which a string is missing or is none: whoever typed a code is not to
    /// blame for it.
    pub fn parse(message: &[u8]) -> Option<Self> {
        // What other fields hold is not looked into.
        let fields: HashMap<String, &RawValue> = serde_json::from_slice(message).ok()?;
        let string = |name| {
            fields
                .get(name)
                .map(|raw| raw.get())
                .filter(|it| it.starts_with('"'))
        };
        // A string may hold what is no text, such as half a surrogate pair: no code or token either.
        let text = |json| serde_json::from_str::<String>(json).ok();
        let code = || {
            let typed = text(string("room_id")?);
            Some(typed.and_then(|typed| RoomCode::from_typed(&typed)))
        };
        let is_true = |name| fields.get(name).is_some_and(|value| value.get() == "true");
        match text(string("type")?)?.as_str() {
            "CREATE_ROOM" => Some(Self::Create(Create {
                resume: is_true("resume"),
                expires_in: fields
                    .get("expires_in")
                    .and_then(|value| value.get().parse().ok()),
            })),
            "JOIN_ROOM" => Some(Self::Join(Join {
                code: code()?,
                queue_updates: is_true("queue_updates"),
            })),
            "RESUME_ROOM" => Some(Self::Resume(Resume {
                code: code()?,
                token: text(string("resume_token")?)
                    .and_then(|token| ResumeToken::from_text(&token)),
            })),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATE: Request = Request::Create(Create {
        resume: false,
        expires_in: None,
    });

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
            (r#"{"type":"CREATE_ROOM"}"#, Some(CREATE)),
            (r#" {"type":"CREATE_ROOM","x":[1]} "#, Some(CREATE)),
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
                Some(CREATE),
            ),
            (
                r#"{"type":"JOIN_ROOM","room_id":"a","type":"CREATE_ROOM"}"#,
                Some(CREATE),
            ),
            (r#"{"\u0074ype":"CREATE_\u0052OOM"}"#, Some(CREATE)),
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

    #[test]
    fn what_a_new_room_is_to_be_is_read_as_it_is_meant_or_left_out() {
        let create = |resume, expires_in| Some(Request::Create(Create { resume, expires_in }));
        for (fields, request) in [
            (
                r#""resume":true,"expires_in":7200"#,
                create(true, Some(7200)),
            ),
            (r#""expires_in": 0 "#, create(false, Some(0))),
            (r#""resume":1,"expires_in":-1"#, create(false, None)),
            (r#""resume":"true","expires_in":"60""#, create(false, None)),
            (r#""resume":null,"expires_in":1.5"#, create(false, None)),
            (r#""expires_in":18446744073709551616"#, create(false, None)),
        ] {
            let message = format!(r#"{{"type":"CREATE_ROOM",{fields}}}"#);
            assert_eq!(Request::parse(message.as_bytes()), request, "{message}");
        }
    }

    #[test]
    fn a_room_is_resumed_by_its_code_and_a_text_that_may_be_no_token() {
        let text = "A".repeat(71);
        let token = ResumeToken::from_text(&text);
        assert!(token.is_some());
        let code = RoomCode::from_typed("a7f3k2");
        let resume = |code, token| Some(Request::Resume(Resume { code, token }));
        for (fields, request) in [
            (
                format!(r#""room_id":"A7F-3K2","resume_token":"{text}""#),
                resume(code, token),
            ),
            (
                format!(r#""room_id":"a7f3k2","resume_token":"{text}A""#),
                resume(code, None),
            ),
            (
                r#""room_id":"a7f3k2","resume_token":"+""#.to_owned(),
                resume(code, None),
            ),
            (
                r#""room_id":"","resume_token":"\ud83d""#.to_owned(),
                resume(None, None),
            ),
            (r#""room_id":"a7f3k2","resume_token":7"#.to_owned(), None),
            (r#""room_id":"a7f3k2""#.to_owned(), None),
            (format!(r#""room_id":7,"resume_token":"{text}""#), None),
        ] {
            let message = format!(r#"{{"type":"RESUME_ROOM",{fields}}}"#);
            assert_eq!(Request::parse(message.as_bytes()), request, "{message}");
        }
    }
}
