//! The thread that unpacks and writes what has come in one attempt.

use tokio::{
    sync::{mpsc, watch},
    task::{JoinHandle, spawn_blocking},
};

use super::{fault::Fault, options::Received};
use crate::{
    disk::target::{Target, TargetError},
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
    /// A folder does not go to standard output.
    Folder,
    /// This program has failed in itself, or has no memory.
    Failed,
}

impl WriteError {
    /// What the other side is told.
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::Target(error) => error.reason(),
            Self::Garbled => Reason::Protocol,
            Self::Folder | Self::Failed => Reason::TargetFailed,
        }
    }

    pub(super) fn fault(self) -> Fault {
        match self {
            Self::Target(error) => Fault::Disk(error.to_string()),
            Self::Garbled => Fault::Misbehaved("a record that is none"),
            Self::Folder => Fault::Disk("A folder cannot go to standard output.".to_owned()),
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
    pub(super) target: Target,
    pub(super) end: End,
}

/// Starts it. It ends when the queue is dropped, with the last message, or with an error.
pub(super) fn start(mut target: Target) -> (Queue, watch::Receiver<Written>, JoinHandle<Ended>) {
    let (queue, mut work) = mpsc::channel(MOST);
    let written = Written {
        confirm: Confirm {
            records: 0,
            bytes: target.written(),
        },
        taken: 0,
    };
    let (tell, told) = watch::channel(written);
    let thread = spawn_blocking(move || {
        let end = write(&mut target, &mut work, &tell, written);
        Ended { target, end }
    });
    (queue, told, thread)
}

fn write(
    target: &mut Target,
    work: &mut mpsc::Receiver<(u64, Work)>,
    tell: &watch::Sender<Written>,
    mut written: Written,
) -> End {
    let mut unpacker = Unpacker::new().map_err(|_| WriteError::Failed)?;
    while let Some((length, next)) = work.blocking_recv() {
        match next {
            Work::Entry(header, json) => target.entry(&header, &json)?,
            Work::Data(data, message) => {
                let content = unpacker.unpack(&data, &message[Data::HEAD..]);
                let content = content.map_err(|_| WriteError::Garbled)?;
                target.write(data.entry, data.offset, content)?;
            }
            Work::End(end) => {
                let start = target.start();
                let path = target.finish(&end)?;
                let bytes = end.bytes;
                return Ok(Some((start, Received { path, bytes })));
            }
        }
        written.confirm.records += 1;
        written.confirm.bytes = target.written();
        written.taken += length;
        tell.send_replace(written);
    }
    target.settle()?;
    Ok(None)
}
