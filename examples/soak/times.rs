//! How long things take, and may take.

use std::time::Duration;

/// Time after which a peer that accepts nothing is dropped.
pub const STALL: Duration = Duration::from_secs(10);
/// Far longer than anything takes that is bound to happen, but for a whole room.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Far longer than any room takes.
pub const LONGEST_ROOM: Duration = Duration::from_secs(300);
