//! Rooms that outlive their senders' connections. `kept` is what happens in one relay, and `again` what a relay does
//! that has started anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "resume/again.rs"]
mod again;
#[path = "resume/kept.rs"]
mod kept;

use relay_testing::Client;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

/// What a sender takes its room up again with.
struct Ticket {
    code: String,
    token: String,
}

impl Ticket {
    fn of(told: &Value) -> Self {
        let text = |name: &str| told[name].as_str().unwrap().to_owned();
        Self {
            code: text("room_id"),
            token: text("resume_token"),
        }
    }

    fn request(&self) -> String {
        resume(&self.code, &self.token)
    }
}

fn resume(code: &str, token: &str) -> String {
    json!({"type": "RESUME_ROOM", "room_id": code, "resume_token": token}).to_string()
}

/// Opens a room that outlives its sender's line.
async fn open(sender: &mut Client) -> Ticket {
    sender.send(r#"{"type":"CREATE_ROOM","resume":true}"#).await;
    let created = sender.next_json("ROOM_CREATED").await;
    assert_eq!(created["type"], "ROOM_CREATED", "{created}");
    Ticket::of(&created)
}

/// Takes a room up again; returns what is good for the next time.
async fn take_up(sender: &mut Client, ticket: &Ticket) -> Ticket {
    sender.send(ticket.request()).await;
    let resumed = sender.next_json("ROOM_RESUMED").await;
    assert_eq!(resumed["type"], "ROOM_RESUMED", "{resumed}");
    assert_eq!(resumed["room_id"], ticket.code, "{resumed}");
    Ticket::of(&resumed)
}

/// What a request is answered: its type, or why it is refused.
async fn answer(client: &mut Client, request: String) -> String {
    client.send(request).await;
    let answer = client.next_json("an answer").await;
    let told = answer["reason"].as_str().or(answer["type"].as_str());
    told.unwrap().to_owned()
}

fn close(code: u16) -> Message {
    Message::Close(Some(CloseFrame {
        code: CloseCode::from(code),
        reason: "".into(),
    }))
}
