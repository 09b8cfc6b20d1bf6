//! Any bytes as a journal, and any changes to one.
#![no_main]

#[path = "../properties/journal.rs"]
mod journal;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

/// A journal that was written as a receiver does it.
fn written() -> &'static [u8] {
    static WRITTEN: OnceLock<Vec<u8>> = OnceLock::new();
    WRITTEN.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("journal-{}", std::process::id()));
        let written = journal::written(&path);
        std::fs::remove_file(path).ok();
        written
    })
}

fuzz_target!(|bytes: &[u8]| {
    let changes: Vec<_> = bytes
        .chunks_exact(3)
        .map(|it| (u16::from_be_bytes([it[0], it[1]]), it[2]))
        .collect();
    journal::check(bytes, written(), &changes);
});
