//! The page by which people share from a browser: how the relay serves it, and what it does in browsers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "page/access.rs"]
mod access;
#[path = "page/distill.rs"]
mod distill;
#[path = "page/double.rs"]
mod double;
#[path = "page/forms.rs"]
mod forms;
#[path = "page/hostile.rs"]
mod hostile;
#[path = "page/lines.rs"]
mod lines;
#[path = "page/memory.rs"]
mod memory;
#[path = "page/peer.rs"]
mod peer;
#[path = "page/served.rs"]
mod served;
#[path = "page/sharing.rs"]
mod sharing;
