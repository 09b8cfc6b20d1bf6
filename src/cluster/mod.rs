//! Several relays that are one to their clients: a room that is open on one is found from all of them.
//!
//! Each is a node. A client stays on the node that it has come to. Where that does not have the room of its
//! code, it asks all nodes over NATS, and visits the one that has it: it opens a WebSocket there in its
//! client's place, and from then on is a plain pipe between the two. NATS has the questions, the answers and
//! a heartbeat of every node, and nothing of what clients say.
//!
//! What the operator decides on one node is told to all. Each heartbeat says by a fingerprint which decisions a node
//! knows; to one that knows others a node tells all that it knows itself, and both merge what they hear. So all know the
//! same soon after they can hear each other, whatever they have missed.
//!
//! | module | contents |
//! |---|---|
//! | `counts`, `exposition` | what is counted, and how the page of metrics has it |
//! | `join` | how the conversation with the others begins, and is ended |
//! | `link` | the conversation over NATS, on a thread of its own |
//! | `login` | how NATS knows a node |
//! | `lookup` | questions that are on their way: pure |
//! | `peers` | the other nodes, and who of them is silent: pure |
//! | [`pipe`] | the bytes of a client whose room is elsewhere |
//! | [`roads`] | connections to other nodes |
//! | `secret` | what the common secret is good for |
//! | `subjects` | the NATS subjects |
//! | `tickets` | what lets a visit in, once: pure |
//! | [`view`] | what the operator is shown |
//! | [`visit`] | the way into another node's room |
//! | [`welcome`] | what a node does about those who come |
//! | [`words`] | what nodes say to each other |
//!
//! Whom a client's request is charged to, and what becomes of its session, is for others.

mod ask;
mod counts;
mod exposition;
mod join;
mod link;
mod login;
mod lookup;
mod peers;
pub mod pipe;
pub mod roads;
mod secret;
mod subjects;
mod tickets;
pub mod view;
pub mod visit;
pub mod welcome;
pub mod words;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, atomic::AtomicBool},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use log::{info, warn};
use relay_wire::code::RoomCode;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

pub use self::{
    counts::Counts,
    peers::{Change, Patience},
};
use self::{
    counts::Lost,
    lookup::{Found, Lookups},
    peers::Peers,
    roads::Roads,
    secret::{Keys, RoomHash},
    tickets::Tickets,
    words::{Node, NodeId, Why, Word},
};
use crate::{
    config,
    limits::{
        address::AddressKey,
        rules::{Decided, Rules},
    },
    rooms::ended::Ended,
};

/// How long a room that is to be opened waits for the others' word.
const OPENING: Duration = Duration::from_millis(50);
/// Words that may wait to be said.
const UNSAID: usize = 1024;

/// This node, and what it knows of the others.
pub struct Cluster {
    own: Node,
    began: Instant,
    keys: Keys,
    patience: Patience,
    rooms: RwLock<Rooms>,
    known: Mutex<Known>,
    /// What is to be told to all others.
    unsaid: mpsc::Sender<Word>,
    /// Where the link begins, once.
    words: Mutex<Option<mpsc::Receiver<Word>>>,
    standing: watch::Sender<Standing>,
    left: AtomicBool,
    roads: Roads,
    /// What the operator has decided, here or elsewhere.
    rules: Arc<Rules>,
    /// Who is told what the others say.
    listener: OnceLock<Listener>,
    /// What is counted.
    pub counts: Arc<Counts>,
}

/// The rooms of this node.
#[derive(Default)]
struct Rooms {
    /// Those that are open here, and until when somebody may join; or those about to be.
    open: HashMap<RoomHash, Instant>,
    /// Those that have ended here, and whose codes are still in somebody's token.
    ended: Ended<RoomHash>,
}

type Listener = Box<dyn Fn(News) + Send + Sync>;

/// What is known of the others.
struct Known {
    peers: Peers,
    lookups: Lookups<oneshot::Sender<Found>>,
    tickets: Tickets,
    /// Nodes that somebody looks at just now.
    looked_at: HashSet<NodeId>,
    /// Since when this node stands to the cluster as it does.
    turned: Instant,
    /// What NATS, or the way to it, complained of last, and when.
    complaint: Option<(String, Instant)>,
}

