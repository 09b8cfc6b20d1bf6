//! The receiver: into a room, and again until it has everything.

use super::{
    event::Tell,
    fault::Fault,
    options::{ReceiveOptions, Received},
};

/// Receives what is shared under a code. What is there already, of an earlier try, is not asked for again.
///
/// # Errors
///
/// [`Fault`]; [`Fault::Interrupted`] where `stop` came first: what was received until then is kept.
pub async fn receive(
    _options: ReceiveOptions,
    _tell: Tell,
    _stop: impl Future<Output = ()> + Send,
) -> Result<Received, Fault> {
    Err(Fault::Machine("Not built yet.".to_owned()))
}
