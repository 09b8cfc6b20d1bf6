//! The conversation over NATS, on a thread of its own: nodes answer each other in time however busy their
//! workers are.
//!
//! What is said is sealed. What follows from what is heard is in `heard`.

mod heard;

use std::{
    sync::{Arc, PoisonError, atomic::Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use async_nats::{Client, Event, ServerAddr, Subscriber, connection::State};
use futures_util::StreamExt;
use log::{info, warn};
use relay_wire::text::escaped;
use tokio::{
    select,
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    Cluster, News, Standing,
    counts::Lost,
    login,
    peers::{BEAT, SILENCE},
    secret::Purpose,
    subjects,
    words::{Letter, Node, NodeId, Word},
};
use crate::{config, observe::logging};

/// How often NATS is asked whether it is there; it is given up after two questions without an answer.
const ASKED: Duration = Duration::from_secs(1);
/// How long a connection to NATS may take.
const CONNECTING: Duration = Duration::from_secs(1);
/// The longest pause between two tries to reach NATS, in milliseconds: all nodes are back soon after it is,
/// and not at once.
const LONGEST_PAUSE: u32 = 900;
/// How long the NATS client may take to take something.
const SENDING: Duration = Duration::from_millis(200);
/// How long the last word may take.
const LEAVING: Duration = Duration::from_secs(1);
/// How long a start waits for the cluster. Without it the relay has its own rooms alone.
const JOINING: Duration = Duration::from_secs(2);
/// How long a start waits for a word of who has its address: that says so as soon as it hears of this node.
const OBJECTING: Duration = Duration::from_millis(300);
/// Events of the NATS client that may wait.
const EVENTS: usize = 64;

impl Cluster {
    /// Joins the others, and goes on trying where NATS is not reached for now. `tell` is called with what
    /// they say, mostly on a thread of the cluster's own, and does not wait for anything.
    ///
    /// # Errors
    ///
    /// A sentence, where the thread cannot start, the credentials cannot be read, or another node has this
    /// one's address.
    pub async fn join(
        self: &Arc<Self>,
        settings: config::Cluster,
        forget: Duration,
        tell: impl Fn(News) + Send + Sync + 'static,
    ) -> Result<(), String> {
        let words = self
            .words
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(words) = words else {
            return Ok(());
        };
        // Nobody has before: the words begin once.
        let _ = self.listener.set(Box::new(tell));
        let nats = settings.nats.to_string();
        start(Arc::clone(self), settings, forget, words).await?;
        let mut standing = self.standing.subscribe();
        let joined = standing.wait_for(|it| !matches!(it, Standing::Apart));
        if !matches!(timeout(JOINING, joined).await, Ok(Ok(_))) {
            warn!(
                "the cluster is not joined yet, as NATS at {nats} is not reached: this relay has its own \
                 rooms alone"
            );
            return Ok(());
        }
        let refused = standing.wait_for(|it| matches!(it, Standing::Refused(_)));
        match timeout(OBJECTING, refused).await {
            Ok(Ok(standing)) => match &*standing {
                Standing::Refused(other) => Err(taken(other)),
                Standing::Apart | Standing::Joined(..) => Ok(()),
            },
            Ok(Err(_)) | Err(_) => Ok(()),
        }
    }
}

/// Starts the thread.
///
/// # Errors
///
/// A sentence, where the thread cannot start or the credentials cannot be read.
pub(super) async fn start(
    cluster: Arc<Cluster>,
    settings: config::Cluster,
    forget: Duration,
    words: mpsc::Receiver<Word>,
) -> Result<(), String> {
    let (ready, started) = oneshot::channel();
    let run = move || {
        let _guard = Guard;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => return drop(ready.send(Err(error.to_string()))),
        };
        runtime.block_on(async {
            let (events, happened) = mpsc::channel(EVENTS);
            match connect(&settings, events).await {
                Ok(nats) => {
                    let _ = ready.send(Ok(()));
                    let link = Link {
                        cluster,
                        nats,
                        forget,
                        complaint: String::new(),
                        rival_heard: Instant::now(),
                    };
                    link.run(words, happened).await;
                }
                Err(why) => drop(ready.send(Err(why))),
            }
        });
    };
    let thread = thread::Builder::new().name("cluster".to_owned()).spawn(run);
    thread.map_err(|error| format!("the cluster's thread cannot start: {error}"))?;
    started
        .await
        .unwrap_or_else(|_| Err("the cluster's thread has ended".to_owned()))
}

/// Ends the process where the thread panics: else nobody here would find a room elsewhere again, and a fresh process is
/// started by whoever supervises this one.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        if thread::panicking() && !cfg!(test) {
            logging::flush();
            std::process::abort();
        }
    }
}

