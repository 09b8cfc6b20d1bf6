//! Why the program ends otherwise than well.

use crate::engine::fault::{Fault, Side};

/// What was asked of the program, or its settings, cannot be used: one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Usage(pub(super) String);

/// Either that, or what the engine says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Usage(Usage),
    Fault(Fault),
}

impl From<Usage> for Failure {
    fn from(usage: Usage) -> Self {
        Self::Usage(usage)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Failure {
    /// A word that stays what it is, for programs.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Usage(_) => "usage",
            Self::Fault(fault) => fault.word(),
        }
    }

    /// What happened.
    pub(super) fn sentence(&self) -> String {
        match self {
            Self::Usage(Usage(sentence)) => sentence.clone(),
            Self::Fault(fault) => fault.sentence(),
        }
    }

    /// Where it happened, in a word for programs.
    pub(super) fn side(&self) -> &'static str {
        match self {
            Self::Usage(_) => "here",
            Self::Fault(fault) => match fault.side() {
                Side::Here => "here",
                Side::Line => "line",
                Side::Relay => "relay",
                Side::There => "there",
            },
        }
    }

    /// The status to end with.
    pub(super) fn exit_status(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Fault(fault) => fault.exit_status(),
        }
    }
}
