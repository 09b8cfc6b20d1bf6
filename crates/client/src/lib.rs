//! A connection to a relay, step by step: each step is a call of its own, so that whoever makes a
//! connection can say how far it came, and each has an error of its own, which says what happened.
//!
//! | module | contents |
//! |---|---|
//! | [`url`] | where a relay is |
//! | [`tcp`] | the addresses of its name, and a connection to one of them |
//! | [`tls`] | TLS over that |
//! | `witness` | what a certificate says of itself |
//! | [`stream`] | what a WebSocket is opened over, with TLS or without, and how much is read of it |
//! | [`handshake`] | the WebSocket, and what the answer tells |
//!
//! With the feature `distill` come the two ends of a share:
//!
//! | module | contents |
//! |---|---|
//! | `program` | the program `distill` |
//! | `engine` | sharing and receiving over lines that drop |
//! | `disk` | what is read from a disk to be sent, and written to one as it arrives |
//! | `transfer` | what a sender and a receiver say to each other, without I/O |
//!
//! What an error means to its user, and what they should do about it, is for the caller to say.

#[cfg(feature = "distill")]
pub mod disk;
#[cfg(feature = "distill")]
pub mod engine;
pub mod handshake;
#[cfg(feature = "distill")]
pub mod program;
pub mod stream;
pub mod tcp;
pub mod tls;
#[cfg(feature = "distill")]
pub mod transfer;
pub mod url;
mod witness;
