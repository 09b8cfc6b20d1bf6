//! What an error of this machine's disk is called: towards its user, in a sentence, and towards the other
//! side, in a word that tells nothing of this machine.

use std::{io, path::Path};

use super::fault::Fault;
use crate::{
    disk::{
        errors::{SourceError, TargetError},
        ledger::Refused,
        share_state::StateError,
    },
    transfer::{names::shown, note::Reason},
};

/// Characters of a name or a path that are shown.
const SHOWN: usize = 300;

/// What the receiver is told of a source that fails.
pub(super) fn reason_of_source(error: &SourceError) -> Reason {
    match error {
        SourceError::Changed(_) => Reason::SourceChanged,
        SourceError::Gone => Reason::SourceGone,
        SourceError::UnsafeName(_) | SourceError::TooDeep(_) => Reason::UnsafeName,
        SourceError::Unreadable(..) | SourceError::Device(_) => Reason::SourceFailed,
    }
}

/// What this side's user is told of it.
pub(super) fn of_source(error: &SourceError) -> Fault {
    Fault::Disk(match error {
        SourceError::Unreadable(path, why) => {
            format!("{} cannot be read: {}.", at(path), text(why))
        }
        SourceError::Device(path) => format!("{} is neither a file nor a folder.", at(path)),
        SourceError::UnsafeName(path) => {
            format!(
                "{} has a name that other systems do not take: rename it.",
                at(path)
            )
        }
        SourceError::TooDeep(path) => format!("{} lies in too many folders.", at(path)),
        SourceError::Changed(path) => {
            format!(
                "{} has changed since the transfer began: share it anew.",
                at(path)
            )
        }
        SourceError::Gone => {
            "The receiver has lost what standard input had before, and it cannot be read again."
                .to_owned()
        }
    })
}

/// What the sender is told of a target that fails.
pub(super) fn reason_of_target(error: &TargetError) -> Reason {
    match error {
        TargetError::Refused(Refused::UnsafeName(_)) => Reason::UnsafeName,
        TargetError::Refused(Refused::OutOfTurn | Refused::TooMuch) => Reason::Protocol,
        TargetError::NoSpace { .. } => Reason::NoSpace,
        TargetError::Denied(..) => Reason::Denied,
        TargetError::InUse(_) => Reason::InUse,
        TargetError::Collision(_) => Reason::Collision,
        TargetError::Disturbed(_) | TargetError::NoName(_) | TargetError::Io(..) => {
            Reason::TargetFailed
        }
    }
}

/// What this side's user is told of it.
pub(super) fn of_target(error: &TargetError) -> Fault {
    Fault::Disk(match error {
        TargetError::Refused(Refused::UnsafeName(name)) => {
            return Fault::Aborted(format!(
                "it sends a name that is not taken: {}",
                shown(name, SHOWN)
            ));
        }
        TargetError::Refused(Refused::OutOfTurn) => {
            return Fault::Misbehaved("what it sends is out of its turn");
        }
        TargetError::Refused(Refused::TooMuch) => {
            return Fault::Misbehaved("it sends more than it has announced");
        }
        TargetError::NoSpace {
            needed: Some(needed),
            free: Some(free),
        } => format!("The disk is too small: {needed} bytes are needed, and {free} are free."),
        TargetError::NoSpace { .. } => "The disk is full.".to_owned(),
        TargetError::Denied(path, why) => {
            format!("{} may not be written: {}.", at(path), text(why))
        }
        TargetError::InUse(path) => {
            format!("Another program receives this already ({}).", at(path))
        }
        TargetError::Collision(path) => {
            format!(
                "{} is there already, or differs from another name in case alone.",
                at(path)
            )
        }
        TargetError::Disturbed(path) => format!("{} is not what was made there.", at(path)),
        TargetError::NoName(path) => format!("All names like {} are taken.", at(path)),
        TargetError::Io(path, why) => format!("{} cannot be written: {}.", at(path), text(why)),
    })
}

/// What this side's user is told of a share's state that is not kept.
pub(super) fn of_state(error: &StateError) -> Fault {
    match error {
        StateError::InUse => Fault::Machine("Another process shares this already.".to_owned()),
        StateError::Io(path, why) => Fault::Disk(format!("{}: {}.", at(path), text(why))),
    }
}

fn at(path: &Path) -> String {
    shown(&path.to_string_lossy(), SHOWN)
}

fn text(why: &io::Error) -> String {
    shown(&why.to_string(), SHOWN)
}
