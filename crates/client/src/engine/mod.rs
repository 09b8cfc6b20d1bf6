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
//!
//! Settings and what is asked of a person are the program's.

pub mod event;
pub mod fault;
pub mod options;
pub mod receive;
pub mod sessions;
pub mod share;
