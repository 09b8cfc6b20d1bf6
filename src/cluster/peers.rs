//! The other nodes, as far as they are known: who was heard of when, and who can be believed to answer. Pure.
//!
//! That no node has a room can only be said once all have said so. A node that does not answer may be dead,
//! and its rooms with it; or it may be cut off, with rooms that are still there. Which of the two is found
//! out at its address, by others: until that is known it is `doubtful`, and what nobody else has may be its.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::words::{Node, NodeId};

/// How often each node says that it is here.
pub(super) const BEAT: Duration = Duration::from_secs(1);
/// How long a node is silent before that is told.
pub(super) const SILENCE: Duration = Duration::from_secs(3);
/// Milliseconds between the beginnings of two nodes that began at once: what they say takes time to come.
const AT_ONCE: u64 = 1000;
/// Nodes that are remembered.
const MOST: usize = 1000;
/// The longest that a room can live (`RELAY_MAX_ROOM_TTL`), and with it what is believed of one.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// For how long a node that is not heard of, nor known to be dead, may have rooms.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Any room: as long as one lives whose sender does not ask for longer. A node that had rooms of a longer life has
    /// said so, and may have them until those are over.
    pub any: Duration,
    /// A room whose sender is not on that node any more: it has waited for it and ended.
    pub left: Duration,
}

/// All of them but this one.
#[derive(Debug, Default)]
pub(super) struct Peers(HashMap<NodeId, Peer>);

/// One other node.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) node: Node,
    /// When it was last heard of, by NATS.
    pub(super) heard: Instant,
    /// When the last of its rooms is over that it has told of.
    rooms_until: Instant,
    /// Whether it has not answered a question: it may be alive, and have the room.
    pub(super) doubtful: bool,
    /// The number of the last that it told all others.
    last_word: u64,
    /// Whether its silence was told.
    silent: bool,
}

impl Peer {
    /// Whether it is not heard of any more.
    pub(super) fn is_silent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard) >= SILENCE
    }
}

/// What is worth a line in the log.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// A node was not here before.
    Came(Node),
    /// A node that was silent is heard of again.
    Back(Node),
    /// A node is not heard of any more.
    Silent(Node),
    /// A node has left, has died, or was silent for so long that none of its rooms is left.
    Gone(Node),
}

impl Change {
    /// The node that it is about.
    pub fn node(&self) -> &Node {
        match self {
            Self::Came(node) | Self::Back(node) | Self::Silent(node) | Self::Gone(node) => node,
        }
    }
}

impl Peers {
    /// A node is heard of.
    pub(super) fn heard(&mut self, node: &Node, now: Instant) -> Option<Change> {
        if let Some(peer) = self.0.get_mut(&node.id) {
            peer.heard = now;
            peer.doubtful = false;
            let was_silent = std::mem::take(&mut peer.silent);
            return was_silent.then(|| Change::Back(node.clone()));
        }
        if self.0.len() >= MOST {
            return None;
        }
        let peer = Peer {
            node: node.clone(),
            heard: now,
            rooms_until: now,
            doubtful: false,
            last_word: 0,
            silent: false,
        };
        self.0.insert(node.id, peer);
        Some(Change::Came(node.clone()))
    }

    /// A node has answered a question.
    pub(super) fn answered(&mut self, id: NodeId, now: Instant) -> Option<Change> {
        let node = self.0.get(&id)?.node.clone();
        self.heard(&node, now)
    }

    /// A node is no more: it has said so, or was found dead.
    pub(super) fn gone(&mut self, id: NodeId) -> Option<Change> {
        self.0.remove(&id).map(|peer| Change::Gone(peer.node))
    }

    /// Whether a word of this number comes from a node that is here, and was not heard before: whoever may write to NATS
    /// could repeat what was said.
    pub(super) fn is_new(&mut self, from: NodeId, number: u64) -> bool {
        let Some(peer) = self.0.get_mut(&from) else {
            return false;
        };
        let is_new = number > peer.last_word;
        peer.last_word = peer.last_word.max(number);
        is_new
    }

