//! How a relay stops: at once for who only waits, in their own time for pairs, by force for the rest.

use std::{future::poll_fn, task::Poll, time::Duration};

use futures_util::future::join_all;
use log::info;

use super::systemd;
use crate::{
    actors::{
        directory::Directory,
        messages::{Alive, Shutdown},
        within,
    },
    flow::{clocks::CLOSE_TIMEOUT, credit::Pool},
    http::{accept::Origin, desk::HEAD_TIMEOUT},
    state::State,
};

/// How long registries may take to tell their last.
const TELLING: Duration = Duration::from_secs(1);

/// Stops a relay, and returns when nobody is left or waited for any more.
pub(super) async fn drain(state: &State, directory: &Directory, origin: Origin) {
    systemd::stopping();
    // To be turned away is worse than to wait for the next process, if there is to be one.
    state.stop(origin == Origin::Own);
    let shut_down = |how: fn() -> Shutdown| {
        for registry in directory.registries() {
            registry.do_send(how());
        }
    };
    shut_down(|| Shutdown::Drain);
    if let Some(cluster) = &state.cluster {
        // Not sooner: of a room that is open here the others say `room_not_found` once this node counts as gone. A
        // worker that is stuck delays it by a second at most.
        all_told(directory).await;
        cluster.leave();
    }
    let sessions = state.pools.sessions.whole();
    if !all_gone(sessions, state.live().config.drain_timeout).await {
        let left = sessions.used();
        info!("{left} sessions are left, and are closed");
        shut_down(|| Shutdown::Now);
        all_gone(sessions, CLOSE_TIMEOUT).await;
    }
    if origin == Origin::Inherited {
        // Who was accepted before is no worse off than who waits: a session, if only to hear that
        // it is to come again.
        all_gone(&state.pools.handshakes, HEAD_TIMEOUT).await;
        all_gone(sessions, CLOSE_TIMEOUT).await;
    }
    if let Some(cluster) = &state.cluster {
        // Else the process may end before the others know that it does.
        cluster.has_left().await;
    }
}

/// Waits until the registry of each worker has done what it was told until now, as long as none is stuck: what it
/// has to tell of those who left comes no sooner.
pub(super) async fn all_told(directory: &Directory) {
    let telling = join_all(directory.registries().map(|it| it.send(Alive)));
    // A registry whose thread has ended tells nothing more.
    let _ = within(TELLING, telling).await;
}

/// Waits until none of these is left, for as long as `most`.
async fn all_gone(pool: &Pool, most: Duration) -> bool {
    let gone = poll_fn(|task| match pool.poll_empty(task) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    });
    within(most, gone).await.is_ok()
}
