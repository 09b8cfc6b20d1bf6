//! Any bytes as a request.
#![no_main]

#[path = "../properties/request.rs"]
mod request;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| request::check(bytes));
