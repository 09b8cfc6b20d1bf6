//! The question who has a room, which a node asks all others, and what it does about those that do not answer.

use std::{
    collections::HashSet,
    pin::pin,
    time::{Duration, Instant},
};

use futures_util::future::{Either, join_all, pending, select};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use super::{
    Cluster, Standing, Unknown,
    lookup::Found,
    secret::{Purpose, RoomHash},
    subjects,
    words::{Invitation, NodeId, Question, Why},
};

/// After what time those that have not answered are looked at, whether they are alive.
const ANSWER: Duration = Duration::from_millis(200);
/// How long they have for an answer. A right code is found within that on a machine that is busy, too.
const PATIENCE: Duration = Duration::from_millis(900);
/// How long after NATS was reached every other node has reached it, too, were it on its second try: until then nobody can
/// say that no node has a room.
const SETTLING: Duration = Duration::from_millis(2500);

impl Cluster {
    /// Asks all nodes who has a room.
    pub(super) async fn ask(
        &self,
        room: RoomHash,
        why: Why,
    ) -> Result<Option<Invitation>, Unknown> {
        let Standing::Joined(nats, since) = self.standing.borrow().clone() else {
            return Err(Unknown);
        };
        let (asker, found) = oneshot::channel();
        let asked = Asked::new(self, why, asker);
        let subject = subjects::question(&self.keys, &room);
        let question = Question {
            from: self.own.id,
            number: asked.number,
            why,
        };
        let question = self.keys.say(Purpose::Word, &subject, &question);
        let answered = async {
            nats.publish(subject, question.into()).await.ok()?;
            found.await.ok()
        };
        let answered = async {
            // Where those that are missing are dead, that is an answer, too.
            match select(pin!(answered), pin!(self.look_after(&asked))).await {
                Either::Left((answer, _)) => answer,
                Either::Right(((), _)) => None,
            }
        };
        match timeout(PATIENCE, answered).await {
            Ok(Some(Found::There(invitation))) => return Ok(Some(invitation)),
            Ok(Some(Found::Nowhere)) => {}
            Ok(None) => return Err(Unknown),
            Err(_) => {
                let missing = asked.give_up();
                if !missing.contains(&self.own.id) {
                    self.doubt(&missing);
                }
                return Err(Unknown);
            }
        }
        let settled = since.elapsed() >= SETTLING;
        match settled && self.doubtful(why).is_empty() {
            true => Ok(None),
            false => Err(Unknown),
        }
    }

    /// Looks at those that do not answer a question. Returns where that is not worth waiting for any longer.
    async fn look_after(&self, asked: &Asked<'_>) {
        sleep(ANSWER).await;
        let missing = self.known().lookups.missing(asked.number);
        if missing.is_subset(&asked.doubtful) {
            // They are looked at all the time.
            return;
        }
        // Where not even this node has heard it, it is NATS that is silent.
        if !missing.contains(&self.own.id) {
            self.look_at(missing).await;
        }
        pending().await
    }

    /// For how long a node that is silent is asked, and waited for.
    fn patience(&self, why: Why) -> Duration {
        match why {
            Why::Resume => self.patience.left,
            // As long as it is remembered.
            Why::Join | Why::Open => Duration::MAX,
        }
    }

    /// Those that have not answered, and may have what is asked for.
    fn doubtful(&self, why: Why) -> HashSet<NodeId> {
        let known = self.known();
        let peers = known.peers.within(self.patience(why), Instant::now());
        let doubtful = peers.filter(|(_, peer)| peer.doubtful);
        doubtful.map(|(id, _)| id).collect()
    }

    fn doubt(&self, nodes: &HashSet<NodeId>) {
        let mut known = self.known();
        for &node in nodes {
            known.peers.doubt(node);
        }
    }

    /// Looks whether nodes that do not answer are alive; those that are not are forgotten. At most one looks at a node.
    pub(super) async fn look_at(&self, nodes: impl IntoIterator<Item = NodeId>) {
        let looks = nodes.into_iter().filter_map(|id| {
            let known = &mut *self.known();
            let node = known.peers.get(id)?.node.clone();
            let look = known.looked_at.insert(id).then(|| Look(self, id))?;
            Some(async move {
                let is_dead = self.is_dead(&node).await;
                drop(look);
                if is_dead {
                    self.gone(node.id);
                }
            })
        });
        join_all(looks.collect::<Vec<_>>()).await;
    }
}

/// A look at a node, which may be given up at any moment.
struct Look<'a>(&'a Cluster, NodeId);

impl Drop for Look<'_> {
    fn drop(&mut self) {
        self.0.known().looked_at.remove(&self.1);
    }
}

/// A question of somebody who may stop waiting at any moment.
struct Asked<'a> {
    cluster: &'a Cluster,
    number: u64,
    /// Those of whom no answer is expected, and who may have the room.
    doubtful: HashSet<NodeId>,
}

impl<'a> Asked<'a> {
    fn new(cluster: &'a Cluster, why: Why, asker: oneshot::Sender<Found>) -> Self {
        let doubtful = cluster.doubtful(why);
        let known = &mut *cluster.known();
        let peers = known.peers.within(cluster.patience(why), Instant::now());
        // This node too: that it hears its own question shows that NATS passes them on.
        let nodes = peers.map(|(id, _)| id).chain([cluster.own.id]);
        let number = known.lookups.ask(nodes, asker);
        Self {
            cluster,
            number,
            doubtful,
        }
    }

    fn give_up(&self) -> HashSet<NodeId> {
        self.cluster.known().lookups.give_up(self.number)
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.give_up();
    }
}
