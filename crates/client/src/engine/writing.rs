//! The thread that unpacks and writes what has come in one attempt.

use tokio::{
    sync::{mpsc, watch},
    task::{JoinHandle, spawn_blocking},
};

use super::{complaint, fault::Fault, options::Received};
use crate::{
    disk::{errors::TargetError, target::Target},
    transfer::{
        note::{Confirm, Data, End as Note, Header, Reason, Start},
        packing::Unpacker,
    },
};

/// Messages that may be queued: those that a sender may have unconfirmed, and an END.
const MOST: usize = 1024 + 1;

/// One message's worth, and how many bytes the message had.
pub(super) type Queue = mpsc::Sender<(u64, Work)>;

/// What is to be done with a message.
pub(super) enum Work {
    /// A header, and its JSON as it was sent.
    Entry(Header, Vec<u8>),
    /// A message that was opened, up to the end of its record.
    Data(Data, Vec<u8>),
    /// That was everything.
    End(Note),
}

/// What has been done.
#[derive(Clone, Copy)]
pub(super) struct Written {
    /// What the sender may be told.
    pub(super) confirm: Confirm,
    /// Bytes of messages taken from the queue.
    pub(super) taken: u64,
}

/// Why something is not written.
pub(super) enum WriteError {
    Target(TargetError),
    /// A record cannot be unpacked.
    Garbled,
    /// This program has failed in itself, or has no memory.
    Failed,
}

impl WriteError {
    /// What the other side is told.
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::Target(error) => complaint::reason_of_target(error),
            Self::Garbled => Reason::Protocol,
            Self::Failed => Reason::TargetFailed,
        }
    }

    pub(super) fn fault(self) -> Fault {
        match self {
            Self::Target(error) => complaint::of_target(&error),
            Self::Garbled => Fault::Misbehaved("a record that is none"),
            Self::Failed => Fault::failed(),
        }
    }
}

impl From<TargetError> for WriteError {
    fn from(error: TargetError) -> Self {
        Self::Target(error)
    }
}

/// How it ended: with everything, with an error, or with neither where the attempt was over before.
pub(super) type End = Result<Option<(Start, Received)>, WriteError>;

/// The target, when nothing more is written to it, and how it ended.
pub(super) struct Ended {
    /// Nothing where it is whole, or has failed at the very end.
    pub(super) target: Option<Target>,
    pub(super) end: End,
}

/// Starts it. It ends when the queue is dropped, with the last message, or with an error.
pub(super) fn start(target: Target) -> (Queue, watch::Receiver<Written>, JoinHandle<Ended>) {
    let (queue, mut work) = mpsc::channel(MOST);
    let written = Written {
        confirm: Confirm {
            records: 0,
            bytes: target.bytes(),
        },
        taken: 0,
    };
    let (tell, told) = watch::channel(written);
    let thread = spawn_blocking(move || {
        let end = write(target, &mut work, &tell, written);
        let (target, end) = end;
        Ended { target, end }
    });
    (queue, told, thread)
}

fn write(
    mut target: Target,
    work: &mut mpsc::Receiver<(u64, Work)>,
    tell: &watch::Sender<Written>,
    mut written: Written,
) -> (Option<Target>, End) {
    let mut unpacker = match Unpacker::new() {
        Ok(unpacker) => unpacker,
        Err(_) => return (Some(target), Err(WriteError::Failed)),
    };
    while let Some((length, next)) = work.blocking_recv() {
        let done = match next {
            Work::Entry(header, json) => target.entry(header, &json).map_err(WriteError::from),
            Work::Data(data, message) => add(&mut target, &mut unpacker, data, &message),
            Work::End(end) => return (None, finish(target, &end)),
        };
        if let Err(error) = done {
            return (Some(target), Err(error));
        }
        written.confirm.records += 1;
        written.confirm.bytes = target.bytes();
        written.taken += length;
        tell.send_replace(written);
    }
    let settled = target.settle();
    (
        Some(target),
        settled.map(|()| None).map_err(WriteError::from),
    )
}

fn add(
    target: &mut Target,
    unpacker: &mut Unpacker,
    data: Data,
    message: &[u8],
) -> Result<(), WriteError> {
    let content = unpacker.unpack(&data, &message[Data::HEAD..]);
    let content = content.map_err(|_| WriteError::Garbled)?;
    Ok(target.write(data.entry, data.offset, content)?)
}

fn finish(target: Target, end: &Note) -> End {
    let (start, bytes) = (target.start(), target.bytes());
    let path = target.finish(end)?;
    Ok(Some((start, Received { path, bytes })))
}
