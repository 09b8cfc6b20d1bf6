//! Waits for what the metrics tell.

use std::time::Duration;

use relay_testing::{TestRelay, metrics::Metrics, within};

/// How often to look at what tells of no change by itself.
pub const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Waits until the metrics are as they must become.
pub async fn until(relay: &TestRelay, awaited: &str, holds: impl Fn(&Metrics) -> bool) -> Metrics {
    let looking = async {
        loop {
            let metrics = relay.metrics();
            if holds(&metrics) {
                return metrics;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    within(awaited, looking).await
}
