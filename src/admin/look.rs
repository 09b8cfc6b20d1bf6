//! Two looks at a relay, a moment apart, and what they tell together.

use std::{
    cmp::Reverse,
    collections::HashMap,
    time::{Duration, Instant},
};

use actix_rt::time::timeout;
use jiff::Timestamp;
use relay_wire::{code::RoomCode, ending::Ending};

use super::{
    api::{Client, MOST_ROWS, Of, Refused, Room, Share, Slow, SlowCounts, Status, Verdict},
    slow::slow,
};
use crate::{
    actors::{
        directory::Directory,
        messages::{Fellow, Look as LookAround, Seen},
        now,
    },
    flow::vitals::Fares,
    limits::{
        address::AddressKey,
        callers::Deeds,
        rules::{Decided, Rule},
    },
    observe::metrics::tally::Tally,
    state::State,
    version,
};

/// How long a worker may take to answer; one that takes longer is a trouble of its own.
const PATIENCE: Duration = Duration::from_secs(2);
/// The part of what there may be, in percent, from which on there is little left.
const NEARLY_ALL: u64 = 90;
/// Handshakes of one address in a second that are no person's.
const MANY_HANDSHAKES: u64 = 20;
/// Refusals for one reason in a second that somebody should know of.
const MANY_REFUSALS: u64 = 10;

/// What a relay looks like at one moment.
pub(super) struct Look {
    at: Instant,
    rooms: Vec<Seen>,
    clients: Vec<(AddressKey, Deeds)>,
    tally: Tally,
    /// Workers that have not answered.
    silent: usize,
}

impl Look {
    /// Looks at all workers.
    pub(super) async fn take(state: &State, directory: &Directory) -> Self {
        let (mut rooms, mut silent) = (Vec::new(), 0);
        for registry in directory.registries() {
            match timeout(PATIENCE, registry.send(LookAround)).await {
                Ok(Ok(seen)) => rooms.extend(seen),
                _ => silent += 1,
            }
        }
        Self {
            at: now(),
            rooms,
            clients: state.callers.all(),
            tally: state.metrics.tally(),
            silent,
        }
    }

    pub(super) fn room_count(&self) -> u64 {
        self.rooms.len() as u64
    }

    pub(super) fn client_count(&self) -> u64 {
        self.clients.len() as u64
    }

    /// The codes of the rooms with this short name, which is that of the log.
    pub(super) fn codes_of(&self, name: &str) -> Vec<RoomCode> {
        let codes = self.rooms.iter().map(|seen| seen.sight.code);
        codes.filter(|code| short(code) == name).collect()
    }
}

/// The short name of a room: what its code reads as in the log, without the `#` that a shell would take
/// for a comment.
fn short(code: &RoomCode) -> String {
    code.to_string().trim_start_matches('#').to_owned()
}

/// Two looks.
pub(super) struct Looks<'a> {
    pub(super) before: &'a Look,
    pub(super) after: &'a Look,
    pub(super) state: &'a State,
}

