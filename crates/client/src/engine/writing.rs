//! The thread that unpacks and writes what has come in one attempt.

use tokio::{
    sync::{mpsc, watch},
    task::{JoinHandle, spawn_blocking},
};

use super::{complaint, fault::Fault};
use crate::{
    disk::{errors::TargetError, target::Target},
    transfer::{
        note::{Confirm, Data, End, Header, Reason},
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
    End(End),
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

/// The target, when nothing more is written to it, and how it ended.
pub(super) struct Ended {
    /// Nothing where it has failed at the very end.
    pub(super) target: Option<Target>,
    /// It is finished where the attempt was not over before.
    pub(super) end: Result<(), WriteError>,
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
        let (target, end) = write(target, &mut work, &tell, written);
        Ended { target, end }
    });
    (queue, told, thread)
}

fn write(
    mut target: Target,
    work: &mut mpsc::Receiver<(u64, Work)>,
    tell: &watch::Sender<Written>,
    mut written: Written,
) -> (Option<Target>, Result<(), WriteError>) {
    let mut unpacker = match Unpacker::new() {
        Ok(unpacker) => unpacker,
        Err(_) => return (Some(target), Err(WriteError::Failed)),
    };
    while let Some((length, next)) = work.blocking_recv() {
        let done = match next {
            Work::Entry(header, json) => target.entry(header, &json).map_err(WriteError::from),
            Work::Data(data, message) => add(&mut target, &mut unpacker, data, &message),
            Work::End(end) => {
                return match target.finish(&end) {
                    Ok(target) => (Some(target), Ok(())),
                    Err(error) => (None, Err(error.into())),
                };
            }
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
    (Some(target), settled.map_err(WriteError::from))
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
