//! How a relay stops: at once for who only waits, in their own time for pairs, by force for the rest.

use std::{future::poll_fn, task::Poll, time::Duration};

use log::info;

use super::systemd;
use crate::{
    actors::{directory::Directory, messages::Shutdown, within},
    flow::{clocks::CLOSE_TIMEOUT, credit::Pool},
    http::{accept::Origin, desk::HEAD_TIMEOUT},
    state::State,
};

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
}

/// Waits until none of these is left, for as long as `most`.
async fn all_gone(pool: &Pool, most: Duration) -> bool {
    let gone = poll_fn(|task| match pool.poll_empty(task) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    });
    within(most, gone).await.is_ok()
}
