//! The conversation over NATS, on a thread of its own: nodes answer each other in time however busy their
//! workers are.
//!
//! What is said is sealed. What follows from what is heard is in `heard`.

mod heard;

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::{Duration, Instant},
};

use async_nats::{Client, Event, connection::State};
use futures_util::{StreamExt, future::try_join3};
use log::{info, warn};
use relay_wire::text::escaped;
use tokio::{
    select,
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    Cluster, News, Standing,
    counts::Lost,
    peers::{BEAT, SILENCE},
    secret::Purpose,
    subjects,
    words::{Letter, Node, NodeId, Word},
};

/// How long the NATS client may take to take something.
const SENDING: Duration = Duration::from_millis(200);
/// How long the last word may take.
const LAST_WORD: Duration = Duration::from_secs(1);

/// One end of the conversation.
pub(super) struct Link {
    cluster: Arc<Cluster>,
    nats: Client,
    /// What NATS complained of last.
    complaint: String,
    /// When the node that has our address was heard of last.
    rival_heard: Instant,
}

impl Link {
    pub(super) fn new(cluster: Arc<Cluster>, nats: Client) -> Self {
        Self {
            cluster,
            nats,
            complaint: String::new(),
            rival_heard: Instant::now(),
        }
    }

    /// Goes on until this node leaves.
    pub(super) async fn run(
        mut self,
        mut words: mpsc::Receiver<Word>,
        mut events: mpsc::Receiver<Event>,
    ) {
        let keys = &self.cluster.keys;
        let subscribed = try_join3(
            self.nats.subscribe(subjects::questions(keys)),
            self.nats.subscribe(subjects::to(keys, self.cluster.own.id)),
            self.nats.subscribe(subjects::all(keys)),
        );
        let (mut questions, mut answers, mut told) = match subscribed.await {
            Ok(subscribed) => subscribed,
            Err(error) => return warn!("cluster: nothing can be heard over NATS: {error}"),
        };
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            select! {
                Some(event) = events.recv() => self.on_event(event).await,
                Some(question) = questions.next() => self.on_question(&question).await,
                Some(answer) = answers.next() => self.on_letter(&answer),
                Some(word) = told.next() => self.on_word(&word).await,
                Some(word) = words.recv() => self.say(&word).await,
                _ = beat.tick() => self.beat().await,
                else => break,
            }
            if self.cluster.left.load(SeqCst) {
                return self.leave().await;
            }
        }
    }

    /// Says its last, where anybody can hear it.
    async fn leave(self) {
        if self.cluster.is_joined() {
            let gone = Word::Gone(self.cluster.own.id);
            let last = async {
                self.say(&gone).await;
                let _ = self.nats.flush().await;
            };
            let _ = timeout(LAST_WORD, last).await;
        }
        // Not before: who is apart says nothing.
        self.cluster.turn(Standing::Apart);
        info!("cluster: left");
        self.cluster.tell(News::Left);
    }

    async fn say(&self, word: &Word) {
        if !self.cluster.is_joined() {
            // What is not said while NATS is away would be no news when it is back.
            return self.cluster.counts.lost(Lost::Apart);
        }
        let subject = subjects::all(&self.cluster.keys);
        let sealed = self.cluster.keys.say(Purpose::Word, &subject, word);
        self.send(subject, sealed).await;
    }

    /// Says something to one other node.
    async fn write(&self, to: NodeId, letter: &Letter) {
        let subject = subjects::to(&self.cluster.keys, to);
        let sealed = self.cluster.keys.say(Purpose::Word, &subject, letter);
        self.send(subject, sealed).await;
    }

    /// Hands something to the NATS client. It has a bound, at which this would wait for as long as NATS is silent, and
    /// not hear that it is.
    async fn send(&self, subject: String, sealed: Vec<u8>) {
        let sent = timeout(SENDING, self.nats.publish(subject, sealed.into()));
        if !matches!(sent.await, Ok(Ok(()))) {
            self.cluster.counts.lost(Lost::Full);
        }
    }

    /// For how long this node has run, in milliseconds.
    fn up(&self) -> u64 {
        u64::try_from(self.cluster.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    async fn here(&self, asks: bool) {
        let here = Word::Here {
            node: self.cluster.own.clone(),
            asks,
            up: self.up(),
            decided: self.cluster.rules.fingerprint(),
            rooms: self.cluster.rooms_left(Instant::now()).as_secs(),
        };
        self.say(&here).await;
    }

    /// NATS is reached. Both its event and the next heartbeat may tell of it.
    async fn joined(&mut self) {
        if !matches!(*self.cluster.standing.borrow(), Standing::Apart) {
            return;
        }
        let now = Instant::now();
        self.cluster.known().peers.deaf(now);
        self.cluster.turn(Standing::Joined(self.nats.clone(), now));
        self.complaint.clear();
        info!("cluster: joined, over NATS");
        self.cluster.tell(News::Joined);
        self.here(true).await;
    }

    /// NATS is not reached any more.
    fn apart(&self) {
        if !matches!(*self.cluster.standing.borrow(), Standing::Apart) {
            warn!(
                "cluster: NATS is not reached any more: this relay has its own rooms alone until it is"
            );
            self.cluster.tell(News::Left);
            self.cluster.turn(Standing::Apart);
        }
    }

    async fn on_event(&mut self, event: Event) {
        match event {
            Event::Connected => self.joined().await,
            Event::Disconnected | Event::Closed => self.apart(),
            other => {
                if matches!(other, Event::SlowConsumer(_)) {
                    self.cluster.counts.lost(Lost::Slow);
                }
                let complaint = escaped(&other.to_string()).to_string();
                self.cluster.known().complaint = Some((complaint.clone(), Instant::now()));
                if complaint != self.complaint {
                    warn!("cluster: NATS: {complaint}");
                    self.complaint = complaint;
                }
            }
        }
    }

    /// Takes part again if the node that had our address is one of these.
    async fn may_be_free(&self, is_gone: impl Fn(&Node) -> bool) {
        let refused = match &*self.cluster.standing.borrow() {
            Standing::Refused(other) => is_gone(other),
            Standing::Apart | Standing::Joined(..) => false,
        };
        if refused {
            self.cluster
                .turn(Standing::Joined(self.nats.clone(), Instant::now()));
            info!("cluster: joined, as this node's address is its own now");
            self.cluster.tell(News::Joined);
            self.here(true).await;
        }
    }

    /// Says that this node is here, and looks after those that are silent.
    async fn beat(&mut self) {
        // Its events tell the same, but for those that found no place.
        match self.nats.connection_state() {
            State::Connected => self.joined().await,
            State::Disconnected => self.apart(),
            State::Pending => {}
        }
        if self.rival_heard.elapsed() >= SILENCE {
            self.may_be_free(|_| true).await;
        }
        self.here(false).await;
        if !self.cluster.is_joined() {
            return;
        }
        let now = Instant::now();
        let (changes, silent) = {
            let peers = &mut self.cluster.known().peers;
            let forget = self.cluster.patience.any;
            (peers.look(now, forget), peers.to_look_at(now))
        };
        self.cluster.report(changes);
        if !silent.is_empty() {
            let cluster = Arc::clone(&self.cluster);
            tokio::spawn(async move { cluster.look_at(silent.iter().map(|it| it.id)).await });
        }
    }
}
