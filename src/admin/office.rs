//! What is done at the operator's word.

use std::{sync::Arc, time::Duration};

use actix_rt::{task::spawn_blocking, time::sleep};
use jiff::{SignedDuration, Timestamp};
use log::{debug, info, warn};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::{
    api::{Blocking, Done, Limiting, RoomList, Status, Unblocking, Who},
    look::{Look, Looks},
    store::Store,
    units,
};
use crate::{
    actors::{
        directory::Directory,
        messages::{Decided as Told, EndRoom},
        now,
    },
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
        let (decided, kept) = (self.decided(), self.store.keeps());
        self.twice(|looks| looks.status(rows, decided, kept)).await
    }

    pub(super) async fn rooms(&self, rows: usize) -> RoomList {
        self.twice(|looks| RoomList {
            count: looks.after.room_count(),
            rooms: looks.rooms(rows),
        })
        .await
    }

    pub(super) async fn who(&self, rows: usize) -> Who {
        self.twice(|looks| Who {
            count: looks.after.client_count(),
            clients: looks.clients(rows),
        })
        .await
    }

    pub(super) fn decided(&self) -> Decided {
        self.state.rules.decided(Timestamp::now())
    }

    /// Ends the room of this short name.
    pub(super) async fn end(&self, name: &str) -> Result<Done, No> {
        let name = name.trim().trim_start_matches('#').to_ascii_lowercase();
        let none = || No::Missing(format!("there is no room {name}"));
        let code = match self.look().await.codes_of(&name).as_slice() {
            [] => return Err(none()),
            [code] => *code,
            // Six hexadecimal digits: a thousand rooms have two of one name once in thirty times.
            several => {
                return Err(No::Conflict(format!(
                    "{} rooms have the name {name}: block the address of the one that is meant",
                    several.len()
                )));
            }
        };
        let home = self.directory.home(self.state.placement.home(&code));
        let registry = &home.ok_or_else(none)?.registry;
        if !matches!(registry.send(EndRoom(code)).await, Ok(true)) {
            return Err(none());
        }
        info!("the operator has ended room {code}");
        Ok(Done {
            said: format!("room {name} is ended, and everybody in it was told"),
            ..Done::default()
        })
    }

    /// Blocks a network, and ends its sessions.
    pub(super) async fn block(&self, wanted: Blocking) -> Result<Done, No> {
        let Blocking { network, seconds } = wanted;
        if seconds == Some(0) {
            return Err(No::Bad("a block lasts for a second at least".to_owned()));
        }
        let now = Timestamp::now();
        let until = seconds
            .filter(|&seconds| seconds <= LONGEST)
            .map(|seconds| {
                let time = SignedDuration::from_secs(seconds as i64);
                now.saturating_add(time).unwrap_or(Timestamp::MAX)
            });
        let rules = &self.state.rules;
        rules.block(network, until, now).map_err(too_many)?;
        let ended = self.tell(network).await;
        let time = match seconds.filter(|_| until.is_some()) {
            Some(seconds) => format!("for {}", units::time(seconds)),
            None => "until it is unblocked".to_owned(),
        };
        let (kept, note) = self.keep().await;
        let sessions = units::counted(ended as u64, "session");
        debug!("{network} is blocked");
        info!("the operator has blocked a network {time}; {sessions} ended");
        Ok(Done {
            said: format!("{network} is blocked {time}; {sessions} ended{note}"),
            network: Some(network),
            until,
            ended: Some(ended as u64),
            kept: Some(kept),
        })
    }

    /// Ends the block of a network.
    pub(super) async fn unblock(&self, wanted: Unblocking) -> Result<Done, No> {
        let (network, now) = (wanted.network, Timestamp::now());
        let was = self.state.rules.unblock(network, now);
        let around = self.state.rules.blocked_around(network, now);
        let still = around.map(|around| format!("{around} is blocked, and {network} with it"));
        if !was {
            return Err(No::Missing(
                still.unwrap_or_else(|| format!("{network} is not blocked")),
            ));
        }
        let (kept, note) = self.keep().await;
        debug!("{network} is not blocked any more");
        info!("the operator has unblocked a network");
        let still = still.map(|still| format!("; but {still}"));
        Ok(Done {
            said: format!(
                "{network} is not blocked any more{}{note}",
                still.unwrap_or_default()
            ),
            network: Some(network),
            kept: Some(kept),
            ..Done::default()
        })
    }

    /// Has the sessions of a network read so fast together, and no faster.
    pub(super) async fn limit(&self, wanted: Limiting) -> Result<Done, No> {
        let Limiting {
            network,
            bytes_per_sec,
        } = wanted;
        let rules = &self.state.rules;
        rules
            .limit(network, bytes_per_sec, now())
            .map_err(too_many)?;
        self.tell(network).await;
        let (kept, note) = self.keep().await;
        let pace = match bytes_per_sec {
            0 => "as fast as it sends".to_owned(),
            bytes => format!(
                "at {} a second, all its sessions together",
                units::bytes(bytes)
            ),
        };
        debug!("{network} is limited to {bytes_per_sec} bytes a second");
        info!("the operator has a network read {pace}");
        Ok(Done {
            said: format!("{network} is read {pace}{note}"),
            network: Some(network),
            kept: Some(kept),
            ..Done::default()
        })
    }

    /// Has those sessions of a network that are here meet what is decided of it now; how many end.
    async fn tell(&self, network: Network) -> usize {
        let mut ended = 0;
        for registry in self.directory.registries() {
            // One that is gone has no sessions.
            ended += registry.send(Told(network)).await.unwrap_or(0);
        }
        ended
    }

    /// Writes down what is decided. Says whether that outlives a restart, and why not, to end a sentence.
    async fn keep(&self) -> (bool, String) {
        if !self.store.keeps() {
            let note = "; not beyond a restart, as there is no RELAY_STATE_DIR".to_owned();
            return (false, note);
        }
        let _writing = self.writing.lock().await;
        let (store, decided) = (self.store.clone(), self.decided());
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

fn too_many(TooMany(most): TooMany) -> No {
    No::Conflict(format!(
        "there are {most} of them already, which is as many as there may be"
    ))
}
