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
//! A client's bytes become [`flow::data::Data`], charged to the window of its session. They go
//! through the mailbox of the [`actors::registry::RoomRegistry`], where [`rooms::Rooms`] says whom
//! they are for, and through that session's mailbox into its outbox. When the system has taken them
//! the credit is dropped, and the window opens again: whoever reads slowly slows down whoever sends.
//!
//! # Where things are
//!
//! Imports go down this table only; `tests/architecture.rs` holds them to it.
//!
//! | module | contents |
//! |---|---|
//! | [`cli`] | the command line |
//! | [`check`] | the subcommand that says whether a relay is well, and if not, why |
//! | [`process`] | the listener, the workers, the drain, systemd |
//! | [`admin`] | what the operator asks of a relay, and the commands for it |
//! | [`http`] | who is accepted, the handshake, the pages for the operator |
//! | [`actors`] | the sessions and the registries between them, and what they say to each other |
//! | [`state`] | what all workers share |
//! | [`cluster`] | rooms that are on other machines |
//! | [`observe`] | the log, the event log, the metrics, the last hour |
//! | [`rooms`] | who is paired with whom, and what follows: pure |
//! | [`limits`] | who is asking, and whether they may: pure |
//! | [`flow`] | a session's bytes: reader, outbox, credit, pace, clocks: pure |
//! | [`config`] | every knob: default, flag, variable, range |
//! | [`version`] | which version this is, of which commit |
//! | [`relay_client`] | a connection to a relay |
//! | [`relay_wire`] | what the relay and its clients say to each other |

pub mod actors;
pub mod admin;
pub mod check;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod flow;
pub mod http;
pub mod limits;
pub mod observe;
pub mod process;
pub mod rooms;
pub mod state;
pub mod version;
