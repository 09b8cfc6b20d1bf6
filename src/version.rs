//! Which relay this is.

/// The package's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit it was built from, abbreviated; `unknown` where nobody could say.
pub const COMMIT: &str = env!("RELAY_COMMIT");
/// Both, as people are shown them: `0.1.0 (abc1234)`.
pub const SHOWN: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("RELAY_COMMIT"), ")");
