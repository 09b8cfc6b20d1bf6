//! One room: its sender, the receiver paired with it, and the queue; `ends` is how all of them leave, and `away` how the
//! sender comes back.

mod away;
mod ends;

use std::{
    collections::VecDeque,
    mem,
    time::{Duration, Instant},
};

use relay_wire::{code::RoomCode, ending::Ending, reply::Reply};

use super::{
    effect::{Departure, Effect, Joined, Paired, Passed, SessionId},
    receiver::{Pair, Receiver, drop_held},
    sight::Sight,
    terms::Terms,
};
use crate::flow::{
    credit::{Full, Share},
    data::Data,
    ledger::Dropped,
};

/// How many looks in a row find no data of a pair that has moved none for the time it may.
const LOOKS: u32 = 8;

#[derive(Debug)]
enum Stage {
    /// No receiver; `told` once the sender has heard that its data goes nowhere.
    Vacant { told: bool },
    /// A receiver is gone, and what the sender meant for it may still be under way: until its
    /// Pong, and then to the end of the message it is in.
    Clearing { ponged: bool },
    /// Sender and receiver are connected.
    Paired(Pair),
    /// The sender is away, since it left like this, and may come back until then.
    Away { until: Instant, since: Departure },
}

/// What lets a sender take its room up again.
#[derive(Debug, Clone, Copy)]
struct Resumable {
    /// When it was opened, as its token says.
    opened: u64,
    /// How long it waits.
    grace: Duration,
}

#[derive(Debug)]
pub(super) struct Room {
    /// Its sender, or the last that it had.
    sender: SessionId,
    /// Whether its sender may come back.
    resumable: Option<Resumable>,
    /// When its sender is to come back once the relay stops, if it is.
    reconnect_in: Option<Duration>,
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
    /// What passed between the sender and those receivers that have left.
    passed: Passed,
    /// What had passed up before this sender came.
    passed_up_before: u64,
    _slot: Share,
}

impl Room {
    pub(super) fn new(
        sender: SessionId,
        opened: Instant,
        terms: &Terms,
        number: u64,
        slot: Share,
    ) -> Self {
        let resumable = terms.ticket.as_ref().map(|ticket| Resumable {
            opened: ticket.opened,
            grace: ticket.grace,
        });
        Self {
            sender,
            resumable,
            reconnect_in: None,
            due: opened + terms.life,
            look: (opened, number),
            pair_look: opened,
            stage: Stage::Vacant { told: false },
            in_message: false,
            queue: VecDeque::new(),
            ending: None,
            opened,
            receivers: 0,
            passed: Passed::default(),
            passed_up_before: 0,
            _slot: slot,
        }
    }

    /// Its place in the order of looks.
    pub(super) fn look(&self) -> (Instant, u64) {
        self.look
    }

