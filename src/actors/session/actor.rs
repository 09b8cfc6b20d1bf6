//! The actor itself, below the pump that is spawned into it. The parent module starts it; the
//! pump takes its messages.

use actix::{Actor, Context};

use super::connection::Connection;

/// The actor of one client. It is empty once its connection has gone to another worker.
pub struct Session(pub(super) Option<Connection>);

impl Actor for Session {
    type Context = Context<Self>;
}
