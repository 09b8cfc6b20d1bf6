//! What speaks HTTP: the WebSocket handshake, the pages for the relay's operator, and the page to share by.
//!
//! | module | contents |
//! |---|---|
//! | [`accept`] | the listener's options, and who is accepted when |
//! | [`places`] | how many are on their way to a session, and who gives way |
//! | [`desk`] | what becomes of a connection until it is a session or has its answer |
//! | [`head`] | one request a connection, of which the head is read at once |
//! | [`upgrade`] | which requests ask for a WebSocket, and whether they do it well |
//! | [`handshake`] | which upgrades become sessions |
//! | `proxy` | whether a request has come through a proxy |
//! | [`own_check`] | which of them are those of a check on this machine |
//! | `nodes` | the handshakes of other relays, which bring clients |
//! | `operator` | which requests are of the relay's operator |
//! | [`pages`] | plain HTTP |
//! | `page` | the page by which people share from a browser |
//! | `scrape` | in which format the metrics are wanted |
//! | `status` | the page that shows the relay, and its figures |
//!
//! actix-http parses every head, and answers the requests for pages. One for a WebSocket goes from the
//! desk to a session, with its socket: no HTTP machinery stands between the socket and the actor, none of
//! its buffers is kept, and a session can be ended while its client reads nothing.

pub mod accept;
pub mod desk;
pub mod handshake;
pub mod head;
mod nodes;
mod operator;
pub mod own_check;
mod page;
pub mod pages;
pub mod places;
mod proxy;
mod scrape;
mod status;
pub mod upgrade;
