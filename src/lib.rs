//! A relay that pairs two WebSocket clients under a room code and forwards their frames blindly.
//!
//! # The way of a message
//!
//! ```text
//! socket ─► FrameReader ─► Session actor ─┐ Forward
//!            (stops when its   (requests)  ▼
//!            window is full)          RoomRegistry actor ─── Rooms (pure rules)
//!                                          │ Deliver
//! socket ◄─ Outbox ◄───── Session actor ◄──┘
//!            (gives back the credit of what it has written)
//! ```
//!
//! A client's bytes become [`transport::data::Data`], charged to the window of its session. They go
//! through the mailbox of the [`registry::RoomRegistry`], where [`rooms::Rooms`] says whom they are
//! for, and through that session's mailbox into its outbox. When the system has taken them the
//! credit is dropped, and the window opens again: whoever reads slowly slows down whoever sends.
//!
//! # Where things are
//!
//! | module | what it is for |
//! |---|---|
//! | [`config`] | every knob: default, flag, variable, range |
//! | [`logging`] | how a line looks |
//! | [`server`] | the listener, the workers, the drain |
//! | [`worker`] | one thread: its connections and its registry |
//! | [`supervisor`] | systemd: its socket, and what it wants to hear |
//! | [`http`] | the handshake, `/healthz`, `/metrics` |
//! | [`client_addr`] | who is really asking, behind proxies |
//! | [`session`] | the actor of one client: its socket, its phases, its clocks |
//! | [`transport`] | frames: header codec, reader, outbox, credit |
//! | [`protocol`] | requests, replies, reasons, closes: one table |
//! | [`messages`] | what the actors say to each other |
//! | [`registry`] | the actor between the sessions |
//! | [`directory`] | which worker keeps which room |
//! | [`rooms`] | who is paired with whom, and what follows: pure |
//! | [`admission`], [`rate_limit`] | budgets of requests |
//! | [`metrics`] | what is counted |
//! | [`cli`], [`check`] | the subcommands: is a relay well, and if not, why? |

pub mod admission;
pub mod check;
pub mod cli;
pub mod client_addr;
pub mod config;
pub mod directory;
pub mod http;
pub mod logging;
pub mod messages;
pub mod metrics;
pub mod protocol;
pub mod rate_limit;
pub mod registry;
pub mod rooms;
pub mod server;
pub mod session;
pub mod supervisor;
pub mod transport;
pub mod worker;
