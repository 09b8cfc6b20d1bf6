//! What the system may hold of a connection, beside what we hold ourselves.
//!
//! What has come and was not read has no bound of ours. The one there is would also bound what a client
//! that hangs up can still bring over while its receiver is slow, and how fast a long line can be
//! (`SO_RCVBUF`, up to `net.core.rmem_max`). Who is in no room is always read, and who is in one is
//! slowed down by the window in the end.

/// Bytes that the system takes from us and has not sent yet: it takes no more, and what waits beyond
/// them is in our outbox, where it is counted. What is on the line comes on top of it. Left alone it
/// would be megabytes, for who pings and never reads as well as for a busy pair.
pub const UNSENT: u32 = 128 * 1024;
