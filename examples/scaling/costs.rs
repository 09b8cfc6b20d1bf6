//! What one of each costs, as measured: benches/results/cluster.md and latest.md, on one machine of two cores. CPU
//! times in seconds, sizes in bytes.

const MICRO: f64 = 1e-6;
pub const KIB: f64 = 1024.0;
pub const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

/// A node that is not the asker, for one question: it opens it, looks, and answers.
pub const QUESTION: f64 = 26.0 * MICRO;
/// The asker, for the answer of one node.
pub const ANSWER: f64 = 7.0 * MICRO;
/// nats-server, for one question: what does not depend on the number of nodes, and what each node adds.
pub const NATS_QUESTION: f64 = 45.0 * MICRO;
pub const NATS_NODE: f64 = 17.5 * MICRO;
/// A node, for one word to all others (a heartbeat, a wrong code), as for a question; and nats-server, for passing it to
/// one node: a third of what a question adds, which is three messages. Where nothing else is said each costs it 45 µs.
pub const WORD: f64 = 26.0 * MICRO;
pub const NATS_WORD: f64 = 6.0 * MICRO;
/// A message over NATS, with its subject and framing, and the network's headers where it is alone in its packet.
pub const MESSAGE: f64 = 270.0;

/// A room opened, used and closed: what three nodes take where both clients are on one, and what they take more where
/// one is across, questions included.
pub const ROOM: f64 = 645.0 * MICRO;
pub const ROOM_ACROSS: f64 = 648.0 * MICRO;
/// A GiB through a room's node, and through the node in between: 1.1 of what HAProxy takes.
pub const GIB_ROOM: f64 = 0.5;
pub const GIB_MIDDLE: f64 = 0.7;

/// Memory of a session with its share of its room, and of one whose room is on another node.
pub const SESSION: f64 = 3.3 * KIB;
pub const PIPE: f64 = 3.3 * KIB;
/// The kernel's part of a connection that is silent: a socket with its file. Not measured.
pub const SOCKET: f64 = 4.0 * KIB;

/// Local ports of a connection to one address and port (`net.ipv4.ip_local_port_range` as it comes).
pub const PORTS: f64 = 28_232.0;
/// Characters that codes are made of.
pub const CHARACTERS: f64 = 25.0;
/// Wrong codes of an address, and in how many seconds as many come back (RELAY_FAILED_JOIN_MAX, _WINDOW).
pub const WRONG_CODES: f64 = 10.0;
pub const WRONG_CODES_IN: f64 = 600.0;
/// How much of a core a thread may be busy before what it answers is late.
pub const BUSY: f64 = 0.7;