    /// A node has not answered, and may be alive.
    pub(super) fn doubt(&mut self, id: NodeId) {
        if let Some(peer) = self.0.get_mut(&id) {
            peer.doubtful = true;
        }
    }

    /// Those that were heard of within this time.
    pub(super) fn within(
        &self,
        time: Duration,
        now: Instant,
    ) -> impl Iterator<Item = (NodeId, &Peer)> {
        let heard = move |peer: &Peer| now.saturating_duration_since(peer.heard) < time;
        let peers = self.0.iter().filter(move |(_, peer)| heard(peer));
        peers.map(|(&id, peer)| (id, peer))
    }

    /// A node has told for how long from `now` on the last of its rooms may be joined.
    pub(super) fn has_rooms(&mut self, id: NodeId, left: Duration, now: Instant) {
        if let Some(peer) = self.0.get_mut(&id) {
            peer.rooms_until = now + left.min(LONGEST);
        }
    }

    /// Whose address has to be looked at: it owes an answer, or has been silent.
    pub(super) fn to_look_at(&self, now: Instant) -> Vec<Node> {
        let peers = self.0.values();
        let peers = peers.filter(|it| it.doubtful || it.is_silent(now));
        peers.map(|peer| peer.node.clone()).collect()
    }

    /// Notes who is silent at `now`; who has been for `forget`, and for as long as the last of the rooms lived that it
    /// has told of, has none left that anybody here was told of.
    pub(super) fn look(&mut self, now: Instant, forget: Duration) -> Vec<Change> {
        let mut changes = Vec::new();
        self.0.retain(|_, peer| {
            let silent = now.duration_since(peer.heard);
            if silent >= forget && peer.rooms_until <= now {
                changes.push(Change::Gone(peer.node.clone()));
                return false;
            }
            if silent >= SILENCE && !peer.silent {
                peer.silent = true;
                changes.push(Change::Silent(peer.node.clone()));
            }
            true
        });
        changes
    }

    /// Nobody can be heard of for now: silence means nothing until they could be again.
    pub(super) fn deaf(&mut self, now: Instant) {
        for peer in self.0.values_mut() {
            peer.heard = now;
        }
    }

