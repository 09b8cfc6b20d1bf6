//! What the system may hold of a connection, beside what we hold ourselves. Left alone it would be
//! megabytes each way, for who pings and never reads as well as for a busy pair.

/// Bytes that the system takes from us and has not sent yet: it takes no more, and what waits beyond
/// them is in our outbox, where it is counted. What is on the line comes on top of it.
pub const UNSENT: u32 = 128 * 1024;

/// Bytes that a member of a room may have sent and we have not read. The system counts its own
/// overhead as well, so it may hold up to twice as much; and it allows no more than its
/// `net.core.rmem_max`. This is what one round trip of a direct connection can carry, so it may not
/// be small: a proxy on the same machine needs far less.
pub const UNREAD: usize = 512 * 1024;

/// The same for who is in no room: a request and what follows it at once, and no transfer.
pub const UNREAD_WITHOUT_ROOM: usize = 8 * 1024;
