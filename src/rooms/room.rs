//! One room: its sender, the receiver paired with it, and the queue.

use std::{collections::VecDeque, fmt, mem, sync::Arc, time::Instant};

use super::{
    Dropped, Effect, RoomCode, SessionId,
    assembly::{Assembly, OutOfBuffers},
};
use crate::{
    protocol::{Close, PeerId, Reason, Reply},
    transport::{
        credit::{Credit, Window},
        data::{Chunk, Data, Fragment},
    },
};

/// Why a room ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Its sender has left.
    SenderLeft,
    /// Its time is up.
    Expired,
    /// The relay stops.
    Shutdown,
}

impl Ending {
    fn reason(self) -> Reason {
        match self {
            Self::SenderLeft => Reason::SenderDisconnected,
            Self::Expired => Reason::RoomExpired,
            Self::Shutdown => Reason::ServerShutdown,
        }
    }
}

/// A room's life, for the log.
#[derive(Debug)]
pub struct Summary {
    /// Which room.
    pub code: RoomCode,
    /// When it was opened.
    pub opened: Instant,
    /// Why it closed.
    pub ending: Ending,
    /// Receivers that were paired.
    pub receivers: u64,
    /// Bytes forwarded to receivers, frame headers included.
    pub to_receivers: u64,
    /// Bytes forwarded to the sender, frame headers included.
    pub to_sender: u64,
}

impl Summary {
    /// The log line, for a room that closes at `now`.
    pub fn at(&self, now: Instant) -> impl fmt::Display {
        let age = now.duration_since(self.opened).as_secs();
        format!(
            "room {} closed: {} after {age} s, {} receivers, {} bytes to them, {} bytes back",
            self.code,
            self.ending.reason().name(),
            self.receivers,
            self.to_receivers,
            self.to_sender,
        )
    }
}

/// A receiver, paired or queued.
#[derive(Debug)]
pub(super) struct Guest {
    id: SessionId,
    peer: PeerId,
    /// What it sent before its turn; its window bounds it.
    held: Vec<Data>,
}

impl Guest {
    pub(super) fn new(id: SessionId, peer: PeerId) -> Self {
        Self {
            id,
            peer,
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
    /// The receiver's message in progress.
    assembly: Option<Assembly>,
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
    due: (Instant, u64),
    stage: Stage,
    /// Whether the sender has begun a message and not ended it.
    in_message: bool,
    queue: VecDeque<Guest>,
    /// Set when the room only waits for its pair to finish.
    ending: Option<Ending>,
    opened: Instant,
    receivers: u64,
    to_receivers: u64,
    to_sender: u64,
    _slot: Credit,
}

impl Room {
    pub(super) fn new(
        sender: SessionId,
        opened: Instant,
        due: (Instant, u64),
        slot: Credit,
    ) -> Self {
        Self {
            sender,
            due,
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

    /// Its place in the order of expiry.
    pub(super) fn due(&self) -> (Instant, u64) {
        self.due
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

    pub(super) fn admit(&mut self, guest: Guest) {
        self.queue.push_back(guest);
    }

    /// Pairs the first in the queue, if nobody is; fails for one whose held data is too much.
    pub(super) fn pair_next(
        &mut self,
        buffers: &Arc<Window>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), SessionId> {
        if self.must_wait() {
            return Ok(());
        }
        let Some(guest) = self.queue.pop_front() else {
            return Ok(());
        };
        self.stage = Stage::Paired(Pair {
            receiver: guest.id,
            peer: guest.peer,
            skipping: self.in_message,
            assembly: None,
        });
        self.receivers += 1;
        let peer_id = guest.peer;
        effects.push(Effect::Tell(self.sender, Reply::PeerJoined { peer_id }));
        for data in guest.held {
            self.receiver_sent(guest.id, data, buffers, effects)
                .map_err(|OutOfBuffers| guest.id)?;
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
                pair.skipping &= !begins;
                if pair.skipping {
                    effects.push(Effect::Dropped(Dropped::TailOfMessage, bytes));
                } else {
                    self.to_receivers += bytes as u64;
                    effects.push(Effect::Deliver(pair.receiver, chunk));
                }
            }
            Stage::Clearing { .. } => {
                effects.push(Effect::Dropped(Dropped::ReceiverGone, bytes));
                self.clear();
            }
            Stage::Vacant { told } => {
                effects.push(Effect::Dropped(Dropped::NoPeer, bytes));
                if !mem::replace(told, true) {
                    effects.push(Effect::Tell(self.sender, Reason::NoPeer.into()));
                }
            }
        }
    }

    /// What a receiver sent goes to the sender in whole messages, once it is paired.
    pub(super) fn receiver_sent(
        &mut self,
        from: SessionId,
        data: Data,
        buffers: &Arc<Window>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), OutOfBuffers> {
        match &mut self.stage {
            Stage::Paired(pair) if pair.receiver == from => {
                let sender = self.sender;
                let to_sender = &mut self.to_sender;
                pair.assemble(data, buffers, |chunk| {
                    *to_sender += chunk.bytes.len() as u64;
                    effects.push(Effect::Deliver(sender, chunk));
                })
            }
            _ => {
                if let Some(guest) = self.queue.iter_mut().find(|guest| guest.id == from) {
                    guest.held.push(data);
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
                effects.push(Effect::Tell(self.sender, gone));
                if self.is_open() {
                    effects.push(Effect::Ping(self.sender));
                }
                self.stage = Stage::Clearing { ponged: false };
            }
            _ => self.queue.retain(|guest| guest.id != receiver),
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
        let ids = queue.into_iter().map(|guest| guest.id);
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
                Ending::Shutdown => Close::SERVER_SHUTDOWN,
                Ending::SenderLeft | Ending::Expired => Close::SENDER_DISCONNECTED,
            };
            effects.push(Effect::Close(pair.receiver, close));
            members.push(pair.receiver);
        }
        if ending != Ending::SenderLeft {
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
    let reason = ending.reason();
    effects.push(Effect::Tell(session, reason.into()));
    effects.extend(reason.close().map(|close| Effect::Close(session, close)));
}

impl Pair {
    fn assemble(
        &mut self,
        data: Data,
        buffers: &Arc<Window>,
        mut deliver: impl FnMut(Chunk),
    ) -> Result<(), OutOfBuffers> {
        let fragment: Fragment = match data {
            Data::Messages(chunk) => {
                deliver(chunk);
                return Ok(());
            }
            Data::Fragment(whole) if whole.first && whole.fin => {
                deliver(whole.chunk);
                return Ok(());
            }
            Data::Fragment(fragment) => fragment,
        };
        let assembly = self
            .assembly
            .get_or_insert_with(|| Assembly::new(&fragment, buffers));
        assembly.add(&fragment)?;
        if fragment.fin
            && let Some(assembly) = self.assembly.take()
        {
            assembly
                .finish(fragment.chunk.credit.window())
                .for_each(deliver);
        }
        Ok(())
    }
}
