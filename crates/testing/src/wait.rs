//! How long to wait for what is bound to happen.

use std::{future::Future, time::Duration};

/// How long anything may take that is bound to happen. It bounds the failures, not the successes.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Waits for what is bound to happen, and fails with its name where it does not.
pub async fn within<T>(awaited: &str, event: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, event).await {
        Ok(outcome) => outcome,
        Err(_) => panic!("waited {DEADLINE:?} in vain for {awaited}"),
    }
}
