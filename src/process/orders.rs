//! What the operator has the whole process do: by SIGHUP, and by the socket that is opened here.

use std::{future::pending, pin::pin, sync::Arc};

use futures_util::future::{Either, select};
use log::{error, info};
use tokio::{
    signal::unix::Signal,
    sync::{Notify, mpsc},
};

use super::{reload::Reload, systemd};
use crate::{
    admin::{office::Order, socket::AdminSocket, store::Store},
    config::Config,
};

/// The socket's name in the runtime directory.
const SOCKET: &str = "admin.sock";
/// Orders that wait until they are followed; more wait where they come from.
pub(super) const WAITING: usize = 8;

/// Opens the operator's socket, where there is to be one. The relay does its work without it, so that one
/// which cannot be opened is an error in the log, and no reason to be down.
pub(super) fn open(config: &Config) -> Option<AdminSocket> {
    let runtime = systemd::runtime_directory().map(|folder| folder.join(SOCKET));
    let path = config.admin_socket.clone().or(runtime)?;
    match AdminSocket::bind(&path) {
        Ok(socket) => {
            info!("the operator's socket is {}", path.display());
            Some(socket)
        }
        Err(error) => {
            error!(
                "the operator's socket {} cannot be opened (RELAY_ADMIN_SOCKET): {error}",
                path.display()
            );
            None
        }
    }
}

/// Where the operator's decisions are kept.
pub(super) fn store(config: &Config) -> Store {
    let chosen = config.state_dir.clone();
    Store::new(chosen.or_else(systemd::state_directory))
}

/// Follows the operator, one order after another, for as long as it is polled. `drain` is told once the
/// relay is to stop.
pub async fn obey(
    mut reload: Reload,
    mut orders: mpsc::Receiver<Order>,
    mut hang_up: Signal,
    drain: Arc<Notify>,
) {
    loop {
        let (hung_up, ordered) = (pin!(hang_up.recv()), pin!(next(&mut orders)));
        let order = match select(hung_up, ordered).await {
            Either::Left((Some(()), _)) => None,
            Either::Left((None, _)) => return,
            Either::Right((order, _)) => Some(order),
        };
        let (answer, answered) = match order {
            None => {
                // The log tells.
                let _ = reload.read().await;
                continue;
            }
            Some(Order::Reload(answer)) => (answer, reload.read().await),
            Some(Order::Log(filter, answer)) => (answer, reload.log(filter)),
            Some(Order::Drain(answer)) => {
                let answered = reload.before_drain();
                if answered.is_ok() {
                    drain.notify_one();
                }
                (answer, answered)
            }
        };
        // Who asked may be gone.
        let _ = answer.send(answered);
    }
}

/// The operator's next order: never any where there is no socket.
async fn next(orders: &mut mpsc::Receiver<Order>) -> Order {
    match orders.recv().await {
        Some(order) => order,
        None => pending().await,
    }
}
