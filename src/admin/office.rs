//! What is done at the operator's word.

use std::{sync::Arc, time::Duration};

use actix_rt::{
    task::spawn_blocking,
    time::{sleep, timeout},
};
use futures_util::future::{join, join_all};
use jiff::{SignedDuration, Timestamp};
use log::{debug, info, warn};
use tokio::sync::{Mutex, Notify, mpsc, oneshot};

use super::{
    api::{Blocking, Done, Limiting, RoomList, Status, Unblocking, Who},
    look::{Look, PATIENCE, ask_all, long_name},
    looks::{Circumstances, Looks, age},
    store::Store,
    troubles::objection,
    units::{self, counted},
};
use crate::{
    actors::{
        directory::Directory,
        messages::{Decided as Told, EndRoom, Seen},
        now,
    },
    cluster::view::{Audience, View},
    limits::{
        network::Network,
        rules::{Decided, TooMany},
    },
    state::State,
};

/// Between two looks: rates are those of this time.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// The longest block that ends, in seconds: a thousand years. Beyond that it has no end.
const LONGEST: u64 = 1000 * 365 * 86_400;
/// Digits that a room's name has at least.
const NAME: usize = 6;
/// What to say where the process follows no orders.
const NOBODY: &str = "this relay takes no such orders";

/// What the whole process has to do. Each is answered by a sentence, on what was done or why not.
#[derive(Debug)]
pub enum Order {
    /// Begin to stop, as on a signal.
    Drain(oneshot::Sender<Result<String, String>>),
    /// Read the settings again.
    Reload(oneshot::Sender<Result<String, String>>),
    /// Log what this filter lets through, in the syntax of `RUST_LOG`.
    Log(String, oneshot::Sender<Result<String, String>>),
}

/// Why something is not done.
#[derive(Debug)]
pub(super) enum No {
    /// What it is about is not there.
    Missing(String),
    /// It cannot be done as things are.
    Conflict(String),
    /// The request makes no sense.
    Bad(String),
}

/// Where the operator's word becomes deed.
pub struct Office {
    state: Arc<State>,
    directory: Arc<Directory>,
    store: Store,
    orders: mpsc::Sender<Order>,
    /// Held while decisions are written down, so that the last is what stays.
    writing: Mutex<()>,
}

impl Office {
    /// The office of a relay, which keeps decisions in `store`, and passes on what the whole process has to
    /// do.
    pub fn new(
        state: Arc<State>,
        directory: Arc<Directory>,
        store: Store,
        orders: mpsc::Sender<Order>,
    ) -> Self {
        Self {
            state,
            directory,
            store,
            orders,
            writing: Mutex::new(()),
        }
    }

    async fn look(&self) -> Look {
        Look::take(&self.state, &self.directory).await
    }

