//! How a measurement fails.

use std::error::Error;

/// Done, or why not.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;
