//! What the operator decides of networks: on this relay, in its file, and on the other relays of a cluster.

use actix_rt::task::spawn_blocking;
use futures_util::future::{join, join_all};
use jiff::{SignedDuration, Timestamp};
use log::{debug, info, warn};
use tokio::sync::Notify;

use super::{LONGEST, No, Office, silence};
use crate::{
    actors::{messages::Decided as Told, now},
    admin::{
        api::{Blocking, Done, Limiting, Unblocking},
        look::ask_all,
        troubles::objection,
        units::{self, counted},
    },
    cluster::view::Audience,
    limits::{
        network::Network,
        rules::{Decided, TooMany},
    },
};

impl Office {
    /// Blocks a network, and ends its sessions.
    pub(in crate::admin) async fn block(&self, wanted: Blocking) -> Result<Done, No> {
        let Blocking {
            network,
            seconds,
            force,
        } = wanted;
        if seconds == Some(0) {
            return Err(No::Bad("a block lasts for a second at least".to_owned()));
        }
        if !force && let Some(objection) = objection(network, &self.state.live().trust) {
            return Err(No::Conflict(objection));
        }
        let now = Timestamp::now();
        let until = seconds
            .filter(|&seconds| seconds <= LONGEST)
            .map(|seconds| {
                let time = SignedDuration::from_secs(seconds as i64);
                now.saturating_add(time).unwrap_or(Timestamp::MAX)
            });
        let rules = &self.state.rules;
        let decided = rules.block(network, until, now).map_err(too_many)?;
        let (nodes, elsewhere) = self.spread(decided);
        let ((ended, silent), (kept, note)) = self.enact(network).await;
        let time = match seconds.filter(|_| until.is_some()) {
            Some(seconds) => format!("for {}", units::time(seconds)),
            None => "until it is unblocked".to_owned(),
        };
        let sessions = counted(ended as u64, "session");
        debug!("{network} is blocked");
        info!("the operator has blocked a network {time}; {sessions} ended");
        Ok(Done {
            said: format!("{network} is blocked {time}; {sessions} ended{silent}{note}{elsewhere}"),
            network: Some(network),
            until,
            ended: Some(ended as u64),
            kept: Some(kept),
            nodes,
        })
    }

    /// Ends the block of a network.
    pub(in crate::admin) async fn unblock(&self, wanted: Unblocking) -> Result<Done, No> {
        let (network, now) = (wanted.network, Timestamp::now());
        let ended = self.state.rules.unblock(network, now);
        let around = self.state.rules.blocked_around(network, now);
        let still = around.map(|around| format!("{around} is blocked, and {network} with it"));
        let Some(ended) = ended else {
            return Err(No::Missing(
                still.unwrap_or_else(|| format!("{network} is not blocked")),
            ));
        };
        let (nodes, elsewhere) = self.spread(ended);
        let (kept, note) = self.keep().await;
        debug!("{network} is not blocked any more");
        info!("the operator has unblocked a network");
        let still = still.map(|still| format!("; but {still}"));
        Ok(Done {
            said: format!(
                "{network} is not blocked any more{}{note}{elsewhere}",
                still.unwrap_or_default()
            ),
            network: Some(network),
            kept: Some(kept),
            nodes,
            ..Done::default()
        })
    }

