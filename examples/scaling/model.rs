//! The arithmetic: what follows from so many nodes and so many sessions. Pure.

use super::costs::{
    ANSWER, BUSY, CHARACTERS, GIB, GIB_MIDDLE, GIB_ROOM, MESSAGE, NATS_NODE, NATS_QUESTION,
    NATS_WORD, PIPE, PORTS, QUESTION, ROOM, ROOM_ACROSS, SESSION, SOCKET, WORD, WRONG_CODES,
    WRONG_CODES_IN,
};

/// What is to be carried.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Relays that are one.
    pub nodes: f64,
    /// Clients at once, two to a room.
    pub sessions: f64,
    /// Seconds that a room is open.
    pub life: f64,
    /// Bytes through a room in that time.
    pub bytes: f64,
    /// Addresses of guessers, each of which tries as many codes as it may.
    pub guessers: f64,
    /// Characters of a code.
    pub code: f64,
}

impl Load {
    pub fn rooms(&self) -> f64 {
        self.sessions / 2.0
    }

    /// Rooms opened in a second, and as many joins.
    pub fn opened(&self) -> f64 {
        self.rooms() / self.life
    }

    /// Of the joins, those that come to another node than the room's: the load balancer knows no rooms.
    pub fn across(&self) -> f64 {
        (self.nodes - 1.0) / self.nodes
    }

    /// Rooms of which a client is on another node.
    pub fn pipes(&self) -> f64 {
        self.rooms() * self.across()
    }

    /// Codes tried by guessers in a second, once each has spent what it has at once.
    pub fn guesses(&self) -> f64 {
        self.guessers * WRONG_CODES / WRONG_CODES_IN
    }

    /// The share of guesses that hit a room.
    pub fn hit(&self) -> f64 {
        self.rooms() / CHARACTERS.powf(self.code)
    }

    /// Questions in a second: for every room that is opened, every join of a code that its own node does not
    /// have, and every guess.
    pub fn questions(&self) -> f64 {
        self.opened() * (1.0 + self.across()) + self.guesses()
    }

    /// Messages that a question makes NATS take and give: it comes in once and goes out to every node, and the
    /// answer of every node but the asker comes in and goes out.
    pub fn messages_of_question(&self) -> f64 {
        1.0 + self.nodes + 2.0 * (self.nodes - 1.0)
    }

    /// Words to all in a second: the heartbeat of every node, and every wrong code.
    pub fn words(&self) -> f64 {
        self.nodes + self.guesses()
    }

    /// Messages at NATS in a second, in and out.
    pub fn messages(&self) -> f64 {
        self.questions() * self.messages_of_question() + self.words() * (1.0 + self.nodes)
    }

    /// Cores of nats-server.
    pub fn nats_cores(&self) -> f64 {
        self.questions() * (NATS_QUESTION + NATS_NODE * self.nodes)
            + self.words() * NATS_WORD * self.nodes
    }

    /// Bits a second at NATS, in and out.
    pub fn nats_bits(&self) -> f64 {
        self.messages() * MESSAGE * 8.0
    }

    /// How busy the thread of a node is that talks with the others. It hears every question that any node asks,
    /// and its own are answered by all: by the number of nodes it is not spared anything.
    pub fn thread(&self) -> f64 {
        let others = self.across();
        self.questions() * others * (QUESTION + ANSWER) + self.words() * WORD
    }

    /// Questions in a second with which that thread has as much to do as it may, on whatever number of nodes.
    pub fn most_questions() -> f64 {
        BUSY / (QUESTION + ANSWER)
    }

    /// Cores that a node's workers take for rooms that come and go.
    pub fn room_cores(&self) -> f64 {
        self.opened() / self.nodes * (ROOM + ROOM_ACROSS * self.across())
    }

    /// GiB a second that the clients of a node send.
    pub fn gib(&self) -> f64 {
        self.opened() * self.bytes / GIB / self.nodes
    }

    /// Cores that a node's workers take for these as the room's node, and as the one in between.
    pub fn byte_cores(&self) -> [f64; 2] {
        [
            self.gib() * GIB_ROOM,
            self.gib() * self.across() * GIB_MIDDLE,
        ]
    }

    /// Bits a second that come to a node, and as many leave it: from its clients, and from other nodes.
    pub fn node_bits(&self) -> f64 {
        self.gib() * GIB * 8.0 * (1.0 + self.across())
    }

    /// Sessions of a node (`RELAY_MAX_SESSIONS`): who is brought has one at the room's node, too.
    pub fn sessions_of_node(&self) -> f64 {
        (self.sessions + self.pipes()) / self.nodes
    }

    /// Connections of a node: its clients', and both ends of those between nodes.
    pub fn descriptors(&self) -> f64 {
        (self.sessions + 2.0 * self.pipes()) / self.nodes
    }

    /// Of these, what is to one other node. Each has a local port of its own.
    pub fn connections_between_two(&self) -> f64 {
        match self.nodes > 1.0 {
            true => self.pipes() / (self.nodes * (self.nodes - 1.0)),
            false => 0.0,
        }
    }

    /// Addresses that a load balancer needs in front of a node, if it connects to one address and port there.
    pub fn balancer_addresses(&self) -> f64 {
        (self.sessions / self.nodes / PORTS).ceil()
    }

    /// Memory of a node, and of its system for its connections.
    pub fn memory(&self) -> [f64; 2] {
        let here = self.sessions / self.nodes;
        let pipes = self.pipes() / self.nodes;
        [here * SESSION + pipes * PIPE, self.descriptors() * SOCKET]
    }
}
