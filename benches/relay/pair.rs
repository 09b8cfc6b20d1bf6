//! A sender and a receiver, connected through a server.

use std::net::TcpStream;

use serde_json::{Value, json};

use crate::{failure::Result, server::Server, wire::End};

/// Two ends; what one sends the other receives.
pub(crate) struct Pair {
    pub(crate) sender: End,
    pub(crate) receiver: End,
}

impl Pair {
    /// Opens a room at a relay, or a connection through a forwarder.
    pub(crate) fn open(server: &Server) -> Result<Self> {
        match &server.backend {
            Some(backend) => {
                let sender = TcpStream::connect(server.address)?;
                let (receiver, _) = backend.accept()?;
                Ok(Self {
                    sender: End::forwarded(sender)?,
                    receiver: End::forwarded(receiver)?,
                })
            }
            None => Self::open_room(server),
        }
    }

    pub(crate) fn open_many(server: &Server, count: usize) -> Result<Vec<Self>> {
        (0..count).map(|_| Self::open(server)).collect()
    }

    fn open_room(server: &Server) -> Result<Self> {
        let mut sender = End::connect(server.address, server.lines)?;
        sender.send_json(&json!({ "type": "CREATE_ROOM" }))?;
        let created = expect(&mut sender, "ROOM_CREATED")?;

        let mut receiver = End::connect(server.address, server.lines)?;
        receiver.send_json(&json!({ "type": "JOIN_ROOM", "room_id": created["room_id"] }))?;
        expect(&mut receiver, "ROOM_JOINED")?;
        expect(&mut sender, "PEER_JOINED")?;
        Ok(Self { sender, receiver })
    }

    /// Closes both ends, the receiver first, as after a finished transfer.
    pub(crate) fn close(self) -> Result<()> {
        self.receiver.close()?;
        self.sender.close()
    }
}

fn expect(end: &mut End, kind: &str) -> Result<Value> {
    let reply = end.receive_json()?;
    if reply["type"] == kind {
        Ok(reply)
    } else {
        Err(format!("no {kind}, but {reply}").into())
    }
}
