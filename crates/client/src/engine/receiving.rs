//! One attempt of a receiver in version 2: what is not on the disk yet, record by record.
//!
//! ```text
//! line ─► open ─► queue ─► unpack and write (a blocking thread)
//!  ▲                              │ written
//!  └── confirmations ◄────────────┘
//! ```
//!
//! The line is read however slow the disk is, as its Pings come behind the content. What is queued is
//! bounded by what the sender may have unconfirmed; who sends more breaks the protocol. The thread wakes
//! this task with each record that it has written.

use bytes::Bytes;
use tokio::{
    sync::{mpsc::error::TrySendError, watch},
    task::{JoinError, JoinHandle},
};

use super::{
    event::{Event, Slow, Tell},
    fault::Fault,
    home::Home,
    line::{Heard, Line, Turn},
    meter::Meter,
    options::Received,
    pairing::{self, Parting},
    writing::{self, Ended, Work, WriteError, Written},
};
use crate::{
    disk::target::Target,
    transfer::{
        note::{Abort, Confirm, Data, Manifest, Note},
        seal::{Opened, Opener, Sealer},
    },
};

/// Content after which a confirmation is due at the latest, in bytes.
const CONFIRM_EVERY: u64 = 64 << 10;
/// What may be queued, in bytes: the 8 MiB that a sender may have unconfirmed, and what sealing adds.
const MOST_QUEUED: u64 = 9 << 20;

/// A receiver's side of one attempt.
pub(super) struct Receiving<'a> {
    line: &'a mut Line,
    sealer: &'a mut Sealer,
    opener: &'a mut Opener,
    /// ENTRY and DATA messages that have come.
    records: u64,
    /// Bytes of messages that have come.
    taken: u64,
    confirmed: Confirm,
}

impl<'a> Receiving<'a> {
    /// With the keys of this attempt.
    pub(super) fn new(line: &'a mut Line, (sealer, opener): &'a mut (Sealer, Opener)) -> Self {
        Self {
            line,
            sealer,
            opener,
            records: 0,
            taken: 0,
            confirmed: Confirm {
                records: 0,
                bytes: 0,
            },
        }
    }

    /// Until everything is there; `first` is the sender's manifest, still sealed.
    pub(super) async fn run(
        &mut self,
        first: Bytes,
        home: &mut Home,
        tell: &Tell,
    ) -> Result<Received, Parting> {
        let end = self.attempt(first, home, tell).await;
        if let Err(parting) = &end
            && let Some(reason) = parting.reason()
        {
            self.say(&Note::Abort(Abort { reason }))?;
        }
        end
    }

    async fn attempt(
        &mut self,
        first: Bytes,
        home: &mut Home,
        tell: &Tell,
    ) -> Result<Received, Parting> {
        let Note::Manifest(manifest) = pairing::note(self.opener, first)? else {
            return Err(Parting::Misbehaved("no MANIFEST first"));
        };
        self.sealer.bind(manifest.transfer);
        self.opener.bind(manifest.transfer);
        let target = match home.enter(&manifest).await {
            Ok(target) => target,
            Err(error) => return Err(self.failed(error)),
        };
        self.say(&Note::Start(target.start()))?;
        self.confirmed.bytes = target.bytes();
        tell(Event::Begun {
            name: pairing::said(&manifest.name),
            size: manifest.size,
            from: target.bytes(),
            version: 2,
        });
        let meter = Meter::new(tell, manifest.size);
        self.write(&manifest, target, home, meter).await
    }

    /// Has everything written that comes, and takes the target back into `home` when that is over.
    async fn write(
        &mut self,
        manifest: &Manifest,
        target: Target,
        home: &mut Home,
        meter: Meter,
    ) -> Result<Received, Parting> {
        let (queue, written, mut writer) = writing::start(target);
        let end = self.pump(queue, written, &mut writer, meter).await;
        // The queue is dropped, so that the thread comes to its end, if the attempt has.
        let (ended, parting) = match end {
            Ok(ended) => (ended, None),
            Err(parting) => (writer.await, Some(parting)),
        };
        let Ended { target, end } = ended.map_err(|_| Fault::failed())?;
        home.leave(manifest, target);
        match (end, parting) {
            // It may have failed as the line was lost: a disk says so once, and nobody goes on as if it had not.
            (Err(error), _) => Err(self.failed(error)),
            // It may have become whole while the line was lost: the next attempt says so.
            (Ok(()), Some(parting)) => Err(parting),
            (Ok(()), None) => {
                let received = home.received().ok_or_else(Fault::failed)?;
                self.say(&Note::Delivered)?;
                Ok(received)
            }
        }
    }

    async fn pump(
        &mut self,
        queue: writing::Queue,
        mut written: watch::Receiver<Written>,
        writer: &mut JoinHandle<Ended>,
        mut meter: Meter,
    ) -> Result<Result<Ended, JoinError>, Parting> {
        loop {
            let now = *written.borrow_and_update();
            let due = self.is_due(now);
            tokio::select! {
                biased;
                // First, as what comes for a thread that has ended is for nobody.
                ended = &mut *writer => return Ok(ended),
                turn = self.line.turn(due) => match turn? {
                    Turn::Heard(heard) => self.take(heard, &queue, now)?,
                    Turn::Room => {
                        self.confirmed = now.confirm;
                        self.say(&Note::Confirm(now.confirm))?;
                        let slow = match self.taken - now.taken > CONFIRM_EVERY {
                            true => Slow::Here,
                            false => Slow::Line,
                        };
                        meter.moved(now.confirm.bytes, slow);
                    }
                },
                Ok(()) = written.changed() => {}
            }
        }
    }

    fn is_due(&self, written: Written) -> bool {
        let new = written.confirm.bytes - self.confirmed.bytes;
        let all = written.confirm.records == self.records;
        written.confirm.records > self.confirmed.records && (all || new >= CONFIRM_EVERY)
    }

    fn take(
        &mut self,
        heard: Heard,
        queue: &writing::Queue,
        written: Written,
    ) -> Result<(), Parting> {
        let Heard::Binary(message) = heard else {
            return Err(Parting::Misbehaved("a text within version 2"));
        };
        let mut message = pairing::own(message)?;
        let length = message.len() as u64;
        let work = match self.opener.open(&mut message)? {
            Opened::Note(Note::Entry(header), json) => Work::Entry(header, json.to_vec()),
            Opened::Note(Note::End(end), _) => Work::End(end),
            Opened::Note(Note::Abort(Abort { reason }), _) => return Err(Parting::Aborted(reason)),
            Opened::Note(..) => return Err(Parting::Misbehaved("a note that is not due")),
            Opened::Data(data, record) => {
                let end = Data::HEAD + record.len();
                message.truncate(end);
                Work::Data(data, message)
            }
        };
        if !matches!(work, Work::End(_)) {
            self.records += 1;
        }
        self.taken += length;
        match queue.try_send((length, work)) {
            // The disk has failed, which the other side is told in a moment.
            Err(TrySendError::Closed(_)) => Ok(()),
            Ok(()) if self.taken - written.taken <= MOST_QUEUED => Ok(()),
            _ => Err(Parting::Misbehaved("more than may be on its way")),
        }
    }

    /// Tells the other side that this side's disk has failed.
    fn failed(&mut self, error: WriteError) -> Parting {
        let reason = error.reason();
        // The line may be lost with it, which is no news any more.
        drop(self.say(&Note::Abort(Abort { reason })));
        error.fault().into()
    }

    fn say(&mut self, note: &Note) -> Result<(), Parting> {
        let message = self.sealer.note(note);
        Ok(self.line.say(Bytes::from(message))?)
    }
}
