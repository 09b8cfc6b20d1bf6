use super::*;

/// The JSON of `note`.
fn json(note: &Note) -> String {
    let mut json = Vec::new();
    note.write(&mut json);
    String::from_utf8(json).unwrap()
}

#[test]
fn a_note_is_read_as_it_was_written() {
    let header = Header {
        entry: u64::MAX,
        path: vec!["a".into(), "구름\n".into()],
        kind: What::Folder,
        size: None,
        modified: Some(-1),
        executable: true,
        stamp: Hex([1; 8]),
    };
    let start = Start {
        packing: vec!["zstd".into()],
        ..Start::default()
    };
    let end = End {
        entries: 1,
        bytes: 2,
        digest: Hex([3; 32]),
    };
    for note in [
        Note::Entry(header),
        Note::Start(start),
        Note::End(end),
        Note::Delivered,
    ] {
        let json = json(&note);
        assert_eq!(Note::parse(note.kind(), json.as_bytes()), Some(note));
    }
}

#[test]
fn a_word_of_a_later_version_is_another_reason() {
    let other = Note::Abort(Abort {
        reason: Reason::Other,
    });
    assert_eq!(
        Note::parse(Kind::Abort, br#"{"reason":"moon_phase","more":1}"#),
        Some(other)
    );
}

#[test]
fn what_is_no_note_is_not_read() {
    for (kind, json) in [
        (Kind::Confirm, r#"{"records":1}"#),
        (Kind::Confirm, r#"{"records":-1,"bytes":0}"#),
        (Kind::Confirm, r#"{"records":1e99,"bytes":0}"#),
        (Kind::Confirm, "[1,2]"),
        (Kind::Abort, r#"{"reason":7}"#),
        (Kind::Data, "{}"),
    ] {
        assert_eq!(Note::parse(kind, json.as_bytes()), None, "{json}");
    }
}

#[test]
fn a_note_has_a_longest() {
    let start = |len: usize| {
        let packing = vec!["x".repeat(len)];
        let json = json(&Note::Start(Start {
            packing,
            ..Start::default()
        }));
        (
            json.len(),
            Note::parse(Kind::Start, json.as_bytes()).is_some(),
        )
    };
    let (rest, _) = start(0);
    assert_eq!(start(MAX_NOTE - rest), (MAX_NOTE, true));
    assert_eq!(start(MAX_NOTE - rest + 1), (MAX_NOTE + 1, false));
}

#[test]
fn the_clear_part_of_content_is_read_as_it_was_written() {
    let data = Data {
        entry: 1,
        offset: u64::MAX,
        packed: true,
    };
    let mut bytes = data.to_bytes();
    assert_eq!(Data::parse(&bytes), Some(data));
    bytes[17] = 2;
    assert_eq!(Data::parse(&bytes), None);
}

#[test]
fn a_chain_depends_on_every_header_and_on_their_order() {
    let of = |headers: &[&str]| {
        let mut chain = Chain::default();
        headers.iter().for_each(|it| chain.add(it.as_bytes()));
        chain
    };
    assert_ne!(of(&["a", "b"]), of(&["b", "a"]));
    assert_ne!(of(&["a", "b"]), of(&["a"]));
}
