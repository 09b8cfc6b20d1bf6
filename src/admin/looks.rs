//! Two looks at a relay, a moment apart, and what they tell together.

use std::{
    cmp::Reverse,
    collections::{HashMap, hash_map::Entry},
    time::Duration,
};

use jiff::Timestamp;
use relay_wire::ending::Ending;

use super::{
    api::{Client, MOST_ROWS, Of, Refused, Room, Share, Slow, SlowCounts, Status, Verdict},
    look::{Look, short_name},
    slow::slow,
    troubles::{Signs, troubles},
};
use crate::{
    actors::messages::{Fellow, Seen},
    cluster::view::View,
    flow::vitals::Fares,
    limits::{
        address::AddressKey,
        callers::Deeds,
        rules::{Decided, Rule},
    },
    state::State,
    version,
};

/// What an address has to have of something before that is a share of it: what nobody else does in a quiet
/// second says nothing.
const LEAST_HANDSHAKES: u64 = 5;
const LEAST_BYTES: u64 = 4096;

/// Two looks.
pub(super) struct Looks<'a> {
    pub(super) before: &'a Look,
    pub(super) after: &'a Look,
    pub(super) state: &'a State,
}

/// What a status tells beside what two looks do.
pub(super) struct Circumstances {
    pub(super) decided: Decided,
    pub(super) kept: bool,
    /// Why what is decided is not kept that should be.
    pub(super) unkept: Option<String>,
    pub(super) cluster: Option<View>,
}

/// So much more, as so much a second.
fn per_second(more: u64, time: Duration) -> u64 {
    (more as f64 / time.as_secs_f64().max(0.001)).round() as u64
}

