//! What must hold of the notes that a sender and a receiver read, whatever the other side has sealed: reading one
//! never panics, and takes nothing that would be written, and read again, as something else.

use relay_client::transfer::{
    hello::Word,
    names,
    note::{Kind, MAX_NOTE, Note},
    seal::{Opened, Opener, Sealer},
};

/// Reads `json` as a note of each kind and as a text, and asserts it.
pub fn check(json: &[u8]) {
    for kind in (0..=u8::MAX).filter_map(Kind::from_byte) {
        let Some(note) = Note::parse(kind, json) else {
            continue;
        };
        assert!(json.len() <= MAX_NOTE);
        assert_eq!(note.kind() as u8, kind as u8);
        let mut message = Sealer::new(&[0; 32]).note(&note);
        let again = Opener::new(&[0; 32]).open(&mut message);
        assert!(matches!(again, Ok(Opened::Note(again, _)) if again == note));
    }
    let Ok(text) = std::str::from_utf8(json) else {
        return;
    };
    if let Some(word) = Word::parse(text) {
        assert_eq!(Word::parse(&word.to_text()), Some(word));
    }
    let shown = names::shown(text, 80);
    assert!(shown.chars().count() <= 81);
    assert!(!shown.chars().any(char::is_control));
    assert!(!names::is_safe(text) || !text.contains(['/', '\\', '\0']));
}
