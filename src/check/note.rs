//! What one step of a check has found. How that is shown is left to `print`.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

/// How a step went, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// Not tried, or nothing to try.
    Skip,
    /// As it should be.
    Ok,
    /// Worth knowing; the relay itself does its work.
    Warn,
    /// Clients are kept from their work.
    Fail,
}

impl Status {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }

    /// The exit status of a check whose worst step this is.
    pub(super) fn exit(self) -> u8 {
        match self {
            Self::Skip | Self::Ok => 0,
            Self::Warn => 1,
            Self::Fail => 2,
        }
    }
}

/// What one step has found.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Note {
    pub(super) status: Status,
    /// What was seen.
    pub(super) detail: String,
    /// What that usually means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) means: Option<String>,
    /// The command or the change to try next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
    /// When the certificate ends that was shown.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "seconds")]
    pub(super) expires: Option<SystemTime>,
}

/// As seconds since 1970.
fn seconds<S: Serializer>(moment: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    let since = moment.and_then(|moment| moment.duration_since(UNIX_EPOCH).ok());
    since.map(|since| since.as_secs()).serialize(serializer)
}

impl Note {
    fn new(status: Status, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            means: None,
            next: None,
            expires: None,
        }
    }

    pub(super) fn skip(detail: impl Into<String>) -> Self {
        Self::new(Status::Skip, detail)
    }

    pub(super) fn ok(detail: impl Into<String>) -> Self {
        Self::new(Status::Ok, detail)
    }

    pub(super) fn warn(detail: impl Into<String>) -> Self {
        Self::new(Status::Warn, detail)
    }

    pub(super) fn fail(detail: impl Into<String>) -> Self {
        Self::new(Status::Fail, detail)
    }

    pub(super) fn means(mut self, means: impl Into<String>) -> Self {
        self.means = Some(means.into());
        self
    }

    pub(super) fn expires(self, expires: Option<SystemTime>) -> Self {
        Self { expires, ..self }
    }

    pub(super) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}

/// How a step ends: with a note, and with what the following steps need, if they can be tried.
pub(super) type Outcome<T> = Result<(T, Note), Note>;

/// A step's name and its note.
#[derive(Serialize)]
pub(super) struct Finding {
    pub(super) step: &'static str,
    #[serde(flatten)]
    pub(super) note: Note,
    /// How long it took.
    pub(super) milliseconds: u128,
}
