//! A share as two clients have it: one opens a room, the other joins it by its code, and a file goes through in
//! messages.

use std::{
    error::Error,
    io,
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt};
use relay_testing::reply::{self, CREATE};
use ring::digest::{Context, SHA256, digest};
use tokio::{net::TcpStream, time::timeout, try_join};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Bytes, Message},
};

/// Bytes of a message: some hundred KiB suit every line (PROTOCOL.md).
const MESSAGE: usize = 256 * 1024;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

type Failure = Box<dyn Error>;

/// What came of it.
pub struct Shared {
    /// The address of the sender's node.
    pub sender: String,
    /// That of the receiver's.
    pub receiver: String,
    /// From the first byte to the last.
    pub took: Duration,
}

/// One client, and the node that it has come to.
struct Client {
    ws: WebSocketStream<MaybeTlsStream<TcpStream>>,
    node: String,
}

impl Client {
    async fn connect(url: &str) -> Result<Self, Failure> {
        let (ws, response) = timeout(PATIENCE, connect_async(url)).await??;
        let node = response.headers().get("x-node");
        let node = node.ok_or("nginx does not say where a client is")?;
        let node = node.to_str()?.to_owned();
        Ok(Self { ws, node })
    }

    async fn say(&mut self, message: Message) -> Result<(), Failure> {
        Ok(timeout(PATIENCE, self.ws.send(message)).await??)
    }

    /// The next message; Pings are for the library.
    async fn hear(&mut self) -> Result<Bytes, Failure> {
        loop {
            match timeout(PATIENCE, self.ws.next()).await? {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Text(text))) => return Ok(text.into()),
                Some(Ok(Message::Binary(bytes))) => return Ok(bytes),
                other => return Err(format!("{other:?} in place of a message").into()),
            }
        }
    }

    /// The next message, which is one of the relay's of this type.
    async fn hear_of(&mut self, kind: &str) -> Result<serde_json::Value, Failure> {
        let said: serde_json::Value = serde_json::from_slice(&self.hear().await?)?;
        match said["type"] == kind {
            true => Ok(said),
            false => Err(format!("{said} in place of {kind}").into()),
        }
    }
}

/// Shares it between two clients of this URL.
pub async fn share(url: &str, content: &[u8]) -> Result<Shared, Failure> {
    let mut sender = Client::connect(url).await?;
    let mut receiver = Client::connect(url).await?;
    if sender.node == receiver.node {
        return Err(format!("both clients have come to {}", sender.node).into());
    }
    sender.say(CREATE.into()).await?;
    let created = sender.hear_of("ROOM_CREATED").await?;
    let code = created["room_id"].as_str().unwrap_or_default();
    receiver.say(reply::join(code).into()).await?;
    receiver.hear_of("ROOM_JOINED").await?;
    sender.hear_of("PEER_JOINED").await?;

    let began = Instant::now();
    let sending = async {
        for piece in content.chunks(MESSAGE) {
            sender.say(Bytes::copy_from_slice(piece).into()).await?;
        }
        // What a receiver says at the end has come the other way.
        let proof = sender.hear().await?;
        match proof == digest(&SHA256, content).as_ref() {
            true => Ok(()),
            false => Err(Failure::from("it has arrived changed")),
        }
    };
    let receiving = async {
        let (mut hash, mut left) = (Context::new(&SHA256), content.len());
        while left > 0 {
            let piece = receiver.hear().await?;
            left = left
                .checked_sub(piece.len())
                .ok_or_else(|| io::Error::other("more has come than was sent"))?;
            hash.update(&piece);
        }
        let proof = Bytes::copy_from_slice(hash.finish().as_ref());
        receiver.say(proof.into()).await
    };
    try_join!(sending, receiving)?;
    Ok(Shared {
        sender: sender.node,
        receiver: receiver.node,
        took: began.elapsed(),
    })
}
