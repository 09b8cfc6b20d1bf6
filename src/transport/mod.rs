//! WebSocket frames on a socket: bytes in, bytes out, and how much may be under way.
//!
//! ```text
//! socket ─► FrameReader ─► Data ─► … mailboxes … ─► Chunk ─► Outbox ─► socket
//!                 └ charges a Credit, which the Outbox drops when the bytes are written
//! ```
//!
//! What the frames are for (requests, rooms, peers) is decided elsewhere.

pub mod credit;
pub mod data;
pub mod frame;
pub mod outbox;
pub mod reader;
mod utf8;
