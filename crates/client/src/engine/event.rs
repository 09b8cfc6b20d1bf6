//! What happens while something is shared or received. Texts in it are for a person to read, escaped
//! and bounded where they come from strangers.

use std::{sync::Arc, time::Duration};

/// Who is told of events, from whichever thread; it must not block for long.
pub type Tell = Arc<dyn Fn(Event) + Send + Sync>;

/// Something that happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A connection to the relay is being made.
    Connecting,
    /// The sender's room is open.
    Opened {
        /// Its code.
        code: String,
        /// How long it can be joined.
        expires_in: Duration,
        /// Whether the room outlives a lost line; a relay that knows nothing of it ends it with the line.
        resumable: bool,
    },
    /// The sender has taken its room up again.
    Resumed {
        /// Its code, as it was.
        code: String,
        /// How long it can still be joined.
        expires_in: Duration,
    },
    /// The receiver is in the room, and waits for its turn.
    Joined,
    /// A receiver has its turn.
    PeerJoined,
    /// The two make sure of each other.
    Proving,
    /// The receiver knows the passphrase, and makes room for what it is offered: a person may choose where.
    Proved,
    /// Content begins to move, or goes on.
    Begun {
        /// What it is called.
        name: String,
        /// Bytes in all, where that is known.
        size: Option<u64>,
        /// Bytes that are there already.
        from: u64,
        /// The version of the exchange: 1 with today's other clients.
        version: u8,
    },
    /// Some of it has arrived; told a few times a second at most.
    Progress {
        /// Bytes on the receiver's disk.
        confirmed: u64,
        /// Bytes in all, where that is known.
        total: Option<u64>,
        /// Whom the transfer waits for.
        slow: Slow,
    },
    /// The other side has left before it had everything, or has been sent away.
    PeerGone {
        /// Why.
        why: String,
    },
    /// The line to the relay is lost.
    LineLost {
        /// How that showed.
        why: String,
        /// When it is tried again.
        again_in: Duration,
    },
    /// The relay, or the other side, is not ready yet.
    Waiting {
        /// For what.
        why: String,
        /// When it is asked again.
        again_in: Duration,
    },
    /// The receiver has everything, by its own word.
    Delivered {
        /// Bytes of content.
        bytes: u64,
        /// Bytes of content put on the line by this process, in all attempts for this receiver.
        sent: u64,
    },
    /// Something that its user should know.
    Warning(Warning),
}

/// Whom a transfer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slow {
    /// This side: a sender that reads, or a receiver that writes.
    Here,
    /// The line, or the other side behind it.
    Line,
}

/// What does not end a transfer, and is worth a word.
#[derive(Clone, Debug, PartialEq)]
pub enum Warning {
    /// The relay knows no rooms that outlive a line: when the line is lost, so is the code.
    NotResumable,
    /// The receiver speaks version 1, as today's other clients do: everything goes in one message, what is lost
    /// with the line is sent anew, and who hears it can try passphrases on it.
    OldReceiver,
    /// The sender speaks version 1.
    OldSender,
    /// The sender says nothing: it may share sessions, of which one has to be picked.
    PerhapsSessions,
    /// So many links, devices and other things that are neither file nor folder are left out.
    LeftOut(u64),
    /// The share cannot be taken up if this process is killed; with a sentence that says why.
    NotKept(String),
    /// Somebody has come with a wrong passphrase.
    WrongPassphrase {
        /// How many more are let try before the share ends.
        left: u32,
    },
}

impl Warning {
    /// In one sentence.
    pub fn sentence(&self) -> String {
        match self {
            Self::NotResumable => {
                "This relay ends a room with its sender's line: if the line is lost, share again under a new code."
                    .to_owned()
            }
            Self::OldReceiver => {
                "The receiver speaks version 1: the relay, and who listens, could try passphrases on all of it.".to_owned()
            }
            Self::OldSender => {
                "The sender speaks version 1: the relay, and who listens, could try passphrases on all of it.".to_owned()
            }
            Self::PerhapsSessions => {
                "The sender says nothing: if it shares sessions, use `distill sessions` to pick one.".to_owned()
            }
            Self::LeftOut(count) => {
                format!("Left out: {count} that are neither file nor folder (links, devices).")
            }
            Self::NotKept(why) => {
                format!("If this program is killed, the share cannot be taken up: {why}")
            }
            Self::WrongPassphrase { left } => {
                format!("A receiver came with a wrong passphrase; after {left} more the share ends.")
            }
        }
    }
}
