//! Any bytes as records of content.
#![no_main]

#[path = "../properties/record.rs"]
mod record;

use libfuzzer_sys::fuzz_target;

/// Of each record a byte for its length, whose last bit says whether it is packed, and then its bytes.
fn input(mut bytes: &[u8]) -> record::Input {
    let mut records = Vec::new();
    while let Some((&length, rest)) = bytes.split_first() {
        let len = (usize::from(length >> 1) * 16).min(rest.len());
        let (record, rest) = rest.split_at(len);
        records.push((length & 1 != 0, record.to_vec()));
        bytes = rest;
    }
    records
}

fuzz_target!(|bytes: &[u8]| record::check(&input(bytes)));
