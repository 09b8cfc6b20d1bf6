//! What each end of a room says it sent and received, and what the two accounts amount to.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hasher},
    iter::Sum,
    ops::AddAssign,
};

use tokio_tungstenite::tungstenite::Message;

use crate::client::End;

/// A message, as far as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest {
    bytes: u64,
    hash: u64,
}

impl Digest {
    /// Of a text or binary message.
    pub fn of(message: &Message) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(message.is_text().into());
        let bytes: &[u8] = match message {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
            _ => &[],
        };
        hasher.write(bytes);
        Self {
            bytes: bytes.len() as u64,
            hash: hasher.finish(),
        }
    }
}

/// One end's account of an exchange with the other.
#[derive(Debug, Default)]
pub struct Account {
    /// Every message begun, in order.
    pub sent: Vec<Digest>,
    /// How many of them the socket took to the last byte.
    pub whole: usize,
    /// Every message received, in order.
    pub received: Vec<Digest>,
}

/// A sender's account of one of its receivers.
#[derive(Debug)]
pub struct Segment {
    /// The relay's name for that receiver.
    pub peer: String,
    /// Its own number, once a message of it has come.
    pub from: Option<usize>,
    /// What passed between them.
    pub account: Account,
    /// Whether the relay said that it was gone.
    pub over: bool,
}

/// A receiver's account.
#[derive(Debug, Default)]
pub struct Visit {
    /// The relay's name for it, once its sender has told.
    pub peer: Option<String>,
    /// How many messages its sender means to send.
    pub announced: usize,
    /// What passed between them.
    pub account: Account,
    /// How it came to an end; `None` if it was never let in.
    pub end: Option<End>,
}

/// All that happened in a room.
#[derive(Debug)]
pub struct RoomAccount {
    /// Whom the sender served.
    pub segments: Vec<Segment>,
    /// How the sender came to an end.
    pub end: End,
    /// Who joined, by number.
    pub visits: Vec<Visit>,
}

/// Sums over rooms.
#[derive(Debug, Default)]
pub struct Totals {
    pub rooms: u64,
    pub sessions: u64,
    /// Receivers that were served.
    pub pairs: u64,
    pub messages: u64,
    pub bytes: u64,
    /// Bytes whose delivery was promised, and that did not come.
    pub lost: u64,
    /// Ends, by what they were.
    pub ends: BTreeMap<&'static str, u64>,
    /// What must not happen: bytes that are not what was sent, and ends nobody chose.
    pub wrong: BTreeMap<String, u64>,
}

impl RoomAccount {
    /// Holds the two ends against each other.
    pub fn judge(&self) -> Totals {
        let mut totals = Totals {
            rooms: 1,
            sessions: 1 + self.visits.len() as u64,
            ..Totals::default()
        };
        totals.end(&self.end);
        for end in self.visits.iter().filter_map(|visit| visit.end.as_ref()) {
            totals.end(end);
        }
        for segment in &self.segments {
            let visit = self.visits.iter().enumerate().find(|(number, visit)| {
                visit.peer.as_ref() == Some(&segment.peer) || segment.from == Some(*number)
            });
            match visit {
                Some((_, visit)) => self.judge_pair(segment, visit, &mut totals),
                None if segment.account.received.is_empty() => {}
                None => totals.wrong("messages from nobody"),
            }
        }
        let served = |peer: &String| self.segments.iter().any(|segment| segment.peer == *peer);
        for peer in self.visits.iter().filter_map(|visit| visit.peer.as_ref()) {
            if !served(peer) {
                totals.wrong(&format!("messages for {peer}, who is nobody"));
            }
        }
        totals
    }

    fn judge_pair(&self, segment: &Segment, visit: &Visit, totals: &mut Totals) {
        totals.pairs += 1;
        // Everything the sender said is due to a receiver that read on to the end of its stream,
        // whatever that was.
        let read_on = matches!(visit.end, Some(End::SenderLeft | End::Unexpected(_)));
        let down_due = if read_on && self.end.keeps_promises() {
            segment.account.whole
        } else {
            0
        };
        // Everything a receiver said is due to a sender that stayed to hear of its leaving; but
        // one that has heard nothing cannot know that it was ever paired.
        let left_well = visit.end.as_ref().is_some_and(End::keeps_promises);
        let up_due = if segment.over && visit.peer.is_some() && left_well {
            visit.account.whole
        } else {
            0
        };
        let down = format!("to a receiver, after {:?} of its sender", self.end);
        totals.direction(
            &down,
            &segment.account.sent,
            down_due,
            &visit.account.received,
        );
        let up = format!("to a sender, after {:?} of its receiver", visit.end);
        totals.direction(&up, &visit.account.sent, up_due, &segment.account.received);
    }
}

impl Totals {
    /// Ends that no client should make.
    pub fn faults(&self) -> u64 {
        let is_fault =
            |name: &str| !matches!(name, "closed" | "left by their sender" | "unexpected");
        let faults = self.ends.iter().filter(|(name, _)| is_fault(name));
        faults.map(|(_, count)| count).sum()
    }

    /// Notes what must not happen.
    pub fn wrong(&mut self, what: &str) {
        *self.wrong.entry(what.to_owned()).or_default() += 1;
    }

    fn end(&mut self, end: &End) {
        *self.ends.entry(end.name()).or_default() += 1;
        if let End::Unexpected(what) = end {
            self.wrong(what);
        }
    }

    fn direction(&mut self, way: &str, sent: &[Digest], due: usize, received: &[Digest]) {
        let bytes = |digests: &[Digest]| digests.iter().map(|digest| digest.bytes).sum::<u64>();
        self.messages += received.len() as u64;
        self.bytes += bytes(received);
        if !sent.starts_with(received) {
            let at = sent
                .iter()
                .zip(received)
                .take_while(|(s, r)| s == r)
                .count();
            let (sent, received) = (sent.get(at), received.get(at));
            self.wrong(&format!("{sent:?} came as {received:?}"));
        }
        self.lost += bytes(sent.get(received.len()..due).unwrap_or_default());
        if received.len() < due {
            let came = received.len();
            self.wrong(&format!("{came} of {due} messages came {way}"));
        }
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.rooms += other.rooms;
        self.sessions += other.sessions;
        self.pairs += other.pairs;
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.lost += other.lost;
        for (what, count) in other.wrong {
            *self.wrong.entry(what).or_default() += count;
        }
        for (name, count) in other.ends {
            *self.ends.entry(name).or_default() += count;
        }
    }
}

impl Sum for Totals {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, one| {
            sum += one;
            sum
        })
    }
}
