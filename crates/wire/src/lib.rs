//! What the relay and its clients say to each other: the tables of PROTOCOL.md, for both sides.
//!
//! | module | contents |
//! |---|---|
//! | [`frame`] | header codec, mask and Close payload of RFC 6455 |
//! | [`extension`] | which offers of compression are taken, and how they are answered |
//! | [`utf8`] | the check of text that comes in pieces |
//! | [`code`] | room codes |
//! | [`request`] | what a client asks for |
//! | [`reply`] | what the relay says |
//! | [`ending`] | every way a handshake, a request, a session or a room ends |
//! | [`token`] | what a sender takes its room up again with |
//! | [`text`] | strangers' text, made fit to be shown |
//!
//! No I/O, no clock, no runtime. When to say what is for the relay and its clients to decide.

pub mod code;
pub mod ending;
pub mod extension;
pub mod frame;
pub mod reply;
pub mod request;
pub mod text;
pub mod token;
pub mod utf8;