    /// How many there are in which state, with its label.
    pub(super) fn counts(&self, now: Instant) -> [(&'static str, u64); 3] {
        let count = |state: fn(&Peer, Instant) -> bool| {
            self.0.values().filter(|peer| state(peer, now)).count() as u64
        };
        let doubtful = count(|peer, _| peer.doubtful);
        let silent = count(|peer, now| !peer.doubtful && peer.is_silent(now));
        let heard = self.0.len() as u64 - doubtful - silent;
        [("heard", heard), ("silent", silent), ("doubtful", doubtful)]
    }

    /// One of this name.
    pub(super) fn get(&self, id: NodeId) -> Option<&Peer> {
        self.0.get(&id)
    }

    /// All of them, by their address.
    pub(super) fn all(&self) -> Vec<Peer> {
        let mut all: Vec<_> = self.0.values().cloned().collect();
        all.sort_by(|a, b| a.node.address.cmp(&b.node.address));
        all
    }
}

/// Whether another node, which has run for so many milliseconds, keeps the address that this one has as well: the one that
/// was there first does. Where both began at once, one of them has to.
pub(super) fn keeps(other: (u64, NodeId), own: (u64, NodeId)) -> bool {
    match other.0.abs_diff(own.0) {
        0..AT_ONCE => other.1 < own.1,
        _ => other.0 > own.0,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn node(address: &str) -> Node {
        Node {
            id: NodeId::random(),
            address: address.to_owned(),
        }
    }

    #[test]
    fn a_node_comes_falls_silent_and_is_forgotten_with_its_rooms() {
        let (a, now, hour) = (node("a"), Instant::now(), Duration::from_secs(3600));
        let mut peers = Peers::default();
        assert_eq!(peers.heard(&a, now), Some(Change::Came(a.clone())));
        assert_eq!(peers.heard(&a, now), None);
        assert!(peers.look(now + BEAT, hour).is_empty());
        let then = now + SILENCE;
        assert_eq!(peers.look(then, hour), [Change::Silent(a.clone())]);
        assert!(peers.look(then, hour).is_empty(), "it is told once");
        assert_eq!(peers.to_look_at(then).as_slice(), std::slice::from_ref(&a));
        assert_eq!(peers.heard(&a, then), Some(Change::Back(a.clone())));
        assert_eq!(peers.look(then + hour, hour), [Change::Gone(a)]);
        assert!(peers.all().is_empty());
    }

    #[test]
    fn a_silent_node_is_remembered_for_as_long_as_the_rooms_it_told_of_live() {
        let (a, now, hour) = (node("a"), Instant::now(), Duration::from_secs(3600));
        let mut peers = Peers::default();
        peers.heard(&a, now);
        peers.has_rooms(a.id, 3 * hour, now);
        assert_eq!(peers.look(now + hour, hour), [Change::Silent(a.clone())]);
        assert!(peers.look(now + 3 * hour - BEAT, hour).is_empty());
        assert_eq!(peers.look(now + 3 * hour, hour), [Change::Gone(a.clone())]);
        // Nobody may say more than a room can live.
        peers.heard(&a, now);
        peers.has_rooms(a.id, Duration::MAX, now);
        assert_eq!(peers.look(now + LONGEST, hour), [Change::Gone(a)]);
    }

    #[test]
    fn who_owes_an_answer_is_doubtful_until_it_is_heard_of() {
        let (a, b, now) = (node("a"), node("b"), Instant::now());
        let mut peers = Peers::default();
        let doubtful = |peers: &Peers| {
            let peers = peers.within(SILENCE, now).filter(|(_, it)| it.doubtful);
            peers.map(|(id, _)| id).collect::<Vec<_>>()
        };
        peers.heard(&a, now);
        peers.heard(&b, now);
        assert_eq!(doubtful(&peers), []);
        peers.doubt(a.id);
        let counts = [("heard", 1), ("silent", 0), ("doubtful", 1)];
        assert_eq!(peers.counts(now), counts);
        let counts = [("heard", 0), ("silent", 1), ("doubtful", 1)];
        assert_eq!(peers.counts(now + SILENCE), counts);
        assert_eq!(doubtful(&peers), [a.id]);
        assert_eq!(peers.within(SILENCE, now).count(), 2);
        assert_eq!(peers.within(SILENCE, now + SILENCE).count(), 0);
        assert_eq!(peers.to_look_at(now).as_slice(), std::slice::from_ref(&a));
        peers.answered(a.id, now);
        assert_eq!(doubtful(&peers), []);
        peers.doubt(a.id);
        assert_eq!(peers.gone(a.id), Some(Change::Gone(a)));
        assert_eq!(doubtful(&peers), []);
    }

    #[test]
    fn nobody_is_silent_while_nobody_could_be_heard() {
        let (a, now, hour) = (node("a"), Instant::now(), Duration::from_secs(3600));
        let mut peers = Peers::default();
        peers.heard(&a, now);
        peers.deaf(now + SILENCE);
        assert!(peers.look(now + SILENCE + BEAT, hour).is_empty());
    }

    #[test]
    fn a_crowd_of_nodes_is_bounded() {
        let mut peers = Peers::default();
        for _ in 0..MOST + 10 {
            peers.heard(&node("a"), Instant::now());
        }
        assert_eq!(peers.all().len(), MOST);
    }

    #[test]
    fn of_two_at_one_address_the_first_stays() {
        let (a, b) = (NodeId::random(), NodeId::random());
        assert!(keeps((5000, a), (10, b)) && !keeps((10, b), (5000, a)));
        // What the other says is older than it is when it is heard.
        assert_ne!(keeps((20, a), (25, b)), keeps((21, b), (24, a)));
    }

    #[test]
    fn a_word_is_heard_once_and_of_who_is_here() {
        let (a, now) = (node("a"), Instant::now());
        let mut peers = Peers::default();
        assert!(!peers.is_new(a.id, 1));
        peers.heard(&a, now);
        assert!(peers.is_new(a.id, 3));
        assert!(!peers.is_new(a.id, 3) && !peers.is_new(a.id, 2));
        assert!(peers.is_new(a.id, 4));
    }
}
