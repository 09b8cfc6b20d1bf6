//! Any bytes as what the other side has sealed, or said in clear.
#![no_main]

#[path = "../properties/note.rs"]
mod note;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| note::check(bytes));
