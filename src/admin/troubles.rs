//! What is not well with a relay, in sentences: pure.

use std::cmp::Reverse;

use super::{
    api::{Client, Of, Status, Verdict},
    units::{counted, time},
};
use crate::{
    cluster::view::View,
    limits::{
        address::{AddressKey, Trust},
        network::Network,
    },
};

/// The part of what there may be, in percent, from which on there is little left.
const NEARLY_ALL: u64 = 90;
/// Handshakes of one address in a second that are no person's.
const MANY_HANDSHAKES: u64 = 20;
/// Refusals for one reason in a second that somebody should know of.
const MANY_REFUSALS: u64 = 10;
/// Addresses that are named.
const WORST: usize = 3;

/// What tells of troubles.
pub(super) struct Signs<'a> {
    pub(super) status: &'a Status,
    /// All addresses, and not only those in the status.
    pub(super) clients: &'a [(AddressKey, Client)],
    /// What is decided of one.
    pub(super) verdict: &'a dyn Fn(AddressKey) -> Option<Verdict>,
    pub(super) trust: &'a Trust,
    /// Workers that do not answer.
    pub(super) silent: usize,
    /// Why what is decided is not kept that should be.
    pub(super) unkept: Option<String>,
    /// Whether the event log cannot be written.
    pub(super) events_fail: bool,
}

/// What is not well.
pub(super) fn troubles(signs: &Signs<'_>) -> Vec<String> {
    let status = signs.status;
    let mut troubles = Vec::new();
    if signs.silent > 0 {
        troubles.push(format!("{} worker(s) do not answer", signs.silent));
    }
    if status.stopping {
        let left = counted(status.sessions.now, "session");
        troubles.push(format!("it is stopping; {left} left"));
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
    troubles.extend(status.cluster.iter().flat_map(apart));
    troubles.extend(floods(signs));
    for it in &status.refusals {
        if it.per_sec >= MANY_REFUSALS {
            troubles.push(format!("{} {} a second", it.per_sec, it.reason));
        }
    }
    let unkept = signs.unkept.iter();
    troubles.extend(unkept.map(|why| format!("blocks and limits are not kept: {why}")));
    if signs.events_fail {
        troubles.push("the event log cannot be written (RELAY_LOG_DIR)".to_owned());
    }
    troubles
}

/// What keeps this relay and others of its cluster apart.
fn apart(cluster: &View) -> Vec<String> {
    let nats = &cluster.nats;
    let since = time(nats.seconds);
    if nats.address_taken {
        return vec![format!(
            "another node has the address {} (RELAY_CLUSTER_ADDRESS): this relay has its own rooms alone",
            cluster.address
        )];
    }
    if !nats.reached {
        return vec![format!(
            "NATS is not reached for {since} (RELAY_CLUSTER_NATS): this relay has its own rooms alone"
        )];
    }
    let lost = cluster.nodes.iter().filter(|it| it.silent || it.doubtful);
    let lost = lost.take(WORST).map(|it| {
        let there = match it.reachable {
            Some(true) => "its relay answers there, so that it is NATS that it does not reach",
            _ => "nor does it answer there",
        };
        let silence = time(it.heard_seconds);
        format!("node {} is not heard of for {silence}; {there}", it.address)
    });
    lost.collect()
}

/// Who connects so often, the worst by name.
fn floods(signs: &Signs<'_>) -> Vec<String> {
    let clients = signs.clients.iter();
    let hasty = clients.filter(|(_, it)| it.handshakes_per_sec >= MANY_HANDSHAKES);
    let mut hasty: Vec<_> = hasty.collect();
    hasty.sort_by_key(|(_, it)| Reverse(it.handshakes_per_sec));
    let named = hasty.iter().take(WORST).map(|(key, it)| {
        let (address, often) = (&it.address, it.handshakes_per_sec);
        let what = if signs.trust.hides_clients_in(&key.range()) {
            "it is this machine, or a proxy that names no client".to_owned()
        } else if (signs.verdict)(*key) == Some(Verdict::Blocked) {
            "it is blocked".to_owned()
        } else {
            format!("claude-distill-relay block {address}")
        };
        format!("{address} connects {often} times a second ({what})")
    });
    let more = hasty.len().saturating_sub(WORST);
    let more = (more > 0).then(|| {
        format!("{more} more addresses connect {MANY_HANDSHAKES} times a second or more often")
    });
    named.chain(more).collect()
}

/// Why a block of this network would end everybody, if it would.
pub(super) fn objection(network: Network, trust: &Trust) -> Option<String> {
    trust.hides_clients_in(network.range()).then(|| {
        format!(
            "{network} has addresses of this machine or of a trusted proxy, which are those of all clients \
             whom a proxy does not name: a block would keep them all out. It is not blocked; --force (\"force\": \
             true) blocks it all the same"
        )
    })
}