    /// What two looks tell.
    async fn twice<T>(&self, tell: impl FnOnce(Looks<'_>) -> T) -> T {
        let before = self.look().await;
        sleep(LOOK_AGAIN).await;
        tell(Looks {
            before: &before,
            after: &self.look().await,
            state: &self.state,
        })
    }

    pub(super) async fn status(&self, rows: usize) -> Status {
        let (before, (cluster, ())) =
            join(self.look(), join(self.cluster(), sleep(LOOK_AGAIN))).await;
        let after = self.look().await;
        let looks = Looks {
            before: &before,
            after: &after,
            state: &self.state,
        };
        let unkept = self.store.trouble();
        looks.status(
            rows,
            Circumstances {
                decided: self.decided(),
                kept: self.store.keeps() && unkept.is_none(),
                unkept,
                cluster,
            },
        )
    }

    /// The cluster, where this relay is one of several.
    async fn cluster(&self) -> Option<View> {
        Some(self.state.cluster.as_ref()?.view().await)
    }

    pub(super) async fn rooms(&self, rows: usize) -> RoomList {
        self.twice(|looks| RoomList {
            count: looks.after.rooms.len() as u64,
            rooms: looks.rooms(rows).0,
        })
        .await
    }

    pub(super) async fn who(&self, rows: usize) -> Who {
        self.twice(|looks| Who {
            count: looks.after.clients.len() as u64,
            clients: looks.who(rows),
        })
        .await
    }

    pub(super) fn decided(&self) -> Decided {
        self.state.rules.decided(Timestamp::now())
    }

    /// Ends the room of this short name, or of more digits of it.
    pub(super) async fn end(&self, name: &str) -> Result<Done, No> {
        let name = name.trim().trim_start_matches('#').to_ascii_lowercase();
        if name.len() < NAME {
            return Err(No::Bad(format!("a room's name has {NAME} digits or more")));
        }
        let look = self.look().await;
        let code = match look.rooms_of(&name).as_slice() {
            [] if look.silent > 0 => {
                let silent = silence(look.silent, "it may have that room");
                return Err(No::Conflict(format!("no room {name} is seen{silent}")));
            }
            [] => return Err(No::Missing(format!("there is no room {name}"))),
            [seen] => seen.sight.code,
            several => return Err(No::Conflict(candidates(&name, several))),
        };
        let home = self.directory.home(self.state.placement.home(&code));
        let ended = match home {
            Some(home) => timeout(PATIENCE, home.registry.send(EndRoom(code))).await,
            None => Ok(Ok(false)),
        };
        match ended {
            Ok(Ok(true)) => {}
            Ok(_) => return Err(No::Missing(format!("room {name} has just ended"))),
            Err(_) => {
                let silent = silence(1, "the room ends once it does");
                return Err(No::Conflict(format!(
                    "room {name} is not ended yet{silent}"
                )));
            }
        }
        info!("the operator has ended room {code}");
        Ok(Done {
            said: format!("room {name} is ended, and everybody in it was told"),
            ..Done::default()
        })
    }

    /// Blocks a network, and ends its sessions.
    pub(super) async fn block(&self, wanted: Blocking) -> Result<Done, No> {
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
    pub(super) async fn unblock(&self, wanted: Unblocking) -> Result<Done, No> {
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
    pub(super) async fn limit(&self, wanted: Limiting) -> Result<Done, No> {
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

    pub(super) async fn drain(&self) -> Result<Done, No> {
        self.order(Order::Drain).await
    }

    pub(super) async fn reload(&self) -> Result<Done, No> {
        self.order(Order::Reload).await
    }

    pub(super) async fn log(&self, filter: String) -> Result<Done, No> {
        self.order(|answer| Order::Log(filter, answer)).await
    }

    /// Has the process follow an order.
    async fn order(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<String, String>>) -> Order,
    ) -> Result<Done, No> {
        let (answer, answered) = oneshot::channel();
        let nobody = || No::Conflict(NOBODY.to_owned());
        self.orders
            .send(order(answer))
            .await
            .map_err(|_| nobody())?;
        let said = answered.await.map_err(|_| nobody())?;
        let said = said.map_err(No::Conflict)?;
        Ok(Done {
            said,
            ..Done::default()
        })
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

/// That workers do not answer, to end a sentence, and what that means.
fn silence(silent: usize, so: &str) -> String {
    match silent {
        0 => String::new(),
        1 => format!("; one worker does not answer: {so}"),
        silent => format!("; {silent} workers do not answer: {so}"),
    }
}

/// Rooms of one short name: with a thousand there are two once in thirty times.
fn candidates(name: &str, rooms: &[&Seen]) -> String {
    let one = |seen: &&Seen| {
        let sender = seen.sender.map(|it| it.client.to_string());
        let (sender, age) = (sender.unwrap_or_default(), units::time(age(seen).as_secs()));
        format!("{} (of {sender}, {age} old)", long_name(&seen.sight.code))
    };
    let rooms: Vec<_> = rooms.iter().map(one).collect();
    format!(
        "{} rooms have the name {name}; say which by all of it: {}",
        rooms.len(),
        rooms.join(", ")
    )
}

fn too_many(TooMany(most): TooMany) -> No {
    No::Conflict(format!(
        "there are {most} of them already, which is as many as there may be"
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
