//! What must hold of the request parser: it never panics, and takes exactly what is a JSON object
//! of a known `type`, with strings for a `room_id` and a `resume_token` where it is to have them.

use relay_wire::{
    code::RoomCode,
    request::{Create, Join, Request, Resume},
    token::ResumeToken,
};
use serde_json::Value;

/// Parses `bytes` and asserts it.
pub fn check(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).ok();
    let json = text.and_then(|text| text.parse::<Value>().ok());
    let request = json.as_ref().and_then(Value::as_object);
    let string = |field: &str| request?.get(field)?.as_str();
    let is_true = |field: &str| request.and_then(|it| it.get(field)) == Some(&Value::Bool(true));
    let expected = match string("type") {
        Some("CREATE_ROOM") => Some(Request::Create(Create {
            resume: is_true("resume"),
            expires_in: request.and_then(|it| it.get("expires_in")?.as_u64()),
        })),
        Some("JOIN_ROOM") => string("room_id").map(|typed| {
            Request::Join(Join {
                code: RoomCode::from_typed(typed),
                queue_updates: is_true("queue_updates"),
            })
        }),
        Some("RESUME_ROOM") => {
            string("room_id")
                .zip(string("resume_token"))
                .map(|(typed, token)| {
                    Request::Resume(Resume {
                        code: RoomCode::from_typed(typed),
                        token: ResumeToken::from_text(token),
                    })
                })
        }
        _ => None,
    };
    assert_eq!(Request::parse(bytes), expected);
}
