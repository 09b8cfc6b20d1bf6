//! What is done at the operator's word. What it decides of networks is in `decisions`.

mod decisions;

use std::{sync::Arc, time::Duration};

use actix_rt::time::{sleep, timeout};
use futures_util::future::{join, ready};
use jiff::Timestamp;
use log::info;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::{
    api::{Done, RoomList, Status, Who},
    look::{Look, PATIENCE, long_name},
    looks::{Circumstances, Looks, age},
    store::Store,
    units,
};
use crate::{
    actors::{
        directory::Directory,
        messages::{EndRoom, Seen},
    },
    cluster::view::View,
    limits::rules::Decided,
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
        self.twice_beside(ready(()), |looks, ()| tell(looks)).await
    }

    /// What two looks tell, and what comes of something else between them.
    async fn twice_beside<T, U>(
        &self,
        beside: impl Future<Output = U>,
        tell: impl FnOnce(Looks<'_>, U) -> T,
    ) -> T {
        let before = self.look().await;
        let (beside, ()) = join(beside, sleep(LOOK_AGAIN)).await;
        let looks = Looks {
            before: &before,
            after: &self.look().await,
            state: &self.state,
        };
        tell(looks, beside)
    }

    pub(super) async fn status(&self, rows: usize) -> Status {
        self.twice_beside(self.cluster(), |looks, cluster| {
            let unkept = self.store.trouble();
            let circumstances = Circumstances {
                decided: self.decided(),
                kept: self.store.keeps() && unkept.is_none(),
                unkept,
                cluster,
            };
            looks.status(rows, circumstances)
        })
        .await
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