/// How this node stands to the cluster.
#[derive(Debug, Clone)]
pub enum Standing {
    /// NATS is not reached, for the first time or again.
    Apart,
    /// NATS is reached, since then.
    Joined(async_nats::Client, Instant),
    /// Another node has this one's address.
    Refused(Node),
}

/// Nobody can say whether a room is there: NATS, or a node that may have it, is not reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unknown;

/// What the others tell this node, and how it fares with them.
#[derive(Debug)]
pub enum News {
    /// A client of this network has tried a wrong code there.
    WrongCode(AddressKey),
    /// The operator's decisions have changed for what was heard.
    Decided,
    /// The cluster is joined, for the first time or again.
    Joined,
    /// It is left: NATS is not reached any more, this node stops, or may not take part.
    Left,
    /// Another node has come, has fallen silent, or is gone.
    Node(Change),
}

impl Cluster {
    /// A node that has joined nobody yet.
    ///
    /// # Errors
    ///
    /// Where the system has no randomness.
    pub fn new(
        settings: &config::Cluster,
        patience: Patience,
        rules: Arc<Rules>,
    ) -> Result<Self, getrandom::Error> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt)?;
        let (unsaid, words) = mpsc::channel(UNSAID);
        Ok(Self {
            own: Node {
                id: NodeId::random(),
                address: settings.address.to_string(),
            },
            began: Instant::now(),
            keys: Keys::new(&settings.secret, salt),
            patience,
            rooms: RwLock::default(),
            known: Mutex::new(Known {
                peers: Peers::default(),
                lookups: Lookups::default(),
                tickets: Tickets::default(),
                looked_at: HashSet::new(),
                turned: Instant::now(),
                complaint: None,
            }),
            unsaid,
            words: Mutex::new(Some(words)),
            standing: watch::Sender::new(Standing::Apart),
            left: AtomicBool::new(false),
            roads: Roads::default(),
            rules,
            listener: OnceLock::new(),
            counts: Arc::default(),
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Every change to it is whole before anything can panic.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This node.
    pub fn own(&self) -> &Node {
        &self.own
    }

    /// A room is closed, or not opened after all. Until `void_until`, if that is given, nobody opens it again.
    pub fn closed(&self, code: &RoomCode, void_until: Option<Instant>) {
        let room = self.keys.room(code);
        let mut rooms = self.rooms.write().unwrap_or_else(PoisonError::into_inner);
        let Rooms { open, ended } = &mut *rooms;
        open.remove(&room);
        if open.is_empty() {
            // It would keep its size for as long as the relay runs.
            open.shrink_to_fit();
        }
        if let Some(until) = void_until {
            ended.prune(Instant::now());
            ended.insert(room, until);
        }
    }

    /// Whether this node has a room, as far as that matters to who asks: whoever takes one up again, or gives out its
    /// code, has to know of those that have ended, too.
    fn has(&self, room: &RoomHash, why: Why) -> bool {
        let rooms = self.rooms.read().unwrap_or_else(PoisonError::into_inner);
        let has_ended = || rooms.ended.has(room, Instant::now());
        rooms.open.contains_key(room) || (why != Why::Join && has_ended())
    }

    /// Takes a code for a room of this node's that is about to be opened; whether no other node has it, as
    /// far as they say within a moment. It is given back by [`Cluster::closed`].
    pub async fn take(&self, code: &RoomCode) -> bool {
        let room = self.enter(code, Instant::now());
        let asked = timeout(OPENING, self.ask(room, Why::Open)).await;
        !matches!(asked, Ok(Ok(Some(_))))
    }

    /// The same for a room that was on another node, for which a sender may ask several nodes at once: it is this node's
    /// only once all others have said that they do not have it.
    pub async fn take_again(&self, code: &RoomCode) -> bool {
        let room = self.enter(code, Instant::now());
        matches!(self.ask(room, Why::Resume).await, Ok(None))
    }

    /// A room is open, which may be joined until then. It is entered again, as it may be one that two sessions of its
    /// sender took, of which the first has left and given it back.
    pub fn opened(&self, code: &RoomCode, until: Instant) {
        self.enter(code, until);
    }

    /// From here on this node says that it has a room of this code.
    fn enter(&self, code: &RoomCode, until: Instant) -> RoomHash {
        let room = self.keys.room(code);
        let mut rooms = self.rooms.write().unwrap_or_else(PoisonError::into_inner);
        rooms.open.insert(room, until);
        room
    }

    /// For how long from `now` on the last of this node's rooms may be joined, to the second after.
    fn rooms_left(&self, now: Instant) -> Duration {
        let rooms = self.rooms.read().unwrap_or_else(PoisonError::into_inner);
        let last = rooms.open.values().max();
        last.map_or(Duration::ZERO, |last| {
            last.saturating_duration_since(now) + Duration::from_secs(1)
        })
    }

    /// Tells all others that a client has tried a wrong code.
    pub fn wrong_code(&self, client: AddressKey) {
        let (from, client) = (self.own.id, client.range().addr());
        self.say(Word::WrongCode { from, client });
    }

    /// Tells all others what the operator has decided here. Who misses it hears it soon after.
    pub fn decided(&self, decided: Decided) {
        let from = self.own.id;
        self.say(Word::Decided { from, decided });
    }

    /// Notes what the operator has decided elsewhere.
    fn take_over(&self, decided: Decided) {
        if self.rules.merge(decided, Timestamp::now(), Instant::now()) {
            self.tell(News::Decided);
        }
    }

    /// Has the link say something. Where it has too much to say already, it goes unsaid.
    fn say(&self, word: Word) {
        if self.unsaid.try_send(word).is_err() {
            self.counts.lost(Lost::Full);
        }
    }

    fn tell(&self, news: News) {
        if let Some(listener) = self.listener.get() {
            listener(news);
        }
    }

    /// Whether this node takes part now.
    fn is_joined(&self) -> bool {
        matches!(*self.standing.borrow(), Standing::Joined(..))
    }

    /// Stands to the cluster like this from here on.
    fn turn(&self, standing: Standing) {
        self.known().turned = Instant::now();
        self.standing.send_replace(standing);
    }

    /// Logs what has changed among the nodes, and tells it.
    fn report(&self, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            let address = &change.node().address;
            match change {
                Change::Came(_) => info!("cluster: node {address} is here"),
                Change::Back(_) => info!("cluster: node {address} is heard of again"),
                Change::Silent(_) => warn!(
                    "cluster: node {address} is not heard of: its rooms cannot be joined from here until it is"
                ),
                Change::Gone(_) => {
                    info!("cluster: node {address} is gone, and its rooms with it");
                }
            }
            self.tell(News::Node(change));
        }
    }

    /// A node is no more: nobody waits for its answer.
    fn gone(&self, id: NodeId) {
        let (change, settled) = {
            let known = &mut *self.known();
            (known.peers.gone(id), known.lookups.dead(id))
        };
        self.report(change);
        Self::settle(settled);
    }

    /// Tells those who have asked what was found.
    fn settle(settled: impl IntoIterator<Item = (oneshot::Sender<Found>, Found)>) {
        for (asker, found) in settled {
            // Who has asked may be gone.
            let _ = asker.send(found);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
impl Cluster {
    /// A node that reaches nobody.
    pub(crate) fn alone() -> Self {
        let settings = config::Cluster {
            nats: config::NatsServers::default(),
            credentials: None,
            address: relay_client::url::Url::parse("ws://127.0.0.1:1").unwrap(),
            secret: "a secret of these tests".to_owned(),
        };
        let patience = Patience {
            any: Duration::from_secs(60),
            left: Duration::from_secs(60),
        };
        Self::new(&settings, patience, Arc::default()).unwrap()
    }

    /// Whether this node tells others that it has a room.
    pub(crate) fn shows(&self, code: &RoomCode) -> bool {
        self.has(&self.keys.room(code), Why::Join)
    }
}
