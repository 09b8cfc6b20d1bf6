//! The page by which people share from a browser: how the relay serves it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "page/served.rs"]
mod served;
#[path = "page/browsers.rs"]
mod browsers;
