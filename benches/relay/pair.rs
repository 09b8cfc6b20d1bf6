//! A sender and a receiver, connected through a server.

use std::{
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

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
            None => Self::across(server, server),
        }
    }

    pub(crate) fn open_many(server: &Server, count: usize) -> Result<Vec<Self>> {
        (0..count).map(|_| Self::open(server)).collect()
    }

    /// Opens a room at one relay and joins it at another, or at what passes its bytes on to one.
    pub(crate) fn across(room: &Server, joined_at: &Server) -> Result<Self> {
        let mut receiver = End::connect(joined_at.address, joined_at.lines)?;
        Self::join(room, &mut receiver).map(|(sender, _)| Self { sender, receiver })
    }

    /// Opens a room and has this end join it; returns the end that has opened it, and how long the join took.
    pub(crate) fn join(room: &Server, receiver: &mut End) -> Result<(End, Duration)> {
        let (mut sender, code) = open(room)?;
        let began = Instant::now();
        receiver.send_json(&json!({ "type": "JOIN_ROOM", "room_id": code }))?;
        expect(receiver, "ROOM_JOINED")?;
        let took = began.elapsed();
        expect(&mut sender, "PEER_JOINED")?;
        Ok((sender, took))
    }

    /// The same two, the other way round.
    pub(crate) fn turned(self) -> Self {
        Self {
            sender: self.receiver,
            receiver: self.sender,
        }
    }

    /// Closes both ends, the receiver first, as after a finished transfer.
    pub(crate) fn close(self) -> Result<()> {
        self.receiver.close()?;
        self.sender.close()
    }
}

/// Opens a room; returns its code.
pub(crate) fn open(room: &Server) -> Result<(End, Value)> {
    open_at(room.address, room.lines)
}

/// The same at a relay of which only this is known.
pub(crate) fn open_at(address: SocketAddr, lines: &str) -> Result<(End, Value)> {
    let mut sender = End::connect(address, lines)?;
    sender.send_json(&json!({ "type": "CREATE_ROOM" }))?;
    let created = expect(&mut sender, "ROOM_CREATED")?;
    Ok((sender, created["room_id"].clone()))
}

pub(crate) fn expect(end: &mut End, kind: &str) -> Result<Value> {
    let reply = end.receive_json()?;
    if reply["type"] == kind {
        Ok(reply)
    } else {
        Err(format!("no {kind}, but {reply}").into())
    }
}
