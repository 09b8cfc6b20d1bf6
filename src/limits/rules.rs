//! What the operator has decided of addresses: who is blocked, for how long, and who is read only so fast.
//!
//! The rules are asked for each handshake and each session that begins, and never for a frame. Two clocks
//! are passed in: a block ends by the calendar, as it outlives the process, and a pace counts from a moment
//! of the process. Writing them down is for others, and so is telling other relays; what those have decided
//! is merged here.

mod latest;

use std::{
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Instant,
};

use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use self::latest::{Decision, Latest, MOST};
use super::{address::AddressKey, network::Network};
use crate::flow::pace::SharedPace;

/// When a block ends that was ended: before anybody's now, whatever clocks say.
const ENDED: Timestamp = Timestamp::UNIX_EPOCH;
/// Decisions that are told at once: some tens of kilobytes.
const TOLD: usize = 250;

/// A network whose clients may not use the relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Which.
    pub network: Network,
    /// When that ends, if ever: 1970 where the operator has ended it.
    pub until: Option<Timestamp>,
    /// When it was decided, or that it ends; of what was written down before there were several relays,
    /// nobody knows.
    #[serde(default)]
    pub decided: Timestamp,
}

/// A network whose sessions are read only so fast, together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Which.
    pub network: Network,
    /// Bytes a second: 0 where the operator has ended it.
    pub bytes_per_sec: u64,
    /// When it was decided, or that it ends.
    #[serde(default)]
    pub decided: Timestamp,
}

/// What is decided, as it is shown, kept and told.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Decided {
    /// Who is blocked.
    pub blocks: Vec<Block>,
    /// Who is limited.
    pub limits: Vec<Limit>,
}

/// What holds for one client.
#[derive(Debug, Clone)]
pub enum Rule {
    /// It may not use the relay.
    Blocked,
    /// Its sessions have a pace together with others.
    Limited(Arc<SharedPace>),
    /// Nothing was decided.
    None,
}

/// There are as many rules of this kind as there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany(pub usize);

/// What two relays have alike that have decided the same.
pub type Fingerprint = [u8; 8];

/// The rules of a relay.
#[derive(Debug, Default)]
pub struct Rules(RwLock<Table>);

#[derive(Debug, Default)]
struct Table {
    blocks: Latest<Block>,
    limits: Latest<Limit>,
    /// The paces of limits that hold.
    paces: Vec<(Limit, Arc<SharedPace>)>,
    fingerprint: Fingerprint,
}

impl Rules {
    fn read(&self) -> RwLockReadGuard<'_, Table> {
        // Every change to the rules is whole before anything can panic.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What holds for this client. Of several limits it is that of the narrowest network.
    pub fn of(&self, client: AddressKey, now: Timestamp) -> Rule {
        let table = self.read();
        let mut blocks = table.blocks.holding(now);
        if blocks.any(|block| block.network.covers(client)) {
            return Rule::Blocked;
        }
        let own = table.paces.iter();
        let own = own.filter(|(limit, _)| limit.network.covers(client));
        match own.max_by_key(|(limit, _)| limit.network.prefix_len()) {
            Some((_, pace)) => Rule::Limited(Arc::clone(pace)),
            None => Rule::None,
        }
    }

