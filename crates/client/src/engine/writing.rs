//! The thread that unpacks and writes what has come in one attempt.

use tokio::{
    sync::{mpsc, watch},
    task::{JoinHandle, spawn_blocking},
};

use super::{
    options::Received,
    place::{Place, PlaceError},
};
use crate::transfer::{
    note::{Confirm, Data, End as Note, Header, Start},
    packing::Unpacker,
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

/// How it ended: with everything, with an error, or with neither where the attempt was over before.
pub(super) type End = Result<Option<(Start, Received)>, PlaceError>;

/// The place, when nothing more is written to it, and how it ended.
pub(super) struct Ended {
    pub(super) place: Place,
    pub(super) end: End,
}

/// Starts it. It ends when the queue is dropped, with the last message, or with an error.
pub(super) fn start(
    mut place: Place,
) -> (Queue, watch::Receiver<Written>, JoinHandle<Ended>) {
    let (queue, mut work) = mpsc::channel(MOST);
    let written = Written {
        confirm: Confirm {
            records: 0,
            bytes: place.bytes(),
        },
        taken: 0,
    };
    let (tell, told) = watch::channel(written);
    let thread = spawn_blocking(move || {
        let end = write(&mut place, &mut work, &tell, written);
        Ended { place, end }
    });
    (queue, told, thread)
}

fn write(
    place: &mut Place,
    work: &mut mpsc::Receiver<(u64, Work)>,
    tell: &watch::Sender<Written>,
    mut written: Written,
) -> End {
    let mut unpacker = Unpacker::new().map_err(|_| PlaceError::Memory)?;
    while let Some((length, next)) = work.blocking_recv() {
        match next {
            Work::Entry(header, json) => place.entry(&header, &json)?,
            Work::Data(data, message) => {
                let content = unpacker.unpack(&data, &message[Data::HEAD..]);
                let content = content.map_err(|_| PlaceError::Protocol("a record that is none"))?;
                place.write(data.entry, data.offset, content)?;
            }
            Work::End(end) => {
                let start = place.start();
                return Ok(Some((start, place.finish(&end)?)));
            }
        }
        written.confirm.records += 1;
        written.confirm.bytes = place.bytes();
        written.taken += length;
        tell.send_replace(written);
    }
    place.settle()?;
    Ok(None)
}
