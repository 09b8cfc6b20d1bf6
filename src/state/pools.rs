//! What is outstanding in the whole relay, and how much of it one address may have.

use std::sync::Arc;

use crate::{config::Config, flow::credit::Pool, limits::shares::Shares, rooms::most_charged};

/// Sessions that one address may have in any relay that has as many, unless its operator says less.
const LEAST_SESSIONS: usize = 1000;
/// Rooms, in the same way.
const LEAST_ROOMS: usize = 100;

/// What is outstanding in the whole relay.
#[derive(Debug)]
pub struct Pools {
    /// Connections on their way to becoming sessions.
    pub handshakes: Arc<Pool>,
    /// Sessions; the limit is `RELAY_MAX_SESSIONS`, and `RELAY_ADDRESS_SESSIONS` for an address.
    pub sessions: Shares,
    /// Rooms; the limit is `RELAY_MAX_ROOMS`, and `RELAY_ADDRESS_ROOMS` for a sender's address.
    pub rooms: Shares,
    /// Rooms that wait for their senders.
    pub away: Arc<Pool>,
    /// Receivers that wait in the queues of their rooms.
    pub queued: Arc<Pool>,
    /// Receivers that are paired with their sender.
    pub pairs: Arc<Pool>,
    /// Bytes between one socket and another, overhead included, over all sessions' windows.
    pub in_flight: Arc<Pool>,
    /// Bytes of messages being assembled for senders, or assembled and not taken, and of what is read of a
    /// sender's message although its window is full; the limit is `RELAY_MAX_BUFFERED`, and
    /// `RELAY_ADDRESS_BUFFERED` for the address of that receiver or sender.
    pub buffers: Shares,
}

impl Pools {
    pub(super) fn new(config: &Config) -> Self {
        let chosen = |[whole, each, least]: [usize; 3]| Shares::chosen(whole, each, least);
        Self {
            handshakes: Pool::new(usize::MAX),
            sessions: chosen(sessions(config)),
            rooms: chosen(rooms(config)),
            away: Pool::new(usize::MAX),
            queued: Pool::new(usize::MAX),
            pairs: Pool::new(usize::MAX),
            in_flight: Pool::new(usize::MAX),
            buffers: chosen(buffers(config)),
        }
    }

    /// Limits as configured, from here on.
    pub(super) fn configure(&self, config: &Config) {
        let choose =
            |shares: &Shares, [whole, each, least]: [usize; 3]| shares.choose(whole, each, least);
        choose(&self.sessions, sessions(config));
        choose(&self.rooms, rooms(config));
        choose(&self.buffers, buffers(config));
    }
}

/// Sessions: of all, what is chosen for an address, and what it has at least where nothing is.
fn sessions(config: &Config) -> [usize; 3] {
    [config.max_sessions, config.address_sessions, LEAST_SESSIONS]
}

/// Rooms, in the same way.
fn rooms(config: &Config) -> [usize; 3] {
    [config.max_rooms, config.address_rooms, LEAST_ROOMS]
}

/// Bytes of messages for senders, in the same way.
fn buffers(config: &Config) -> [usize; 3] {
    let message = usize::try_from(config.receiver_message()).unwrap_or(usize::MAX);
    [
        config.max_buffered,
        config.address_buffered,
        most_charged(message),
    ]
}
