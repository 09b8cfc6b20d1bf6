//! What a node does about what it hears over NATS.

use std::time::{Duration, Instant};

use async_nats::Message;
use jiff::Timestamp;
use log::{debug, error, warn};
use serde::de::DeserializeOwned;

use super::Link;
use crate::{
    cluster::{
        Cluster, News, Standing,
        counts::Lost,
        join::taken,
        peers::keeps,
        secret::Purpose,
        subjects,
        words::{Answer, Invitation, Letter, Node, NodeId, Question, Why, Word},
    },
    limits::rules::Fingerprint,
};

impl Link {
    pub(super) async fn on_question(&self, message: &Message) {
        let Some((_, question)) = self.hear::<Question>(message) else {
            return self.foreign();
        };
        let own = &self.cluster.own;
        if question.from == own.id {
            return self.answered(question.number, own.id, None);
        }
        let room = subjects::room_of(&message.subject);
        let has = room
            .filter(|room| self.cluster.has(room, question.why))
            .and_then(|_| self.invitation(question.why));
        let answer = Answer {
            from: own.id,
            number: question.number,
            has,
        };
        self.write(question.from, &Letter::Answer(answer)).await;
    }

    /// What lets a visit in that comes for one of our rooms.
    fn invitation(&self, why: Why) -> Option<Invitation> {
        let mut ticket = [0; 16];
        if why != Why::Open {
            getrandom::fill(&mut ticket).ok()?;
            self.cluster.known().tickets.give(ticket, Instant::now());
        }
        Some(Invitation {
            address: self.cluster.own.address.clone(),
            ticket,
        })
    }

    pub(super) fn on_letter(&self, message: &Message) {
        match self.hear::<Letter>(message) {
            Some((_, Letter::Answer(Answer { from, number, has }))) => {
                let change = self.cluster.known().peers.answered(from, Instant::now());
                self.cluster.report(change);
                self.answered(number, from, has);
            }
            Some((_, Letter::Decided(decided))) => self.cluster.take_over(decided),
            None => self.foreign(),
        }
    }

    /// Something was said that is none of ours.
    fn foreign(&self) {
        self.cluster.counts.lost(Lost::Foreign);
        debug!("cluster: a word that is none of ours");
    }

    fn answered(&self, number: u64, from: NodeId, has: Option<Invitation>) {
        let settled = self.cluster.known().lookups.answered(number, from, has);
        Cluster::settle(settled);
    }

    pub(super) async fn on_word(&mut self, message: &Message) {
        let Some((number, word)) = self.hear::<Word>(message) else {
            return self.foreign();
        };
        let is_new = |from| self.cluster.known().peers.is_new(from, number);
        match word {
            Word::Here {
                node,
                asks,
                up,
                decided,
                rooms,
            } => {
                let rooms = Duration::from_secs(rooms);
                self.on_here(&node, asks, up, decided, rooms).await;
            }
            Word::Gone(id) => {
                self.cluster.gone(id);
                self.may_be_free(|other| other.id == id).await;
            }
            Word::WrongCode { from, client } if is_new(from) => {
                self.cluster.tell(News::WrongCode(client.into()));
            }
            Word::Decided { from, decided } if is_new(from) => self.cluster.take_over(decided),
            // This node's own, or of one that is not here.
            Word::WrongCode { .. } | Word::Decided { .. } => {}
        }
    }

    /// Opens what was said; `None` for what is none of ours.
    fn hear<T: DeserializeOwned>(&self, message: &Message) -> Option<(u64, T)> {
        let keys = &self.cluster.keys;
        keys.hear(Purpose::Word, &message.subject, &message.payload)
    }

    async fn on_here(
        &mut self,
        node: &Node,
        asks: bool,
        up: u64,
        decided: Fingerprint,
        rooms: Duration,
    ) {
        let own = &self.cluster.own;
        if node.id == own.id {
            return;
        }
        if node.address == own.address {
            return self.on_rival(node, asks, up).await;
        }
        let change = {
            let (peers, now) = (&mut self.cluster.known().peers, Instant::now());
            let change = peers.heard(node, now);
            peers.has_rooms(node.id, rooms, now);
            change
        };
        self.cluster.report(change);
        if asks {
            self.here(false).await;
        }
        if decided != self.cluster.rules.fingerprint() {
            // It does the same, as it hears from us once a second.
            for part in self.cluster.rules.known(Timestamp::now()).parts() {
                self.write(node.id, &Letter::Decided(part)).await;
            }
        }
    }

    /// Another node has our address. The one that was there first keeps it.
    async fn on_rival(&mut self, rival: &Node, asks: bool, up: u64) {
        let own = &self.cluster.own;
        if keeps((up, rival.id), (self.up(), own.id)) {
            self.rival_heard = Instant::now();
            if !matches!(*self.cluster.standing.borrow(), Standing::Refused(_)) {
                error!(
                    "{}; until then this relay has its own rooms alone",
                    taken(rival)
                );
                self.cluster.turn(Standing::Refused(rival.clone()));
                self.cluster.tell(News::Left);
            }
        } else if asks {
            warn!(
                "cluster: another node has the address {} of this one, and is refused",
                own.address
            );
            self.here(false).await;
        }
    }
}
