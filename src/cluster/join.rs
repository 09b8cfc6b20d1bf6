//! How a node joins the others, and leaves them: the thread that the conversation has, and its connection to NATS.

use std::{
    sync::{Arc, PoisonError, atomic::Ordering::SeqCst},
    thread,
    time::Duration,
};

use async_nats::{Client, Event, ServerAddr};
use log::warn;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{
    Cluster, News, Standing,
    link::Link,
    login,
    words::{Node, Word},
};
use crate::{config, observe::logging};

/// How often NATS is asked whether it is there; it is given up after two questions without an answer.
const ASKED: Duration = Duration::from_secs(1);
/// How long a connection to NATS may take.
const CONNECTING: Duration = Duration::from_secs(1);
/// The longest pause between two tries to reach NATS, in milliseconds: all nodes are back soon after it is,
/// and not at once.
const LONGEST_PAUSE: u32 = 900;
/// How long a start waits for the cluster. Without it the relay has its own rooms alone.
const JOINING: Duration = Duration::from_secs(2);
/// How long a start waits for a word of who has its address: that says so as soon as it hears of this node.
const OBJECTING: Duration = Duration::from_millis(300);
/// How long a relay that stops waits for its link, which takes no longer unless it is stuck.
const LEAVING: Duration = Duration::from_secs(3);
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
        start(Arc::clone(self), settings, words).await?;
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

    /// Leaves the others: nobody is sent here any more.
    pub fn leave(&self) {
        self.left.store(true, SeqCst);
        // To wake the link, which says it.
        self.say(Word::Gone(self.own.id));
    }

    /// Waits until the others have been told that this node leaves, or could not be. It wakes as the link ends, with
    /// which the other end of `unsaid` goes.
    pub async fn has_left(&self) {
        let _ = timeout(LEAVING, self.unsaid.closed()).await;
    }
}

/// Starts the thread.
///
/// # Errors
///
/// A sentence, where the thread cannot start or the credentials cannot be read.
async fn start(
    cluster: Arc<Cluster>,
    settings: config::Cluster,
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
                    Link::new(cluster, nats).run(words, happened).await;
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

/// Why this node may not join.
pub(super) fn taken(other: &Node) -> String {
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
