//! What a share or a receipt is made of, and what comes of it.

use std::{fmt, path::PathBuf, time::Duration};

use crate::url::Url;

/// How long an end tries without any progress before it gives up, unless it is told otherwise.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// A relay, and how to be let in.
#[derive(Clone, Debug)]
pub struct Relay {
    /// Where it is.
    pub url: Url,
    /// The access key, where it asks for one.
    pub key: Option<Secret>,
}

/// A text that no log and no error ever shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// What is shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A file, or a folder with all that is in it.
    Path(PathBuf),
    /// What comes by standard input. It survives a lost line, and not the end of this process.
    Stdin,
}

/// What a share is made of.
#[derive(Clone, Debug)]
pub struct ShareOptions {
    /// By which relay.
    pub relay: Relay,
    /// What.
    pub what: What,
    /// The passphrase. `None` is for a share that [can be taken up](super::share::can_be_taken_up) alone.
    pub passphrase: Option<Secret>,
    /// Whether to stay for the next receiver when one has everything.
    pub stay: bool,
    /// How long the code is to be good; `None` leaves it to the relay.
    pub expires_in: Option<Duration>,
    /// How long to try without any progress.
    pub patience: Duration,
    /// The folder where it is kept how to take the share up after this process was killed.
    pub state: Option<PathBuf>,
    /// Whether to begin a new share, even where one of this could be taken up.
    pub anew: bool,
    /// Whether receivers that speak version 1 alone are sent away.
    pub version_2_only: bool,
}

/// Where what is received goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Where {
    /// Into this folder, under the name that the sender gives it; where it is no folder, under this name.
    Path(PathBuf),
    /// To standard output: a file, or what has come by the sender's standard input.
    Stdout,
}

/// What it takes to receive.
#[derive(Clone, Debug)]
pub struct ReceiveOptions {
    /// By which relay.
    pub relay: Relay,
    /// The code as a person has typed it.
    pub code: String,
    /// The passphrase.
    pub passphrase: Secret,
    /// Where to.
    pub to: Where,
    /// Whether a sender that speaks version 1 is refused.
    pub version_2_only: bool,
    /// How long to try without any progress.
    pub patience: Duration,
}

/// What came of a share that has ended well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shared {
    /// Receivers that have everything.
    pub receivers: u64,
    /// Bytes of content put on the line by this process, in all attempts.
    pub sent: u64,
}

/// What has been received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Where it is; `None` where it went to standard output.
    pub path: Option<PathBuf>,
    /// Bytes of content.
    pub bytes: u64,
}
