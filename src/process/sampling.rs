//! Samples of the relay for the page that shows its last hour.

use std::sync::Arc;

use actix_rt::time::interval;
use tokio::time::MissedTickBehavior;

use crate::{observe::status::EVERY, state::State};

/// Takes them for as long as it is polled. Where the process stood still there are none.
pub(super) async fn sample(state: Arc<State>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        state.take_sample();
    }
}