impl Looks<'_> {
    /// So much in all, as so much a second: of what is counted for all workers.
    fn rate(&self, before: u64, after: u64) -> u64 {
        let time = self.after.at.duration_since(self.before.at);
        per_second(after.saturating_sub(before), time)
    }

    /// The rooms that matter most, and all of them counted by what makes them slow.
    pub(super) fn rooms(&self, most: usize) -> (Vec<Room>, SlowCounts) {
        let before: HashMap<_, _> = self
            .before
            .rooms
            .iter()
            .map(|seen| ((seen.sight.code, seen.sight.opened), seen))
            .collect();
        let rooms = self.after.rooms.iter();
        let rooms = rooms.map(|seen| {
            let key = (seen.sight.code, seen.sight.opened);
            self.room(before.get(&key).copied(), seen)
        });
        let rooms: Vec<_> = rooms.collect();
        let counts = slow_counts(&rooms);
        (in_turns(rooms, most.min(MOST_ROWS)), counts)
    }

    fn room(&self, before: Option<&Seen>, seen: &Seen) -> Room {
        let sight = &seen.sight;
        // A room that is older than the first look, and not in it, is that of a worker which was silent.
        let since = match before {
            Some(before) => Some(before.at),
            None => Some(self.before.at).filter(|&at| at <= sight.opened),
        };
        let time = since.map(|since| seen.at.saturating_duration_since(since));
        let same_receiver = before.filter(|before| before.sight.receiver == sight.receiver);
        let sender = grown(before.and_then(|before| before.sender), seen.sender);
        let receiver = grown(same_receiver.and_then(|it| it.receiver), seen.receiver);
        let pair = seen.receiver.and(time);
        let rate = |fares: &Fares| time.map(|time| per_second(fares.given, time));
        let taken = seen.receiver.map_or(0, |member| member.fares.given);
        let address = |member: Option<Fellow>| member.map(|member| member.client.to_string());
        Room {
            room: short_name(&sight.code),
            age_seconds: age(seen).as_secs(),
            open: sight.is_open,
            check: seen.check,
            sender: address(seen.sender),
            receiver: address(seen.receiver),
            receivers: sight.receivers,
            waiting: sight.waiting as u64,
            down_bytes: sight.passed.down,
            up_bytes: sight.passed.up,
            down_bytes_per_sec: rate(&receiver),
            up_bytes_per_sec: rate(&sender),
            untaken_bytes: sight.passed_now.down.saturating_sub(taken),
            slow: pair.and_then(|time| slow(&sender, &receiver, time)),
        }
    }

    /// All addresses that are known, and the widest IPv6 networks that several of them are in, those with the
    /// largest shares of anything first.
    fn clients(&self) -> Vec<(AddressKey, Client)> {
        let before: HashMap<_, _> = self.before.clients.iter().copied().collect();
        let pools = &self.state.pools;
        let keys = || self.after.clients.iter().map(|&(key, _)| key);
        let has = pools.sessions.used_by(keys());
        let has = has.into_iter().zip(pools.rooms.used_by(keys()));
        let clients = self.after.clients.iter().zip(has);
        let clients = clients.map(|(&(key, deeds), (sessions, rooms))| {
            let before = before.get(&key).copied().unwrap_or_default();
            let client = Client {
                sessions: sessions as u64,
                rooms: rooms as u64,
                ..self.client(key, before, deeds)
            };
            (key, client)
        });
        let mut clients: Vec<_> = clients.collect();
        let wholes = wholes(&clients);
        clients.extend(networks(&clients));
        share_out(&mut clients, wholes);
        clients.sort_by_key(|(_, it)| {
            let bytes = it.received_bytes + it.sent_bytes;
            Reverse((it.share_percent, it.sessions, it.handshakes, bytes))
        });
        clients
    }

    fn client(&self, key: AddressKey, before: Deeds, deeds: Deeds) -> Client {
        Client {
            address: key.to_string(),
            sessions: 0,
            rooms: 0,
            handshakes: deeds.handshakes,
            refused: deeds.refused,
            received_bytes: deeds.received,
            sent_bytes: deeds.sent,
            received_bytes_per_sec: self.rate(before.received, deeds.received),
            sent_bytes_per_sec: self.rate(before.sent, deeds.sent),
            handshakes_per_sec: self.rate(before.handshakes, deeds.handshakes),
            share_percent: 0,
            share_of: Share::Sessions,
            decided: None,
        }
    }

    /// The first of these, with what is decided of them.
    fn shown(&self, clients: &[(AddressKey, Client)], most: usize) -> Vec<Client> {
        let clients = clients.iter().take(most.min(MOST_ROWS));
        let shown = clients.map(|(key, client)| Client {
            decided: self.verdict(*key),
            ..client.clone()
        });
        shown.collect()
    }

    fn verdict(&self, client: AddressKey) -> Option<Verdict> {
        match self.state.rules.of(client, Timestamp::now()) {
            Rule::None => None,
            Rule::Blocked => Some(Verdict::Blocked),
            Rule::Limited(_) => Some(Verdict::Limited),
        }
    }

    /// The addresses that have the largest shares of anything.
    pub(super) fn who(&self, most: usize) -> Vec<Client> {
        self.shown(&self.clients(), most)
    }

    /// How the relay is, with so many of the busiest addresses and rooms.
    pub(super) fn status(&self, rows: usize, circumstances: Circumstances) -> Status {
        let Circumstances {
            decided,
            kept,
            unkept,
            cluster,
        } = circumstances;
        let (pools, live) = (&self.state.pools, self.state.live());
        let of = |now: usize, most: usize| Of {
            now: now as u64,
            most: most as u64,
        };
        let (rooms, clients) = (self.rooms(rows), self.clients());
        let (before, after) = (&self.before.tally, &self.after.tally);
        let mut status = Status {
            version: version::SHOWN.to_owned(),
            uptime_seconds: self.state.uptime().as_secs(),
            stopping: self.state.is_stopping(),
            troubles: Vec::new(),
            sessions: of(pools.sessions.whole().used(), live.config.max_sessions),
            rooms: of(pools.rooms.whole().used(), live.config.max_rooms),
            buffered_bytes: of(pools.buffers.whole().used(), live.config.max_buffered),
            pairs: count(&self.after.rooms, |seen| u64::from(seen.receiver.is_some())),
            waiting: count(&self.after.rooms, |seen| seen.sight.waiting as u64),
            received_bytes: after.received,
            sent_bytes: after.sent,
            received_bytes_per_sec: self.rate(before.received, after.received),
            sent_bytes_per_sec: self.rate(before.sent, after.sent),
            handshakes_per_sec: self.rate(self.before.handshakes, self.after.handshakes),
            slow: rooms.1,
            refusals: self.refusals(),
            decided,
            kept,
            cluster,
            clients: self.shown(&clients, rows),
            busiest_rooms: rooms.0,
        };
        status.troubles = troubles(&Signs {
            status: &status,
            clients: &clients,
            verdict: &|client| self.verdict(client),
            trust: &live.trust,
            silent: self.after.silent,
            unkept,
            events_fail: self.state.events.counts().are_failing(),
        });
        status
    }

    fn refusals(&self) -> Vec<Refused> {
        let before = |ending: Ending| {
            let mut refusals = self.before.tally.refusals.iter();
            refusals
                .find(|refusal| refusal.ending == ending)
                .map_or(0, |refusal| refusal.count)
        };
        let refusals = self.after.tally.refusals.iter();
        let refusals = refusals.map(|refusal| Refused {
            reason: refusal.ending.name().to_owned(),
            count: refusal.count,
            per_sec: self.rate(before(refusal.ending), refusal.count),
        });
        refusals.collect()
    }
}

