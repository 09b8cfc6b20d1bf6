//! The sender: a room, and one receiver after another.

use super::{
    event::Tell,
    fault::Fault,
    options::{ShareOptions, Shared},
};

/// Whether a share of this was begun by a process that was killed, and can be taken up: under its code, and
/// without its passphrase.
pub fn can_be_taken_up(_options: &ShareOptions) -> bool {
    false
}

/// Shares until a receiver has everything, or with `stay` until `stop` is ready. Then the room is closed.
///
/// # Errors
///
/// [`Fault`]; [`Fault::Interrupted`] where `stop` came first.
pub async fn share(
    _options: ShareOptions,
    _tell: Tell,
    _stop: impl Future<Output = ()> + Send,
) -> Result<Shared, Fault> {
    Err(Fault::Machine("Not built yet.".to_owned()))
}
