use proptest::prelude::*;

use super::*;
use crate::transfer::note::{Abort, Reason};

const KEY: [u8; 32] = [3; 32];
const DATA: Data = Data {
    entry: 1,
    offset: 2,
    packed: false,
};

fn record(sealer: &mut Sealer, data: &Data, content: &[u8]) -> Vec<u8> {
    let mut message = vec![0; Data::HEAD];
    message.extend_from_slice(content);
    sealer.data(data, &mut message);
    message
}

#[test]
fn messages_open_in_their_order_only() {
    let (mut sealer, mut opener) = (Sealer::new(&KEY), Opener::new(&KEY));
    let note = Note::Abort(Abort {
        reason: Reason::Stalled,
    });
    let mut first = sealer.note(&note);
    let mut second = record(&mut sealer, &DATA, b"content");
    assert_eq!(
        Opener::new(&KEY).open(&mut second.clone()),
        Err(NotOpened::Forged)
    );
    let opened = opener.open(&mut first).unwrap();
    assert_eq!(opened, Opened::Note(note, br#"{"reason":"stalled"}"#));
    let mut again = second.clone();
    let opened = opener.open(&mut again).unwrap();
    assert_eq!(opened, Opened::Data(DATA, b"content"));
    assert_eq!(opener.open(&mut second), Err(NotOpened::Forged));
}

#[test]
fn a_message_is_of_one_transfer() {
    let (mut sealer, mut opener) = (Sealer::new(&KEY), Opener::new(&KEY));
    sealer.bind(Hex([1; 16]));
    opener.bind(Hex([2; 16]));
    let mut message = record(&mut sealer, &DATA, b"content");
    assert_eq!(opener.open(&mut message), Err(NotOpened::Forged));
}

#[test]
fn what_is_sealed_but_no_message_is_malformed() {
    let (mut sealer, mut opener) = (Sealer::new(&KEY), Opener::new(&KEY));
    let mut message = vec![Kind::Start as u8, b'{'];
    sealer.seal(&mut message, 1);
    assert_eq!(opener.open(&mut message), Err(NotOpened::Malformed));
}

proptest! {
    /// Every bit counts, those in clear as well.
    #[test]
    fn a_changed_message_does_not_open(content: Vec<u8>, at: prop::sample::Index, bit in 0..8) {
        let mut message = record(&mut Sealer::new(&KEY), &DATA, &content);
        let at = at.index(message.len());
        message[at] ^= 1_u8 << bit;
        prop_assert_eq!(Opener::new(&KEY).open(&mut message), Err(NotOpened::Forged));
    }

    #[test]
    fn a_cut_message_does_not_open(content: Vec<u8>, len: prop::sample::Index) {
        let mut message = record(&mut Sealer::new(&KEY), &DATA, &content);
        let len = len.index(message.len());
        prop_assert_eq!(Opener::new(&KEY).open(&mut message[..len]), Err(NotOpened::Forged));
    }
}
