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
//! | `look` | a look at a relay: its workers, asked all at once |
//! | `looks`, `slow` | two looks, and what they tell: rates, shares, and which side is slow |
//! | `troubles` | what is not well, in sentences |
//! | [`store`] | the file where blocks and limits outlive a restart |
//! | [`commands`] | the commands of the command line |
//! | `ask` | a client of the socket |
//! | `words`, `table`, `units` | answers as a person reads them; rows and numbers in such answers |
//! | `top`, `screen` | the live view, and how it is drawn |

mod api;
mod ask;
pub mod commands;
mod look;
mod looks;
pub mod office;
mod screen;
mod serve;
mod slow;
pub mod socket;
pub mod store;
mod table;
mod top;
mod troubles;
mod units;
mod words;

use std::path::PathBuf;

pub use self::serve::{CONNECTIONS, serve};
use crate::cluster::view::View;

/// The cluster of a relay that runs, as that sees it; `None` where it is no node of one. `socket` is where the
/// settings have its socket, if they do.
///
/// # Errors
///
/// Why it cannot be asked, in a sentence.
pub fn cluster(socket: Option<PathBuf>) -> Result<Option<View>, String> {
    let answer = ask::Relay::find(socket).get("/status?rows=0")?;
    answer.read::<api::Status>().map(|it| it.cluster)
}