impl Looks<'_> {
    fn time(&self) -> Duration {
        self.after.at.duration_since(self.before.at)
    }

    /// So much in all, as so much a second.
    fn rate(&self, before: u64, after: u64) -> u64 {
        let seconds = self.time().as_secs_f64().max(0.001);
        (after.saturating_sub(before) as f64 / seconds).round() as u64
    }

    /// The busiest rooms.
    pub(super) fn rooms(&self, most: usize) -> Vec<Room> {
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
        let mut rooms: Vec<_> = rooms.collect();
        rooms.sort_by_key(|room| {
            let rate = room.down_bytes_per_sec + room.up_bytes_per_sec;
            Reverse((rate, room.untaken_bytes, room.down_bytes + room.up_bytes))
        });
        rooms.truncate(most.min(MOST_ROWS));
        rooms
    }

    fn room(&self, before: Option<&Seen>, seen: &Seen) -> Room {
        let sight = &seen.sight;
        let same_receiver = before.filter(|before| before.sight.receiver == sight.receiver);
        let sender = grown(before.and_then(|before| before.sender), seen.sender);
        let receiver = grown(same_receiver.and_then(|it| it.receiver), seen.receiver);
        let pair = seen.receiver.map(|_| slow(&sender, &receiver, self.time()));
        let taken = seen.receiver.map_or(0, |member| member.fares.given);
        let address = |member: Option<Fellow>| member.map(|member| member.client.to_string());
        Room {
            room: short(&sight.code),
            age_seconds: self.after.at.duration_since(sight.opened).as_secs(),
            open: sight.is_open,
            check: seen.check,
            sender: address(seen.sender),
            receiver: address(seen.receiver),
            receivers: sight.receivers,
            waiting: sight.waiting as u64,
            down_bytes: sight.passed.down,
            up_bytes: sight.passed.up,
            down_bytes_per_sec: self.rate(0, receiver.given),
            up_bytes_per_sec: self.rate(0, sender.given),
            untaken_bytes: sight.passed_now.down.saturating_sub(taken),
            slow: pair.flatten(),
        }
    }

    /// The addresses that have the largest shares of anything.
    pub(super) fn clients(&self, most: usize) -> Vec<Client> {
        let before: HashMap<_, _> = self.before.clients.iter().copied().collect();
        let clients = self.after.clients.iter().map(|&(key, deeds)| {
            let before = before.get(&key).copied().unwrap_or_default();
            (key, self.client(key, before, deeds))
        });
        let mut clients: Vec<_> = clients.collect();
        share_out(&mut clients);
        clients.sort_by_key(|(_, it)| {
            let bytes = it.received_bytes + it.sent_bytes;
            Reverse((it.share_percent, it.sessions, it.handshakes, bytes))
        });
        clients.truncate(most.min(MOST_ROWS));
        let now = Timestamp::now();
        let decided = |key| match self.state.rules.of(key, now) {
            Rule::None => None,
            Rule::Blocked => Some(Verdict::Blocked),
            Rule::Limited(_) => Some(Verdict::Limited),
        };
        let clients = clients.into_iter().map(|(key, client)| Client {
            decided: decided(key),
            ..client
        });
        clients.collect()
    }

    fn client(&self, key: AddressKey, before: Deeds, deeds: Deeds) -> Client {
        let pools = &self.state.pools;
        Client {
            address: key.to_string(),
            sessions: pools.sessions.used_by(key) as u64,
            rooms: pools.rooms.used_by(key) as u64,
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

    /// How the relay is, with so many of the busiest addresses and rooms.
    pub(super) fn status(&self, rows: usize, decided: Decided, kept: bool) -> Status {
        let (pools, live) = (&self.state.pools, self.state.live());
        let of = |now: usize, most: usize| Of {
            now: now as u64,
            most: most as u64,
        };
        let all_rooms = self.rooms(usize::MAX);
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
            handshakes_per_sec: self.handshakes_per_sec(),
            slow: slow_counts(&all_rooms),
            refusals: self.refusals(),
            decided,
            kept,
            clients: self.clients(rows),
            busiest_rooms: all_rooms.into_iter().take(rows).collect(),
        };
        status.troubles = self.troubles(&status);
        status
    }

    /// Handshakes of all addresses that are known. One that was forgotten between the looks is left out.
    fn handshakes_per_sec(&self) -> u64 {
        let sum = |look: &Look| look.clients.iter().map(|(_, deeds)| deeds.handshakes).sum();
        self.rate(sum(self.before), sum(self.after))
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

    /// What is not well.
    fn troubles(&self, status: &Status) -> Vec<String> {
        let mut troubles = Vec::new();
        if self.after.silent > 0 {
            troubles.push(format!("{} worker(s) do not answer", self.after.silent));
        }
        if status.stopping {
            let left = status.sessions.now;
            troubles.push(format!("it is stopping; {left} sessions are left"));
        }
        for (what, of, knob) in [
            ("sessions", status.sessions, "RELAY_MAX_SESSIONS"),
            ("rooms", status.rooms, "RELAY_MAX_ROOMS"),
            (
                "buffered bytes",
                status.buffered_bytes,
                "RELAY_MAX_BUFFERED",
            ),
        ] {
            if of.now > 0 && of.now * 100 >= of.most * NEARLY_ALL {
                let Of { now, most } = of;
                troubles.push(format!("there are {now} {what} of {most} ({knob})"));
            }
        }
        let hasty = |it: &&Client| {
            let most_of_them = it.handshakes_per_sec * 2 >= status.handshakes_per_sec;
            it.handshakes_per_sec >= MANY_HANDSHAKES && most_of_them
        };
        if let Some(it) = status.clients.iter().find(hasty) {
            troubles.push(format!(
                "{} connects {} times a second (claude-distill-relay block {})",
                it.address, it.handshakes_per_sec, it.address
            ));
        }
        for it in &status.refusals {
            if it.per_sec >= MANY_REFUSALS {
                troubles.push(format!("{} {} a second", it.per_sec, it.reason));
            }
        }
        troubles
    }
}

/// Says of each client what it has the largest part of.
fn share_out(clients: &mut [(AddressKey, Client)]) {
    let whole = |what| clients.iter().map(|(_, client)| part(client, what)).sum();
    let wholes = [
        Share::Handshakes,
        Share::Bytes,
        Share::Sessions,
        Share::Rooms,
    ]
    .map(|what| (what, whole(what)));
    for (_, client) in clients {
        let percent = |(what, whole): (Share, u64)| (part(client, what) * 100 / whole.max(1), what);
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
