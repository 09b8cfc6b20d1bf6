//! What the operator of a relay asks of it, and what it does at the operator's word.
//!
//! A relay that runs listens on a Unix socket (`RELAY_ADMIN_SOCKET`), where a path stands for a command and
//! an answer is JSON over HTTP/1.1; OPERATING.md has all of them. Whoever may open the socket may do all that
//! is here: the file's owner and its group (mode 0660). The commands of the program's command line are
//! clients of it.
//!
//! | module | contents |
//! |---|---|
//! | `api` | what is asked and answered |
//! | [`socket`] | the socket itself |
//! | `serve` | HTTP on it |
//! | [`office`] | what is done at the operator's word |
//! | `look`, `slow` | two looks at a relay, and what they tell: rates, and which side is slow |
//! | [`store`] | the file where blocks and limits outlive a restart |
//! | [`commands`] | the commands of the command line |
//! | `ask` | a client of the socket |
//! | `words`, `units` | answers as a person reads them; numbers in such answers |
//! | `top`, `screen` | the live view, and how it is drawn |

mod api;
mod ask;
pub mod commands;
mod look;
pub mod office;
mod screen;
mod serve;
mod slow;
pub mod socket;
pub mod store;
mod top;
mod units;
mod words;

pub use self::serve::{CONNECTIONS, serve};