    /// Blocks a network, from `now` to that moment or for good, in place of a block that it has. Returns what
    /// other relays are to be told.
    ///
    /// # Errors
    ///
    /// How many may be blocked, where that many are.
    pub fn block(
        &self,
        network: Network,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Decided, TooMany> {
        let mut table = self.write();
        if !table.blocks.has_room_for(network, now) {
            return Err(TooMany(MOST));
        }
        Ok(table.block(network, until, now))
    }

    /// Ends the block of just this network. Returns what other relays are to be told, if it had one.
    pub fn unblock(&self, network: Network, now: Timestamp) -> Option<Decided> {
        let mut table = self.write();
        table.blocks.of(network, now)?;
        Some(table.block(network, Some(ENDED), now))
    }

    /// The blocked network that has all of this one, if there is one.
    pub fn blocked_around(&self, network: Network, now: Timestamp) -> Option<Network> {
        let table = self.read();
        let mut around = table.blocks.holding(now);
        let around = around.find(|block| block.network.includes(&network));
        around.map(|block| block.network)
    }

    /// Has the sessions of a network read so fast together, from now on, in place of a limit that it has; by
    /// the calendar and by the process, now is `now` and `moment`. Returns what other relays are to be told.
    ///
    /// # Errors
    ///
    /// How many may be limited, where that many are.
    pub fn limit(
        &self,
        network: Network,
        bytes_per_sec: u64,
        now: Timestamp,
        moment: Instant,
    ) -> Result<Decided, TooMany> {
        let mut table = self.write();
        if !table.limits.has_room_for(network, now) {
            return Err(TooMany(MOST));
        }
        Ok(table.limit(network, bytes_per_sec, now, moment))
    }

    /// Ends the limit of just this network. Returns what other relays are to be told, if it had one.
    pub fn unlimit(&self, network: Network, now: Timestamp, moment: Instant) -> Option<Decided> {
        let mut table = self.write();
        table.limits.of(network, now)?;
        Some(table.limit(network, 0, now, moment))
    }

    /// The narrowest limit of a wider network that has all of this one, if there is one.
    pub fn limited_around(&self, network: Network) -> Option<Limit> {
        let table = self.read();
        let limits = table.paces.iter().map(|(limit, _)| limit);
        let around = limits.filter(|it| it.network != network && it.network.includes(&network));
        around.max_by_key(|it| it.network.prefix_len()).cloned()
    }

    /// All that holds at `now`.
    pub fn decided(&self, now: Timestamp) -> Decided {
        let table = self.read();
        Decided {
            blocks: table.blocks.holding(now).cloned().collect(),
            limits: table.limits.holding(now).cloned().collect(),
        }
    }

    /// All that is known at `now`, with what has ended and may matter to somebody yet: to keep, and to tell.
    pub fn known(&self, now: Timestamp) -> Decided {
        let mut table = self.write();
        table.settle(now);
        Decided {
            blocks: table.blocks.all().cloned().collect(),
            limits: table.limits.all().cloned().collect(),
        }
    }

    /// Takes over what was decided before or elsewhere, as far as nothing later is known and there may be as
    /// much; whether anything has changed for it.
    pub fn merge(&self, decided: Decided, now: Timestamp, moment: Instant) -> bool {
        let mut table = self.write();
        let before = table.fingerprint;
        for block in decided.blocks {
            table.blocks.note(block);
        }
        for limit in decided.limits {
            table.limits.note(limit);
        }
        table.settle(now);
        table.set_paces(now, moment);
        table.fingerprint != before
    }

    /// What relays have alike that know the same.
    pub fn fingerprint(&self) -> Fingerprint {
        self.read().fingerprint
    }
}

impl Table {
    fn block(&mut self, network: Network, until: Option<Timestamp>, now: Timestamp) -> Decided {
        let decided = self.blocks.moment(network, now);
        let block = Block {
            network,
            until,
            decided,
        };
        self.blocks.note(block.clone());
        self.settle(now);
        Decided {
            blocks: vec![block],
            limits: Vec::new(),
        }
    }

    fn limit(
        &mut self,
        network: Network,
        bytes_per_sec: u64,
        now: Timestamp,
        moment: Instant,
    ) -> Decided {
        let decided = self.limits.moment(network, now);
        let limit = Limit {
            network,
            bytes_per_sec,
            decided,
        };
        self.limits.note(limit.clone());
        self.settle(now);
        self.set_paces(now, moment);
        Decided {
            blocks: Vec::new(),
            limits: vec![limit],
        }
    }

    fn settle(&mut self, now: Timestamp) {
        self.blocks.tidy(now);
        self.limits.tidy(now);
        let all: (Vec<_>, Vec<_>) = (self.blocks.all().collect(), self.limits.all().collect());
        // Strings and numbers: there is nothing that could fail to serialise.
        let text = serde_json::to_vec(&all).unwrap_or_default();
        let digest = digest(&SHA256, &text);
        for (byte, digit) in self.fingerprint.iter_mut().zip(digest.as_ref()) {
            *byte = *digit;
        }
    }

    /// Gives each limit that holds a pace: that which it had, if it is the same limit.
    fn set_paces(&mut self, now: Timestamp, moment: Instant) {
        let before = std::mem::take(&mut self.paces);
        let paces = self.limits.holding(now).map(|limit| {
            let same = before.iter().find(|(it, _)| it == limit);
            let pace = same.map_or_else(
                || SharedPace::new(limit.bytes_per_sec, moment),
                |(_, pace)| Arc::clone(pace),
            );
            (limit.clone(), pace)
        });
        self.paces = paces.collect();
    }
}

impl Decision for Block {
    fn network(&self) -> Network {
        self.network
    }

    fn decided(&self) -> Timestamp {
        self.decided
    }

    fn end(&self) -> Option<Timestamp> {
        self.until
    }

    /// Of two that were decided at one moment it is the longer.
    fn replaces(&self, other: &Self) -> bool {
        let rank = |it: &Self| (it.decided, it.until.is_none(), it.until);
        rank(self) > rank(other)
    }
}

impl Decision for Limit {
    fn network(&self) -> Network {
        self.network
    }

    fn decided(&self) -> Timestamp {
        self.decided
    }

    fn end(&self) -> Option<Timestamp> {
        (self.bytes_per_sec == 0).then_some(ENDED)
    }

    fn replaces(&self, other: &Self) -> bool {
        (self.decided, self.bytes_per_sec) > (other.decided, other.bytes_per_sec)
    }
}

impl Decided {
    /// All of it, in parts that are not too long to be told at once.
    pub fn parts(&self) -> impl Iterator<Item = Self> {
        let blocks = self.blocks.chunks(TOLD).map(|blocks| Self {
            blocks: blocks.to_vec(),
            limits: Vec::new(),
        });
        let limits = self.limits.chunks(TOLD).map(|limits| Self {
            blocks: Vec::new(),
            limits: limits.to_vec(),
        });
        blocks.chain(limits)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