/// How old a room is.
pub(super) fn age(seen: &Seen) -> Duration {
    seen.at.saturating_duration_since(seen.sight.opened)
}

/// The fastest rooms, and in turns with them those that are held up, the slowest of them first.
fn in_turns(mut rooms: Vec<Room>, most: usize) -> Vec<Room> {
    rooms.sort_by_key(|room| {
        let rate = |rate: Option<u64>| rate.unwrap_or(0);
        let rate = rate(room.down_bytes_per_sec) + rate(room.up_bytes_per_sec);
        Reverse((rate, room.untaken_bytes, room.down_bytes + room.up_bytes))
    });
    let held_up = |room: &Room| room.untaken_bytes > 0 && room.slow.is_some();
    let mut held_up = (0..rooms.len()).rev().filter(|&it| held_up(&rooms[it]));
    let (mut fastest, mut order) = (0..rooms.len(), Vec::new());
    let mut placed = vec![false; rooms.len()];
    while let Some(next) = fastest.find(|&it| !placed[it]) {
        placed[next] = true;
        order.push(next);
        if let Some(next) = held_up.find(|&it| !placed[it]) {
            placed[next] = true;
            order.push(next);
        }
    }
    order.truncate(most);
    order.into_iter().map(|it| rooms[it].clone()).collect()
}

/// The widest networks that several addresses are in, each with what they have together: who has a whole one
/// may never come twice from one address.
fn networks(clients: &[(AddressKey, Client)]) -> Vec<(AddressKey, Client)> {
    let mut networks = HashMap::<AddressKey, (u64, Client)>::new();
    for (key, client) in clients {
        let Some(widest) = key.levels().next_back().filter(|widest| widest != key) else {
            continue;
        };
        match networks.entry(widest) {
            Entry::Vacant(first) => {
                let address = widest.to_string();
                let client = client.clone();
                first.insert((1, Client { address, ..client }));
            }
            Entry::Occupied(mut others) => {
                let (count, sum) = others.get_mut();
                *count += 1;
                sum.add(client);
            }
        }
    }
    let networks = networks.into_iter();
    let several = networks.filter(|(_, (count, _))| *count > 1);
    several.map(|(key, (_, sum))| (key, sum)).collect()
}

/// What all addresses have together.
fn wholes(clients: &[(AddressKey, Client)]) -> [(Share, u64); 4] {
    let whole = |what| clients.iter().map(|(_, client)| part(client, what)).sum();
    [
        Share::Handshakes,
        Share::Bytes,
        Share::Sessions,
        Share::Rooms,
    ]
    .map(|what| (what, whole(what)))
}

/// Says of each client what it has the largest part of.
fn share_out(clients: &mut [(AddressKey, Client)], wholes: [(Share, u64); 4]) {
    for (_, client) in clients {
        let percent = |(what, whole): (Share, u64)| match part(client, what) {
            part if part < least(what) => (0, what),
            part => (part * 100 / whole.max(1), what),
        };
        // Of two that are equal the first counts: the one that floods are made of.
        let all = wholes.map(percent).into_iter().rev();
        if let Some(largest) = all.max_by_key(|&(percent, _)| percent) {
            (client.share_percent, client.share_of) = largest;
        }
    }
}

/// What a client has of something.
fn part(client: &Client, what: Share) -> u64 {
    match what {
        Share::Sessions => client.sessions,
        Share::Rooms => client.rooms,
        Share::Bytes => client.received_bytes_per_sec + client.sent_bytes_per_sec,
        Share::Handshakes => client.handshakes_per_sec,
    }
}

/// What it has to have of it.
fn least(what: Share) -> u64 {
    match what {
        Share::Sessions | Share::Rooms => 1,
        Share::Bytes => LEAST_BYTES,
        Share::Handshakes => LEAST_HANDSHAKES,
    }
}

fn count(rooms: &[Seen], of: impl Fn(&Seen) -> u64) -> u64 {
    rooms.iter().map(of).sum()
}

fn slow_counts(rooms: &[Room]) -> SlowCounts {
    let with = |side| rooms.iter().filter(|room| room.slow == Some(side)).count() as u64;
    SlowCounts {
        sender: with(Slow::Sender),
        receiver: with(Slow::Receiver),
        both: with(Slow::Both),
        limit: with(Slow::Limit),
    }
}

/// How a member has fared between two looks.
fn grown(before: Option<Fellow>, after: Option<Fellow>) -> Fares {
    let fares = |member: Option<Fellow>| member.map(|member| member.fares).unwrap_or_default();
    let (before, after) = (fares(before), fares(after));
    Fares {
        given: after.given.saturating_sub(before.given),
        untaken: after.untaken.saturating_sub(before.untaken),
        paced: after.paced.saturating_sub(before.paced),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
