//! Sharing and receiving over a relay, through lines that drop: what `distill` does, without a word of
//! how it is shown. Whoever calls it is told of what happens by [`event::Event`]s, and of why it has ended
//! by a [`fault::Fault`].
//!
//! | module | contents |
//! |---|---|
//! | [`options`] | what a share or a receipt is made of, and what comes of it |
//! | [`event`] | what happens while something is shared or received |
//! | [`fault`] | every way it can fail: in one sentence, with what to do |
//! | [`mod@share`] | the sender: a room, and one receiver after another |
//! | [`mod@receive`] | the receiver: into a room, and again until it has everything |
//! | [`sessions`] | the receiver of a list to pick from |
//! | `proof` | how a sender makes sure of a receiver |
//! | `sending` | one attempt of a sender in version 2 |
//! | `version1` | what a sender has for today's other clients |
//! | `session_files` | sessions on this machine's disk |
//! | `door` | a receiver's way into a room, up to where it is believed |
//! | `receiving` | one attempt of a receiver in version 2 |
//! | `writing` | the thread that writes what has come |
//! | `keeper` | what is kept of a share, to be taken up |
//! | `complaint` | what an error of this machine's disk is called |
//! | `home` | where a receiver writes to, over all attempts |
//! | `pairing` | how a pair parts, and what it hears of each other until then |
//! | `meter` | tells of progress |
//! | `retry` | waits between attempts, and says so |
//! | `waits` | how long: pure |
//! | `line` | a line that is read and written at once, and kept alive |
//! | `trouble` | what it means that one is not there: whether to come back, and when |
//! | `asks` | what the relay is asked, and what it says |
//!
//! Settings and what is asked of a person are the program's.

mod asks;
mod complaint;
mod door;
pub mod event;
pub mod fault;
mod home;
#[cfg(test)]
mod hostile;
mod keeper;
mod line;
mod meter;
pub mod options;
mod pairing;
mod proof;
pub mod receive;
mod receiving;
#[cfg(test)]
mod resume;
mod retry;
mod sending;
mod session_files;
pub mod sessions;
pub mod share;
mod trouble;
mod version1;
mod waits;
mod writing;