    /// Has the sessions of a network read so fast together, and no faster; 0 ends the limit that it has.
    pub(in crate::admin) async fn limit(&self, wanted: Limiting) -> Result<Done, No> {
        let Limiting {
            network,
            bytes_per_sec,
        } = wanted;
        let rules = &self.state.rules;
        let lifted = bytes_per_sec == 0;
        let around = rules.limited_around(network).map(|it| {
            let pace = units::bytes(it.bytes_per_sec);
            let around = it.network;
            format!("{around} is read at {pace} a second, and {network} with it")
        });
        let decided = match lifted {
            false => rules
                .limit(network, bytes_per_sec, Timestamp::now(), now())
                .map_err(too_many)?,
            true => {
                let ended = rules.unlimit(network, Timestamp::now(), now());
                ended.ok_or_else(|| {
                    let still = around.as_ref().map(|around| format!("; but {around}"));
                    let still = still.unwrap_or_default();
                    No::Missing(format!("{network} has no limit{still}"))
                })?
            }
        };
        let (nodes, elsewhere) = self.spread(decided);
        let ((_, silent), (kept, note)) = self.enact(network).await;
        let pace = match (lifted, around) {
            (false, _) => format!(
                "is read at {} a second, all its sessions together",
                units::bytes(bytes_per_sec)
            ),
            (true, None) => "is read as fast as it sends".to_owned(),
            (true, Some(around)) => format!("has no limit of its own any more; but {around}"),
        };
        debug!("{network} is limited to {bytes_per_sec} bytes a second");
        match lifted {
            true => info!("the operator has lifted the limit of a network"),
            false => info!("the operator has a network read at {bytes_per_sec} bytes a second"),
        }
        Ok(Done {
            said: format!("{network} {pace}{silent}{note}{elsewhere}"),
            network: Some(network),
            kept: Some(kept),
            nodes,
            ..Done::default()
        })
    }

    /// Tells the other relays of a cluster what is decided. Returns how many there are, and to end a sentence,
    /// whether all of them hear it.
    fn spread(&self, decided: Decided) -> (Option<u64>, String) {
        let Some(cluster) = &self.state.cluster else {
            return (None, String::new());
        };
        cluster.decided(decided);
        let audience = cluster.audience();
        (Some(audience.nodes as u64), told(audience))
    }

    /// Has the sessions here meet what is decided elsewhere, and writes that down, as often as `decided` tells.
    pub async fn follow(&self, decided: &Notify) {
        loop {
            decided.notified().await;
            let everybody = Network::everybody();
            let told = join_all(everybody.map(|network| self.tell(network))).await;
            let ended: usize = told.into_iter().map(|(ended, _)| ended).sum();
            self.keep().await;
            let sessions = counted(ended as u64, "session");
            info!("what the operator has decided on another node holds here; {sessions} ended");
        }
    }

    /// Has what is decided of a network now hold and last: its sessions are told while it is written down,
    /// so that neither a disk nor a worker keeps the other waiting.
    async fn enact(&self, network: Network) -> ((usize, String), (bool, String)) {
        join(self.tell(network), self.keep()).await
    }

    /// Has those sessions of a network that are here meet what is decided of it now; how many end, and to
    /// end a sentence, which workers do not answer.
    async fn tell(&self, network: Network) -> (usize, String) {
        let answers = ask_all(&self.directory, || Told(network)).await;
        let silent = answers.iter().filter(|answer| answer.is_none()).count();
        let note = silence(silent, "it holds there once it does");
        (answers.into_iter().flatten().sum(), note)
    }

    /// Writes down what is decided. Says whether that outlives a restart, and why not, to end a sentence.
    async fn keep(&self) -> (bool, String) {
        if !self.store.keeps() {
            let note = "; not beyond a restart, as there is no RELAY_STATE_DIR".to_owned();
            return (false, note);
        }
        let _writing = self.writing.lock().await;
        let decided = self.state.rules.known(Timestamp::now());
        let store = self.store.clone();
        let saved = spawn_blocking(move || store.save(&decided)).await;
        let error = match saved {
            Ok(Ok(())) => return (true, String::new()),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        warn!("what the operator has decided cannot be written down: {error}");
        (
            false,
            format!("; not beyond a restart, as it cannot be written down: {error}"),
        )
    }
}

/// Who of the other relays hears what is decided, to end a sentence.
fn told(audience: Audience) -> String {
    let Audience {
        reached,
        nodes,
        silent,
    } = audience;
    let others = counted(nodes as u64, "other node");
    match (reached, silent) {
        (false, _) => "; NATS is not reached: other nodes hear of it once it is".to_owned(),
        (true, 0) => format!("; told to {others}"),
        (true, silent) => {
            format!(
                "; told to {others}, of which {silent} not heard of: it holds there once that is"
            )
        }
    }
}

fn too_many(TooMany(most): TooMany) -> No {
    No::Conflict(format!(
        "there are {most} of them already, which is as many as there may be"
    ))
}