    /// Says when it is looked at next: at the end of its time, when it has waited for its sender, or to see whether
    /// a pair that may be quiet for so long has moved data.
    pub(super) fn look_again(&mut self, now: Instant, pair_idle: Duration) -> (Instant, u64) {
        if self.pair_look <= now {
            let step = pair_idle / LOOKS;
            // From one look to the next, so that late ones do not add up; but not to catch up.
            let next = Some(self.pair_look + step).filter(|&next| next > now);
            self.pair_look = next.unwrap_or(now + step);
        }
        let due = Some(self.due).filter(|_| self.is_open());
        let away_until = match self.stage {
            Stage::Away { until, .. } => Some(until),
            _ => None,
        };
        let all = [due, away_until, Some(self.pair_look)];
        self.look.0 = all.into_iter().flatten().min().unwrap_or(self.pair_look);
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

    /// How it looks from outside.
    pub(super) fn sight(&self, code: RoomCode) -> Sight {
        let pair = match &self.stage {
            Stage::Paired(pair) => Some(pair),
            _ => None,
        };
        let passed_now = pair.map(|pair| pair.passed).unwrap_or_default();
        let mut passed = self.passed;
        passed += passed_now;
        Sight {
            code,
            opened: self.opened,
            is_open: self.is_open(),
            sender: (!self.is_away()).then_some(self.sender),
            receiver: pair.map(|pair| pair.receiver),
            waiting: self.queue.len(),
            receivers: self.receivers,
            passed,
            passed_now,
        }
    }

    /// Its sender, if that is paired with this receiver.
    pub(super) fn sender_of(&self, receiver: SessionId) -> Option<SessionId> {
        let paired = matches!(&self.stage, Stage::Paired(pair) if pair.receiver == receiver);
        paired.then_some(self.sender)
    }

    /// The room's end, if nothing keeps it open.
    pub(super) fn is_over(&self) -> Option<Ending> {
        match self.stage {
            Stage::Paired(_) => None,
            _ => self.ending,
        }
    }

    /// Takes a receiver into the queue.
    pub(super) fn admit(&mut self, code: RoomCode, receiver: Receiver) -> Effect {
        let (id, peer) = (receiver.id, receiver.peer);
        self.queue.push_back(receiver);
        Effect::Joined(Joined {
            code,
            receiver: id,
            peer,
            place: if self.must_wait() {
                self.queue.len()
            } else {
                0
            },
        })
    }

    /// Pairs the first in the queue, if nobody is.
    ///
    /// # Errors
    ///
    /// A receiver whose held data is too much, and for whom.
    pub(super) fn pair_next(
        &mut self,
        code: RoomCode,
        effects: &mut Vec<Effect>,
    ) -> Result<(), (SessionId, Full)> {
        if self.must_wait() {
            return Ok(());
        }
        let Some(mut receiver) = self.queue.pop_front() else {
            return Ok(());
        };
        effects.extend(receiver.tell_place(0));
        let (pair, held) = receiver.pair(self.in_message);
        let (receiver, peer) = (pair.receiver, pair.peer);
        self.stage = Stage::Paired(pair);
        self.receivers += 1;
        let joined = Reply::PeerJoined { peer_id: peer };
        let paired = Paired {
            code,
            receiver,
            peer,
        };
        effects.extend([Effect::Paired(paired), Effect::Reply(self.sender, joined)]);
        let mut held = held.into_iter();
        while let Some(data) = held.next() {
            if let Err(full) = self.receiver_sent(receiver, data, effects) {
                drop_held(held);
                return Err((receiver, full));
            }
        }
        Ok(())
    }

    /// Tells those who want to know of their places in the queue, and the receiver that is paired
    /// whether there is one.
    pub(super) fn tell_of_the_queue(&mut self, effects: &mut Vec<Effect>) {
        for (receiver, place) in self.queue.iter_mut().zip(1..) {
            effects.extend(receiver.tell_place(place));
        }
        let others = !self.queue.is_empty();
        if let Stage::Paired(pair) = &mut self.stage
            && mem::replace(&mut pair.awaited, others) != others
        {
            effects.push(Effect::Awaited(pair.receiver, others));
        }
    }

    /// What the sender sent goes to its receiver as it comes, or nowhere.
    pub(super) fn sender_sent(&mut self, data: Data, effects: &mut Vec<Effect>) {
        let (mut chunk, begins, ends) = match data {
            Data::Messages(chunk) => (chunk, true, true),
            Data::Fragment(part) => (part.chunk, part.first, part.fin),
        };
        self.in_message = !ends;
        match &mut self.stage {
            Stage::Paired(pair) => {
                pair.quiet = 0;
                pair.skipping &= !begins;
                if pair.skipping {
                    chunk.credit.dropped(Dropped::TailOfMessage);
                } else {
                    let payload = chunk.credit.payload() as u64;
                    if pair.passed.down == 0 && payload > 0 {
                        effects.push(Effect::Begun(pair.receiver));
                    }
                    pair.passed.down += payload;
                    effects.push(Effect::Deliver(pair.receiver, chunk.into()));
                }
            }
            Stage::Clearing { .. } => {
                chunk.credit.dropped(Dropped::ReceiverGone);
                self.clear();
            }
            // It is no member any more.
            Stage::Away { .. } => chunk.credit.dropped(Dropped::RoomGone),
            Stage::Vacant { told } => {
                chunk.credit.dropped(Dropped::NoPeer);
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
                if let Some(delivery) = pair.assemble(data)? {
                    pair.passed.up += delivery.payload() as u64;
                    effects.push(Effect::Deliver(sender, delivery));
                }
            }
            _ => match self.queue.iter_mut().find(|receiver| receiver.id == from) {
                Some(receiver) => receiver.held.push(data),
                // A member that is neither paired nor queued: there is none.
                None => data.dropped(Dropped::RoomGone),
            },
        }
        Ok(())
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
}
