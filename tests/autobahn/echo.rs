//! The sender of the room: sends back to each of its receivers what that one sent.

use std::{net::SocketAddr, sync::mpsc, thread};

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio_tungstenite::{
    connect_async_with_config,
    tungstenite::{Error, Message, protocol::WebSocketConfig},
};

/// Opens a room on the relay and echoes in it until the relay stops; returns the room's code.
pub fn spawn(relay: SocketAddr) -> String {
    let (tell, code) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        if let Err(error) = runtime.block_on(echo(relay, |code| tell.send(code).unwrap())) {
            eprintln!("echo: {error}");
        }
    });
    code.recv().unwrap()
}

async fn echo(relay: SocketAddr, opened: impl FnOnce(String)) -> Result<(), Error> {
    let config = WebSocketConfig::default()
        .max_message_size(None)
        .max_frame_size(None);
    let url = format!("ws://{relay}/");
    let (mut room, _) = connect_async_with_config(url, Some(config), true).await?;
    room.send(Message::text(r#"{"type":"CREATE_ROOM"}"#))
        .await?;
    let mut opened = Some(opened);
    // The name of the receiver being served. Receivers do not know theirs, so no text of one can
    // pass for the relay's word on its leaving.
    let mut peer = Value::Null;
    while let Some(message) = room.next().await.transpose()? {
        if message.is_text() && peer.is_null() {
            let told: Value = serde_json::from_str(message.to_text()?).unwrap_or_default();
            match told["type"].as_str() {
                Some("ROOM_CREATED") => {
                    let code = told["room_id"].as_str().unwrap_or_default().to_owned();
                    opened
                        .take()
                        .into_iter()
                        .for_each(|tell| tell(code.clone()));
                }
                Some("PEER_JOINED") => peer = told["peer_id"].clone(),
                _ => {}
            }
        } else if is_farewell(&message, &peer) {
            peer = Value::Null;
        } else if message.is_text() || message.is_binary() {
            room.send(message).await?;
        }
    }
    Ok(())
}

/// Whether this is the relay's word that this receiver is gone.
fn is_farewell(message: &Message, peer: &Value) -> bool {
    let Message::Text(text) = message else {
        return false;
    };
    serde_json::from_str::<Value>(text)
        .is_ok_and(|told| told["type"] == "PEER_DISCONNECTED" && told["peer_id"] == *peer)
}
