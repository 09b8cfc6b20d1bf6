//! What a sender and a receiver say to each other through a room: the formats of PROTOCOL.md, "What the
//! clients of today say to each other" and "Version 2 of a transfer".
//!
//! No file or socket is touched here, and time is passed in; chance is drawn for keys and for passphrases that are made
//! up. Reading and writing files is
//! [`disk`](crate::disk)'s.
//!
//! | module | contents |
//! |---|---|
//! | [`hello`] | the texts by which the two sides find a version and prove the passphrase |
//! | [`v1`] | proof and payload of version 1 |
//! | [`keys`] | what the passphrase and two fresh keys become in version 2 |
//! | [`seal`] | one binary message, sealed and opened |
//! | [`note`] | what a binary message says |
//! | [`packing`] | compression of the content |
//! | [`window`] | how much may be on its way |
//! | [`names`] | which names of strangers are taken, and how they are shown |
//! | [`words`] | passphrases: made up, and judged |
//! | [`hex`] | bytes as text |

pub mod hello;
pub mod hex;
pub mod keys;
pub mod names;
pub mod note;
pub mod packing;
pub mod seal;
pub mod v1;
pub mod window;
pub mod words;
