//! What speaks HTTP: the WebSocket handshake, `/healthz`, `/metrics`, and a word to browsers.
//!
//! | module | contents |
//! |---|---|
//! | [`accept`] | the listener's options, and who is accepted when |
//! | [`places`] | how many are on their way to a session, and who gives way |
//! | [`desk`] | what becomes of a connection until it is a session or has its answer |
//! | [`head`] | one request a connection, of which the head is read at once |
//! | [`handshake`] | which upgrades become sessions |
//! | [`own_check`] | which of them are those of a check on this machine |
//! | [`pages`] | plain HTTP |
//!
//! actix-http parses every request. An upgrade leaves it here, with its socket, for a session: from
//! then on no HTTP machinery stands between the socket and the actor, none of its buffers is kept,
//! and a session can be ended while its client reads nothing.

pub mod accept;
pub mod desk;
pub mod handshake;
pub mod head;
pub mod own_check;
pub mod pages;
pub mod places;
