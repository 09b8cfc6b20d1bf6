//! What the reader of a client's frames tells of them.

use relay_wire::ending::Ending;

use super::data::Data;

/// What the bytes said.
#[derive(Debug)]
pub enum Event {
    /// Something to pass on.
    Data(Data),
    /// A Ping, to be answered with the same payload.
    Ping(Vec<u8>),
    /// The first answer to the Ping of this number.
    Pong(u64),
    /// The closing handshake, with the peer's code if it gave one.
    Close(Option<u16>),
    /// The peer broke the protocol in this way; nothing is read after that.
    Violation(Ending),
}

/// A message over the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Oversize {
    /// Bytes that were announced when it was refused, or had come of it inflated; more may have been to come.
    pub size: u64,
    /// Bytes that a message may have.
    pub limit: u64,
}

/// What has come since it was last counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Frames that began.
    pub frames: u32,
    /// Those of them that bring nobody anything and that nobody asked for: Pings, Pongs but for the first to
    /// answer one of our Pings, and empty fragments that do not end their message.
    pub idle: u32,
    /// Compressed messages that began, and are looked into.
    pub looks: u32,
    /// Bytes that such messages were inflated to.
    pub inflated: u32,
}

/// Bytes that take as much time to inflate as the state of a message takes to be made.
const STATE_COST: u32 = 16 * 1024;

impl Counts {
    /// What inflating has cost, in bytes that it came to.
    pub fn inflating(&self) -> u32 {
        self.inflated
            .saturating_add(self.looks.saturating_mul(STATE_COST))
    }
}