async fn connect(
    settings: &config::Cluster,
    events: mpsc::Sender<Event>,
) -> Result<Client, String> {
    let options = login::options(settings)?
        .name(env!("CARGO_PKG_NAME"))
        .ping_interval(ASKED)
        .connection_timeout(CONNECTING)
        .retry_on_initial_connect()
        // Those that the settings name, and no others that they speak of.
        .ignore_discovered_servers()
        .require_tls(
            settings
                .nats
                .addresses()
                .iter()
                .all(ServerAddr::tls_required),
        )
        .reconnect_delay_callback(pause)
        .event_callback(move |event| {
            let events = events.clone();
            async move { drop(events.send(event).await) }
        });
    let connected = options.connect(settings.nats.addresses()).await;
    connected.map_err(|error| format!("RELAY_CLUSTER_NATS {}: {error}", settings.nats))
}

/// The pause before a try to reach NATS: at random, so that nodes which lost it together come back one by one.
fn pause(attempts: usize) -> Duration {
    let longest = LONGEST_PAUSE.min(100 << attempts.min(8));
    let random = getrandom::u32().unwrap_or(u32::MAX);
    Duration::from_millis(u64::from(longest / 2 + random % (longest / 2)))
}

struct Link {
    cluster: Arc<Cluster>,
    nats: Client,
    /// How long a room lives.
    forget: Duration,
    /// What NATS complained of last.
    complaint: String,
    /// When the node that has our address was heard of last.
    rival_heard: Instant,
}

impl Link {
    async fn run(mut self, mut words: mpsc::Receiver<Word>, mut events: mpsc::Receiver<Event>) {
        let keys = &self.cluster.keys;
        let subjects = [
            subjects::questions(keys),
            subjects::to(keys, self.cluster.own.id),
            subjects::all(keys),
        ];
        let mut subscribers = Vec::new();
        for subject in subjects {
            match self.nats.subscribe(subject).await {
                Ok(subscriber) => subscribers.push(subscriber),
                Err(error) => return warn!("cluster: nothing can be heard over NATS: {error}"),
            }
        }
        let [mut questions, mut answers, mut told] = match <[Subscriber; 3]>::try_from(subscribers)
        {
            Ok(all) => all,
            Err(_) => return,
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

    /// Says its last.
    async fn leave(self) {
        let gone = Word::Gone(self.cluster.own.id);
        let last = async {
            self.say(&gone).await;
            let _ = self.nats.flush().await;
        };
        let _ = timeout(LEAVING, last).await;
        // Not before: who is apart says nothing.
        self.cluster.turn(Standing::Apart);
        info!("cluster: left");
        self.cluster.tell(News::Left);
    }

    async fn say(&self, word: &Word) {
        if !matches!(*self.cluster.standing.borrow(), Standing::Joined(..)) {
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
        };
        self.say(&here).await;
    }

    /// NATS is reached.
    async fn joined(&mut self) {
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
        let is_apart = matches!(*self.cluster.standing.borrow(), Standing::Apart);
        match (self.nats.connection_state(), is_apart) {
            (State::Connected, true) => self.joined().await,
            (State::Disconnected, false) => self.apart(),
            _ => {}
        }
        if self.rival_heard.elapsed() >= SILENCE {
            self.may_be_free(|_| true).await;
        }
        self.here(false).await;
        if !matches!(*self.cluster.standing.borrow(), Standing::Joined(..)) {
            return;
        }
        let now = Instant::now();
        let (changes, silent) = {
            let peers = &mut self.cluster.known().peers;
            (peers.look(now, self.forget), peers.to_look_at(now))
        };
        self.cluster.report(changes);
        if !silent.is_empty() {
            let cluster = Arc::clone(&self.cluster);
            tokio::spawn(async move { cluster.look_at(silent.iter().map(|it| it.id)).await });
        }
    }
}

/// Why this node may not join.
fn taken(other: &Node) -> String {
    format!(
        "RELAY_CLUSTER_ADDRESS {} is that of another node of the cluster: give each node an address of its own",
        other.address
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_come_back_within_a_second_and_not_all_at_once() {
        let pauses: Vec<_> = (0..200).map(|attempt| pause(attempt % 20)).collect();
        assert!(
            pauses
                .iter()
                .all(|it| *it <= Duration::from_millis(u64::from(LONGEST_PAUSE)))
        );
        let late: std::collections::HashSet<_> = (0..100).map(|_| pause(10)).collect();
        assert!(late.len() > 10);
    }
}
