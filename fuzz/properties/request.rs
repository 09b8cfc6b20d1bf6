//! What must hold of the request parser: it never panics, and takes exactly what is a JSON object
//! of a known `type`, with a string for a `room_id` where it is to have one.

use relay_wire::{
    code::RoomCode,
    request::{Join, Request},
};
use serde_json::Value;

/// Parses `bytes` and asserts it.
pub fn check(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).ok();
    let json = text.and_then(|text| text.parse::<Value>().ok());
    let request = json.as_ref().and_then(Value::as_object);
    let string = |field: &str| request?.get(field)?.as_str();
    let expected = match string("type") {
        Some("CREATE_ROOM") => Some(Request::Create),
        Some("JOIN_ROOM") => string("room_id").map(|typed| {
            Request::Join(Join {
                code: RoomCode::from_typed(typed),
                queue_updates: request.and_then(|it| it.get("queue_updates"))
                    == Some(&Value::Bool(true)),
            })
        }),
        _ => None,
    };
    assert_eq!(Request::parse(bytes), expected);
}
