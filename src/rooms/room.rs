//! One room: its sender, the receiver paired with it, and the queue.

use std::{
    collections::VecDeque,
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use relay_wire::{
    code::RoomCode,
    ending::Ending,
    reply::{PeerId, Reply},
};

use super::{
    assembly::Assembly,
    effect::{Dropped, Effect, SessionId, Summary},
};
use crate::flow::{
    credit::{Full, Pool, Share},
    data::{Data, Delivery, Fragment},
};

/// How many looks in a row find no data of a pair that has moved none for the time it may.
const LOOKS: u32 = 8;

/// A receiver, paired or queued.
#[derive(Debug)]
pub(super) struct Receiver {
    id: SessionId,
    peer: PeerId,
    /// What its messages are charged to until they are whole, and taken.
    buffers: Arc<Pool>,
    /// What it sent before its turn; its window bounds it.
    held: Vec<Data>,
}

impl Receiver {
    pub(super) fn new(id: SessionId, peer: PeerId, buffers: Arc<Pool>) -> Self {
        Self {
            id,
            peer,
            buffers,
            held: Vec::new(),
        }
    }
}

#[derive(Debug)]
struct Pair {
    receiver: SessionId,
    peer: PeerId,
    /// Whether the sender's message in progress began before this receiver came, so that the rest
    /// of it is not for this one either.
    skipping: bool,
    buffers: Arc<Pool>,
    /// The receiver's message in progress.
    assembly: Option<Assembly>,
    /// How often it was looked at since it last moved data. Counted, and not timed: the way of a
    /// frame then needs no clock, and a process that was stopped for a while takes it for no silence.
    quiet: u32,
}

#[derive(Debug)]
enum Stage {
    /// No receiver; `told` once the sender has heard that its data goes nowhere.
    Vacant { told: bool },
    /// A receiver is gone, and what the sender meant for it may still be under way: until its
    /// Pong, and then to the end of the message it is in.
    Clearing { ponged: bool },
    /// Sender and receiver are connected.
    Paired(Pair),
}

#[derive(Debug)]
pub(super) struct Room {
    sender: SessionId,
    /// When its time is up.
    due: Instant,
    /// Its place in the order of looks.
    look: (Instant, u64),
    /// When it is seen next whether its pair has moved data.
    pair_look: Instant,
    stage: Stage,
    /// Whether the sender has begun a message and not ended it.
    in_message: bool,
    queue: VecDeque<Receiver>,
    /// Set when the room only waits for its pair to finish.
    ending: Option<Ending>,
    opened: Instant,
    receivers: u64,
    to_receivers: u64,
    to_sender: u64,
    _slot: Share,
}

impl Room {
    pub(super) fn new(
        sender: SessionId,
        opened: Instant,
        due: Instant,
        number: u64,
        slot: Share,
    ) -> Self {
        Self {
            sender,
            due,
            look: (opened, number),
            pair_look: opened,
            stage: Stage::Vacant { told: false },
            in_message: false,
            queue: VecDeque::new(),
            ending: None,
            opened,
            receivers: 0,
            to_receivers: 0,
            to_sender: 0,
            _slot: slot,
        }
    }

    /// Its place in the order of looks.
    pub(super) fn look(&self) -> (Instant, u64) {
        self.look
    }

    /// Says when it is looked at next: at the end of its time, or to see whether a pair that may be
    /// quiet for so long has moved data.
    pub(super) fn look_again(&mut self, now: Instant, pair_idle: Duration) -> (Instant, u64) {
        if self.pair_look <= now {
            let step = pair_idle / LOOKS;
            // From one look to the next, so that late ones do not add up; but not to catch up.
            let next = Some(self.pair_look + step).filter(|&next| next > now);
            self.pair_look = next.unwrap_or(now + step);
        }
        let due = Some(self.due).filter(|_| self.is_open());
        self.look.0 = due.map_or(self.pair_look, |due| due.min(self.pair_look));
        self.look
    }

    /// Whether its time is up, and it does not know yet.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.is_open() && self.due <= now
    }

    /// Sees, if it is time for that, whether the pair has moved data since the last time; its
    /// receiver, if it has moved none for as long as it may. A look at the end of the room's time
    /// alone does not count.
    pub(super) fn quiet_receiver(&mut self, now: Instant) -> Option<SessionId> {
        let Stage::Paired(pair) = &mut self.stage else {
            return None;
        };
        if self.pair_look > now {
            return None;
        }
        pair.quiet += 1;
        (pair.quiet > LOOKS).then_some(pair.receiver)
    }

    pub(super) fn is_open(&self) -> bool {
        self.ending.is_none()
    }

    /// Whether a receiver that comes now is not paired at once.
    pub(super) fn must_wait(&self) -> bool {
        !matches!(self.stage, Stage::Vacant { .. })
    }

    pub(super) fn queue_len(&self) -> usize {
        self.queue.len()
    }

    /// The room's end, if nothing keeps it open.
    pub(super) fn is_over(&self) -> Option<Ending> {
        match self.stage {
            Stage::Paired(_) => None,
            _ => self.ending,
        }
    }

    pub(super) fn admit(&mut self, receiver: Receiver) {
        self.queue.push_back(receiver);
    }

    /// Pairs the first in the queue, if nobody is.
    ///
    /// # Errors
    ///
    /// A receiver whose held data is too much, and for whom.
    pub(super) fn pair_next(&mut self, effects: &mut Vec<Effect>) -> Result<(), (SessionId, Full)> {
        if self.must_wait() {
            return Ok(());
        }
        let Some(receiver) = self.queue.pop_front() else {
            return Ok(());
        };
        self.stage = Stage::Paired(Pair {
            receiver: receiver.id,
            peer: receiver.peer,
            skipping: self.in_message,
            buffers: receiver.buffers,
            assembly: None,
            quiet: 0,
        });
        self.receivers += 1;
        let peer_id = receiver.peer;
        effects.push(Effect::Reply(self.sender, Reply::PeerJoined { peer_id }));
        for data in receiver.held {
            self.receiver_sent(receiver.id, data, effects)
                .map_err(|full| (receiver.id, full))?;
        }
        Ok(())
    }

    /// What the sender sent goes to its receiver as it comes, or nowhere.
    pub(super) fn sender_sent(&mut self, data: Data, effects: &mut Vec<Effect>) {
        let (chunk, begins, ends) = match data {
            Data::Messages(chunk) => (chunk, true, true),
            Data::Fragment(part) => (part.chunk, part.first, part.fin),
        };
        let bytes = chunk.bytes.len();
        self.in_message = !ends;
        match &mut self.stage {
            Stage::Paired(pair) => {
                pair.quiet = 0;
                pair.skipping &= !begins;
                if pair.skipping {
                    effects.push(Effect::Dropped(Dropped::TailOfMessage, bytes));
                } else {
                    self.to_receivers += bytes as u64;
                    effects.push(Effect::Deliver(pair.receiver, chunk.into()));
                }
            }
            Stage::Clearing { .. } => {
                effects.push(Effect::Dropped(Dropped::ReceiverGone, bytes));
                self.clear();
            }
            Stage::Vacant { told } => {
                effects.push(Effect::Dropped(Dropped::NoPeer, bytes));
                if !mem::replace(told, true) {
                    effects.push(Effect::Reply(self.sender, Ending::NoPeer.into()));
                }
            }
        }
    }

    /// What a receiver sent goes to the sender in whole messages, once it is paired.
    ///
    /// # Errors
    ///
    /// Whose memory for long messages is spent.
    pub(super) fn receiver_sent(
        &mut self,
        from: SessionId,
        data: Data,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Full> {
        match &mut self.stage {
            Stage::Paired(pair) if pair.receiver == from => {
                pair.quiet = 0;
                let sender = self.sender;
                let to_sender = &mut self.to_sender;
                pair.assemble(data, |delivery| {
                    *to_sender += delivery.size() as u64;
                    effects.push(Effect::Deliver(sender, delivery));
                })
            }
            _ => {
                if let Some(receiver) = self.queue.iter_mut().find(|receiver| receiver.id == from) {
                    receiver.held.push(data);
                }
                Ok(())
            }
        }
    }

    /// A receiver is gone, whether it was paired or queued.
    pub(super) fn lose(&mut self, receiver: SessionId, effects: &mut Vec<Effect>) {
        match &self.stage {
            Stage::Paired(pair) if pair.receiver == receiver => {
                let peer_id = pair.peer;
                let gone = Reply::PeerDisconnected { peer_id };
                effects.push(Effect::Reply(self.sender, gone));
                if self.is_open() {
                    effects.push(Effect::Ping(self.sender));
                }
                self.stage = Stage::Clearing { ponged: false };
            }
            _ => self.queue.retain(|queued| queued.id != receiver),
        }
    }

    /// The sender has heard that its last receiver is gone.
    pub(super) fn ponged(&mut self) {
        if let Stage::Clearing { ponged } = &mut self.stage {
            *ponged = true;
        }
        self.clear();
    }

    /// Makes way for the next receiver, if nothing of what was for the last can come any more.
    fn clear(&mut self) {
        if matches!(self.stage, Stage::Clearing { ponged: true }) && !self.in_message {
            self.stage = Stage::Vacant { told: false };
        }
    }

    /// Lets nobody in any more, and sends the queue away; returns who that was.
    pub(super) fn end(&mut self, ending: Ending, effects: &mut Vec<Effect>) -> Vec<SessionId> {
        self.ending.get_or_insert(ending);
        self.dismiss_queue(ending, effects)
    }

    fn dismiss_queue(&mut self, ending: Ending, effects: &mut Vec<Effect>) -> Vec<SessionId> {
        let queue = mem::take(&mut self.queue);
        let ids = queue.into_iter().map(|receiver| receiver.id);
        ids.inspect(|&id| dismiss(id, ending, effects)).collect()
    }

    /// Sends everybody away; returns who that was.
    pub(super) fn close(
        mut self,
        code: RoomCode,
        ending: Ending,
        effects: &mut Vec<Effect>,
    ) -> Vec<SessionId> {
        let mut members = self.dismiss_queue(ending, effects);
        if let Stage::Paired(pair) = &self.stage {
            // Its stream is the sender's: it is told by the close alone.
            let close = match ending {
                Ending::RoomExpired => Ending::SenderDisconnected,
                other => other,
            };
            effects.push(Effect::Close(pair.receiver, close));
            members.push(pair.receiver);
        }
        if ending != Ending::SenderDisconnected {
            dismiss(self.sender, ending, effects);
            members.push(self.sender);
        }
        effects.push(Effect::Closed(Summary {
            code,
            opened: self.opened,
            ending,
            receivers: self.receivers,
            to_receivers: self.to_receivers,
            to_sender: self.to_sender,
        }));
        members
    }
}

/// Tells a session of the room's end, and closes it.
fn dismiss(session: SessionId, ending: Ending, effects: &mut Vec<Effect>) {
    effects.push(Effect::Reply(session, ending.into()));
    effects.push(Effect::Close(session, ending));
}

impl Pair {
    fn assemble(&mut self, data: Data, mut deliver: impl FnMut(Delivery)) -> Result<(), Full> {
        let fragment: Fragment = match data {
            Data::Messages(chunk) => {
                deliver(chunk.into());
                return Ok(());
            }
            Data::Fragment(whole) if whole.first && whole.fin => {
                deliver(whole.chunk.into());
                return Ok(());
            }
            Data::Fragment(fragment) => fragment,
        };
        let assembly = self
            .assembly
            .get_or_insert_with(|| Assembly::new(&fragment, &self.buffers));
        assembly.add(&fragment)?;
        if fragment.fin
            && let Some(assembly) = self.assembly.take()
        {
            deliver(assembly.finish(fragment.chunk.credit.window()));
        }
        Ok(())
    }
}
