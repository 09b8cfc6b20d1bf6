//! What the operator has decided of addresses: who is blocked, for how long, and who is read only so fast.
//!
//! The rules are asked for each handshake and each session that begins, and never for a frame. Two clocks
//! are passed in: a block ends by the calendar, as it outlives the process, and a pace counts from a moment
//! of the process. Writing them down is for others.

use std::{
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Instant,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{address::AddressKey, network::Network};
use crate::flow::pace::SharedPace;

/// Networks that may be blocked, and as many that may be limited.
const MOST: usize = 1000;

/// A network whose clients may not use the relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Which.
    pub network: Network,
    /// When that ends, if ever.
    pub until: Option<Timestamp>,
}

/// A network whose sessions are read only so fast, together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Which.
    pub network: Network,
    /// Bytes a second; there is at least one.
    pub bytes_per_sec: u64,
}

/// All that is decided, as it is shown and kept.
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

/// The rules of a relay.
#[derive(Debug, Default)]
pub struct Rules(RwLock<Table>);

#[derive(Debug, Default)]
struct Table {
    blocks: Vec<Block>,
    limits: Vec<(Limit, Arc<SharedPace>)>,
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
        let blocked = |block: &Block| block.holds(now) && block.network.covers(client);
        if table.blocks.iter().any(blocked) {
            return Rule::Blocked;
        }
        let own = table.limits.iter();
        let own = own.filter(|(limit, _)| limit.network.covers(client));
        match own.max_by_key(|(limit, _)| limit.network.prefix_len()) {
            Some((_, pace)) => Rule::Limited(Arc::clone(pace)),
            None => Rule::None,
        }
    }

    /// Blocks a network, from `now` to that moment or for good, in place of a block that it has.
    ///
    /// # Errors
    ///
    /// How many may be blocked, where that many are.
    pub fn block(
        &self,
        network: Network,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), TooMany> {
        let mut table = self.write();
        let blocks = &mut table.blocks;
        blocks.retain(|block| block.network != network && block.holds(now));
        if blocks.len() == MOST {
            return Err(TooMany(MOST));
        }
        blocks.push(Block { network, until });
        Ok(())
    }

    /// Ends the block of just this network; whether it had one.
    pub fn unblock(&self, network: Network, now: Timestamp) -> bool {
        let mut table = self.write();
        table.blocks.retain(|block| block.holds(now));
        let before = table.blocks.len();
        table.blocks.retain(|block| block.network != network);
        table.blocks.len() < before
    }

    /// The blocked network that has all of this one, if there is one.
    pub fn blocked_around(&self, network: Network, now: Timestamp) -> Option<Network> {
        let table = self.read();
        let mut around = table.blocks.iter().filter(|block| block.holds(now));
        let around = around.find(|block| block.network.includes(&network));
        around.map(|block| block.network)
    }

    /// Has the sessions of a network read so fast together, from `now` on, in place of a limit that it has.
    ///
    /// # Errors
    ///
    /// How many may be limited, where that many are.
    pub fn limit(&self, network: Network, bytes_per_sec: u64, now: Instant) -> Result<(), TooMany> {
        let mut table = self.write();
        let limits = &mut table.limits;
        limits.retain(|(limit, _)| limit.network != network);
        if limits.len() == MOST {
            return Err(TooMany(MOST));
        }
        let limit = Limit {
            network,
            bytes_per_sec,
        };
        limits.push((limit, SharedPace::new(bytes_per_sec, now)));
        Ok(())
    }

    /// Ends the limit of just this network; whether it had one.
    pub fn unlimit(&self, network: Network) -> bool {
        let mut table = self.write();
        let before = table.limits.len();
        table.limits.retain(|(limit, _)| limit.network != network);
        table.limits.len() < before
    }

    /// The narrowest limit of a wider network that has all of this one, if there is one.
    pub fn limited_around(&self, network: Network) -> Option<Limit> {
        let table = self.read();
        let limits = table.limits.iter().map(|(limit, _)| limit);
        let around = limits.filter(|it| it.network != network && it.network.includes(&network));
        around.max_by_key(|it| it.network.prefix_len()).cloned()
    }

    /// All that holds at `now`.
    pub fn decided(&self, now: Timestamp) -> Decided {
        let table = self.read();
        let blocks = table.blocks.iter().filter(|block| block.holds(now));
        Decided {
            blocks: blocks.cloned().collect(),
            limits: table
                .limits
                .iter()
                .map(|(limit, _)| limit.clone())
                .collect(),
        }
    }

    /// Takes over what was decided before, as far as it still holds and there may be as much.
    pub fn restore(&self, decided: Decided, now: Timestamp, moment: Instant) {
        for Block { network, until } in decided.blocks {
            // Who was blocked beyond the bound was never written down.
            let _ = self.block(network, until, now);
        }
        for limit in decided.limits.iter().filter(|it| it.bytes_per_sec > 0) {
            let _ = self.limit(limit.network, limit.bytes_per_sec, moment);
        }
    }
}

impl Block {
    fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
