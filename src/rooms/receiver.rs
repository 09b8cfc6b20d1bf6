//! A receiver's part in its room: its place in the queue, and then its half of a pair.

use std::{sync::Arc, time::Instant};

use relay_wire::{
    code::RoomCode,
    reply::{PeerId, Reply},
};

use super::{
    assembly::Assembly,
    effect::{Departure, Effect, Passed, SessionId, Visit},
    outcome::Outcome,
};
use crate::flow::{
    credit::{Full, Pool},
    data::{Data, Delivery, Fragment},
    ledger::Dropped,
};

/// A receiver, paired or queued.
#[derive(Debug)]
pub struct Receiver {
    pub(super) id: SessionId,
    pub(super) peer: PeerId,
    /// What its messages are charged to until they are whole, and taken.
    buffers: Arc<Pool>,
    /// When it joined.
    since: Instant,
    /// What it sent before its turn; its window bounds it.
    pub(super) held: Vec<Data>,
    /// Whether it wants to hear of its place in the queue, and the last it has heard of.
    wants_place: bool,
    told_place: Option<usize>,
    /// Whether it is told the code that it has joined by.
    pub(super) told_code: bool,
}

impl Receiver {
    /// A session that joins at `now`, under this name for its sender. What is held of its long
    /// messages is charged to `buffers`.
    pub fn new(id: SessionId, peer: PeerId, buffers: Arc<Pool>, now: Instant) -> Self {
        Self {
            id,
            peer,
            buffers,
            since: now,
            held: Vec::new(),
            wants_place: false,
            told_place: None,
            told_code: true,
        }
    }

    /// The same, where it wants to hear of its place in the queue.
    pub fn with_queue_updates(mut self, wanted: bool) -> Self {
        self.wants_place = wanted;
        self
    }

    /// The same, where its client is elsewhere and is told the code there: on the way between the two it could be
    /// read.
    pub fn without_code(mut self) -> Self {
        self.told_code = false;
        self
    }

    /// What it is told of its place, if that is new to it; 0 is the place of who is paired.
    pub(super) fn tell_place(&mut self, place: usize) -> Option<Effect> {
        let news = self.wants_place && self.told_place.replace(place) != Some(place);
        let queued = Reply::Queued { position: place };
        news.then_some(Effect::Reply(self.id, queued))
    }

    /// Leaves the queue.
    pub(super) fn leave(self, code: RoomCode, departure: Departure) -> Effect {
        drop_held(self.held);
        Effect::Left(Visit {
            code,
            receiver: self.id,
            peer: self.peer,
            since: self.since,
            outcome: None,
            passed: Passed::default(),
            departure,
        })
    }

    /// Its turn has come, in the middle of a message of its sender's or not; what it has sent before
    /// comes along.
    pub(super) fn pair(self, skipping: bool) -> (Pair, Vec<Data>) {
        let pair = Pair {
            receiver: self.id,
            peer: self.peer,
            since: self.since,
            passed: Passed::default(),
            skipping,
            buffers: self.buffers,
            assembly: None,
            quiet: 0,
            awaited: false,
        };
        (pair, self.held)
    }
}

/// The receiver that is connected with its sender.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) receiver: SessionId,
    pub(super) peer: PeerId,
    /// When the receiver joined.
    since: Instant,
    pub(super) passed: Passed,
    /// Whether the sender's message in progress began before this receiver came, so that the rest
    /// of it is not for this one either.
    pub(super) skipping: bool,
    buffers: Arc<Pool>,
    /// The receiver's message in progress.
    assembly: Option<Assembly>,
    /// How often it was looked at since it last moved data. Counted, and not timed: the way of a
    /// frame then needs no clock, and a process that was stopped for a while takes it for no silence.
    pub(super) quiet: u32,
    /// Whether the receiver has been told that others wait for its place.
    pub(super) awaited: bool,
}

impl Pair {
    /// Whether the receiver was sent something, and all of it, by a sender that is in a message or not.
    pub(super) fn is_complete(&self, in_message: bool) -> bool {
        self.passed.down > 0 && (self.skipping || !in_message)
    }

    /// The end of the receiver's stay, of which this came.
    pub(super) fn leave(&self, code: RoomCode, departure: Departure, outcome: Outcome) -> Effect {
        Effect::Left(Visit {
            code,
            receiver: self.receiver,
            peer: self.peer,
            since: self.since,
            outcome: Some(outcome),
            passed: self.passed,
            departure,
        })
    }

    /// What of the receiver's goes to the sender now that it has sent this.
    ///
    /// # Errors
    ///
    /// Whose memory for long messages is spent.
    pub(super) fn assemble(&mut self, data: Data) -> Result<Option<Delivery>, Full> {
        let mut fragment: Fragment = match data {
            Data::Messages(chunk) => return Ok(Some(chunk.into())),
            Data::Fragment(whole) if whole.first && whole.fin => {
                return Ok(Some(whole.chunk.into()));
            }
            Data::Fragment(fragment) => fragment,
        };
        let assembly = self
            .assembly
            .get_or_insert_with(|| Assembly::new(&fragment, &self.buffers));
        assembly.add(&mut fragment)?;
        let whole = self.assembly.take_if(|_| fragment.fin);
        Ok(whole.map(|assembly| assembly.finish(fragment.chunk.credit.window())))
    }
}

/// Drops what a receiver has sent, and its sender will not get.
pub(super) fn drop_held(held: impl IntoIterator<Item = Data>) {
    for data in held {
        data.dropped(Dropped::NotPaired);
    }
}
