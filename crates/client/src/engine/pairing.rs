//! How a pair of a sender and a receiver parts, and what they hear of each other until then.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::{
    asks::Says,
    fault::Fault,
    line::{Heard, Line},
    trouble::{Kind, Lost, Trouble},
};
use crate::transfer::{
    names::shown,
    note::{Abort, Note, Reason},
    seal::{NotOpened, Opened, Opener, Sealer},
};

/// How long the other side may leave out what it owes: a confirmation, an answer, a proof.
pub(super) const STALL: Duration = Duration::from_secs(120);
/// The longest message of version 2, in bytes, with some to spare.
pub(super) const LONGEST: usize = 256 << 10;

/// Why a pair has parted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parting {
    /// The line is lost, or something of this side's has failed.
    Trouble(Trouble),
    /// The relay says that the receiver has left.
    Left,
    /// The other side has given up.
    Aborted(Reason),
    /// The other side breaks the protocol.
    Misbehaved(&'static str),
    /// The other side owes something, and has not given it in time.
    Stalled,
    /// What came does not open.
    NotAuthentic,
    /// This side has refused the other, and told it so.
    Refused(&'static str),
    /// The receiver has asked for what the sender has not, or has no more, and was told so.
    NotThere(Fault),
}

impl Parting {
    /// Why, as the part of a sentence.
    pub(super) fn why(&self) -> String {
        match self {
            Self::Trouble(Trouble::Later(later)) => later.why.clone(),
            Self::Trouble(Trouble::Over(fault)) => fault.sentence(),
            Self::Left => "it has left".to_owned(),
            Self::Aborted(reason) => words(*reason).to_owned(),
            Self::Misbehaved(what) => format!("it breaks the protocol: {what}"),
            Self::Stalled => "nothing has moved for too long".to_owned(),
            Self::NotAuthentic => "what it says was changed on its way".to_owned(),
            Self::Refused(why) => (*why).to_owned(),
            Self::NotThere(fault) => fault.sentence(),
        }
    }

    /// Whether the line is there still, for the other side to be told.
    pub(super) fn leaves_the_line(&self) -> bool {
        !matches!(self, Self::Trouble(Trouble::Later(_)))
    }

    /// The reason that the other side is told, where this side gives up.
    pub(super) fn reason(&self) -> Option<Reason> {
        match self {
            Self::Misbehaved(_) | Self::NotAuthentic => Some(Reason::Protocol),
            Self::Stalled => Some(Reason::Stalled),
            Self::Trouble(_)
            | Self::Left
            | Self::Aborted(_)
            | Self::Refused(_)
            | Self::NotThere(_) => None,
        }
    }

    /// What it is to a receiver, which has one sender alone.
    pub(super) fn of_receiver(self) -> Trouble {
        match self {
            Self::Trouble(trouble) => trouble,
            Self::Left => Fault::SenderGone.into(),
            Self::Aborted(Reason::Stalled) | Self::Stalled => {
                Trouble::later(Kind::Idle, self.why(), None)
            }
            Self::Aborted(reason) => Fault::Aborted(words(reason).to_owned()).into(),
            Self::Misbehaved(what) | Self::Refused(what) => Fault::Misbehaved(what).into(),
            Self::NotAuthentic => Fault::NotAuthentic.into(),
            Self::NotThere(fault) => fault.into(),
        }
    }
}

impl From<Trouble> for Parting {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl From<Lost> for Parting {
    fn from(lost: Lost) -> Self {
        Self::Trouble(lost.into())
    }
}

impl From<Fault> for Parting {
    fn from(fault: Fault) -> Self {
        Self::Trouble(fault.into())
    }
}

/// Why one side gives up, as the part of a sentence.
pub(super) fn words(reason: Reason) -> &'static str {
    match reason {
        Reason::SourceChanged => "what is shared has changed since the transfer began",
        Reason::SourceFailed => "what is shared cannot be read",
        Reason::SourceGone => "a part of the stream was read and is gone",
        Reason::NoSpace => "the receiver's disk is full",
        Reason::Denied => "the receiver may not write there",
        Reason::TargetFailed => "the receiver's disk does not take it",
        Reason::UnsafeName => "the receiver does not take a name",
        Reason::Collision => "two names are the same on the receiver's disk",
        Reason::InUse => "another program receives it already",
        Reason::Protocol => "it says that this side breaks the protocol",
        Reason::Stalled => "it says that nothing has moved for too long",
        Reason::Interrupted => "somebody has stopped it there",
        Reason::Other => "it does not say why",
    }
}

/// What a sender hears while it has a receiver. The relay's own words are among it; a receiver may imitate them, so
/// that nothing follows from them but [`Parting::Left`], which has a name in it that the receiver does not know.
pub(super) async fn of_receiver(line: &mut Line, until: Instant) -> Result<Heard, Parting> {
    loop {
        let heard = timeout_at(until, line.hear()).await;
        if let Some(heard) = sift(line, heard.map_err(|_| Parting::Stalled)??)? {
            return Ok(heard);
        }
    }
}

/// What of that is the receiver's.
pub(super) fn sift(line: &Line, heard: Heard) -> Result<Option<Heard>, Parting> {
    match heard {
        Heard::Text(text) => match Says::parse(&text) {
            Some(Says::PeerDisconnected { peer_id }) if line.is_paired_with(&peer_id) => {
                Err(Parting::Left)
            }
            Some(_) => Ok(None),
            None => Ok(Some(Heard::Text(text))),
        },
        binary => Ok(Some(binary)),
    }
}

/// Opens a note of the other side's.
pub(super) fn note(opener: &mut Opener, message: Bytes) -> Result<Note, Parting> {
    match opener.open(&mut own(message)?)? {
        Opened::Note(Note::Abort(Abort { reason }), _) => Err(Parting::Aborted(reason)),
        Opened::Note(note, _) => Ok(note),
        Opened::Data(..) => Err(Parting::Misbehaved("content where none is due")),
    }
}

/// Tells the other side of an attempt that goes on that this side is stopped.
pub(super) fn say_interrupted(line: &mut Line, keys: Option<(Sealer, Opener)>) {
    if let Some((mut sealer, _)) = keys {
        let reason = Reason::Interrupted;
        let message = sealer.note(&Note::Abort(Abort { reason }));
        // A line that is lost says it in its own way.
        drop(line.say(Bytes::from(message)));
    }
}

/// A message of version 2, to be opened where it lies.
pub(super) fn own(message: Bytes) -> Result<Vec<u8>, Parting> {
    match message.len() {
        0..=LONGEST => Ok(Vec::from(message)),
        _ => Err(Parting::Misbehaved("a message over 256 KiB")),
    }
}

impl From<NotOpened> for Parting {
    fn from(why: NotOpened) -> Self {
        match why {
            NotOpened::Forged => Self::NotAuthentic,
            NotOpened::Malformed => Self::Misbehaved("a message that is none"),
        }
    }
}

/// A reason that the other side gives in a text.
pub(super) fn said(reason: &str) -> String {
    shown(reason, 200)
}
