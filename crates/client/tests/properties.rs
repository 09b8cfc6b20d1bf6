//! The properties of what `distill` reads of strangers, tried on generated input with every test run. The fuzz
//! targets in `fuzz/` search with the same properties, and for longer.
#![cfg(feature = "distill")]
#![allow(clippy::unwrap_used)]

#[path = "../../../fuzz/properties/journal.rs"]
mod journal;
#[path = "../../../fuzz/properties/note.rs"]
mod note;
#[path = "../../../fuzz/properties/record.rs"]
mod record;

use proptest::{collection::vec, prelude::*, sample::select};

/// JSON that is nearly a note, or one.
fn json() -> impl Strategy<Value = String> {
    let fields = [
        "transfer",
        "kind",
        "name",
        "size",
        "files",
        "entries",
        "entry",
        "offset",
        "digest",
        "packing",
        "path",
        "modified",
        "executable",
        "stamp",
        "records",
        "bytes",
        "reason",
        "type",
        "version",
        "versions",
        "key",
        "salt",
        "nonce",
        "proof",
    ];
    let values = [
        "0",
        "-1",
        "18446744073709551615",
        "1e400",
        "null",
        "true",
        "\"file\"",
        "\"folder\"",
        "\"stream\"",
        "\"..\"",
        "\"\\u0000\"",
        "[]",
        "[1,2]",
        "[\"zstd\"]",
        "[\"a\",\"b\"]",
        "{}",
        "\"HELLO\"",
        "\"AUTH\"",
        "\"ACK\"",
        "\"00000000000000000000000000000000\"",
        "\"0011223344556677\"",
        "\"0000000000000000000000000000000000000000000000000000000000000000\"",
    ];
    vec((select(fields.to_vec()), select(values.to_vec())), 0..8).prop_map(|pairs| {
        let pairs = pairs
            .iter()
            .map(|(field, value)| format!("\"{field}\":{value}"));
        format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
    })
}

proptest! {
    #[test]
    fn notes(bytes in prop_oneof![vec(any::<u8>(), 0..200), json().prop_map(String::into_bytes)]) {
        note::check(&bytes);
    }

    #[test]
    fn whole_notes(records: u64, bytes: u64, reason in "[a-z_]{0,20}") {
        note::check(format!("{{\"records\":{records},\"bytes\":{bytes}}}").as_bytes());
        note::check(format!("{{\"reason\":\"{reason}\"}}").as_bytes());
    }

    #[test]
    fn records(parts in vec((any::<bool>(), vec(any::<u8>(), 0..300), 0..40_000_usize), 0..6), cut in 0..50_usize) {
        // What is packed begins as a stream of the library's, with bytes of its own behind it.
        let packed = parts.into_iter().map(|(packed, tail, len)| {
            let stream = zstd_stream(len);
            (packed, [&stream[..stream.len().saturating_sub(cut)], &tail].concat())
        });
        record::check(&packed.collect());
    }

    #[test]
    fn journals(bytes: Vec<u8>, changes in vec(any::<(u16, u8)>(), 0..20)) {
        let folder = tempfile::tempdir().unwrap();
        let written = journal::written(&folder.path().join("journal"));
        journal::check(&bytes, &written, &changes);
    }
}

/// `len` bytes of one kind, as a record that is packed.
fn zstd_stream(len: usize) -> Vec<u8> {
    use relay_client::transfer::{note::Data, packing::Packer};
    let mut message = vec![b'x'; Data::HEAD + len];
    match Packer::new() {
        Ok(mut packer) => packer.pack(0, 0, &mut message),
        Err(_) => unreachable!("there is memory"),
    };
    message.split_off(Data::HEAD)
}
