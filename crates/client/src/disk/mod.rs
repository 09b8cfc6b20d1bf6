//! What is read from a disk to be sent, and written to one as it arrives. What touches the disk blocks: it is
//! called from threads of its own.
//!
//! | module | contents |
//! |---|---|
//! | [`source`] | a file, a folder or standard input to be sent, from wherever the receiver wants it |
//! | [`walk`] | one attempt's way through a source |
//! | [`tree`] | the files and folders in a folder, in order |
//! | [`stream`] | standard input, of which the last is kept |
//! | [`target`] | where a transfer is written to |
//! | `part` | a transfer on a disk that is not whole yet |
//! | `whole` | one that is, and whose sender does not know yet |
//! | [`ledger`] | what may come next, whoever sends it: pure |
//! | [`journal`] | how far a transfer has come, kept beside it |
//! | [`place`] | names that are free, and what is left behind |
//! | [`files`] | how files are opened, and had alone |
//! | [`errors`] | why something cannot be sent, or received |
//! | [`share_state`] | what lets a sender that was killed go on |

pub mod errors;
pub mod files;
pub mod journal;
pub mod ledger;
mod part;
pub mod place;
pub mod share_state;
pub mod source;
pub mod stream;
pub mod target;
pub mod tree;
pub mod walk;
mod whole;
