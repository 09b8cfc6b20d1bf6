//! The other side says what it must not, and this side ends the attempt for it.
#![allow(clippy::unwrap_used)]

use std::{fs, sync::Arc};

use bytes::Bytes;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::{
    event::Tell,
    fault::Fault,
    home::Home,
    line::{Heard, Line, testing::pair},
    options::Where,
    pairing::{Parting, STALL},
    receiving::Receiving,
    sending::Sending,
    trouble::Trouble,
};
use crate::{
    disk::source::Source,
    transfer::{
        hex::Hex,
        keys::{Ephemeral, Exchange, PassKey, Schedule},
        note::{Confirm, Data, End, Header, Manifest, Note, Start, What},
        seal::{Opener, Sealer},
        window::Holds,
    },
};

const TRANSFER: Hex<16> = Hex([7; 16]);
/// What the relay calls the receiver.
const RECEIVER: &str = "conn_1";

/// The keys of an attempt: the sender's and the receiver's.
pub(super) fn keys() -> (Schedule, Schedule) {
    let (receiver, sender) = (Ephemeral::new().unwrap(), Ephemeral::new().unwrap());
    let (of_receiver, of_sender) = (*receiver.public(), *sender.public());
    let exchange = Exchange {
        room: "a7f3k2",
        receiver: &of_receiver,
        sender: &of_sender,
        salt: &Hex([1; 32]),
        nonce: &Hex([2; 16]),
    };
    let pass = PassKey::from_bytes([3; 32]);
    (
        Schedule::agree(sender, &of_receiver, &exchange, &pass).unwrap(),
        Schedule::agree(receiver, &of_sender, &exchange, &pass).unwrap(),
    )
}

fn silent() -> Tell {
    Arc::new(|_| {})
}

/// The other side, as it likes.
struct Other {
    line: Line,
    sealer: Sealer,
    _opener: Opener,
    again: Option<Note>,
}

impl Other {
    fn note(&mut self, note: &Note) {
        let message = self.sealer.note(note);
        self.line.say(Bytes::from(message)).unwrap();
    }

    fn data(&mut self, entry: u64, offset: u64, record: &[u8]) {
        let mut message = [&[0; Data::HEAD], record].concat();
        let data = Data {
            entry,
            offset,
            packed: false,
        };
        self.sealer.data(&data, &mut message);
        self.line.say(Bytes::from(message)).unwrap();
    }

    /// Hears until the line ends, and says `again` whenever it is quiet.
    async fn listen(mut self) {
        loop {
            match (timeout(STALL / 2, self.line.hear()).await, &self.again) {
                (Ok(Ok(_)), _) | (Err(_), None) => {}
                (Ok(Err(_)), _) => return,
                (Err(_), Some(note)) => self.note(&note.clone()),
            }
        }
    }
}

/// How it ends for a sender whose receiver does this.
async fn sender_of(receiver: impl FnOnce(&mut Other)) -> Parting {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, vec![1; 100_000]).unwrap();
    let source = Source::open(&path).unwrap();
    let (mut line, there) = pair(1 << 20).await;
    line.pair_with(RECEIVER.to_owned());
    let (own, other) = keys();
    let (sealer, opener) = other.of_receiver();
    let mut other = Other {
        line: there,
        sealer,
        _opener: opener,
        again: None,
    };
    let manifest = source.manifest(TRANSFER);
    let mut keys = own.of_sender();
    let mut sending = Sending::new(&mut line, &mut keys, &source, Holds::default());
    other.sealer.bind(TRANSFER);
    receiver(&mut other);
    let tell = silent();
    tokio::select! {
        end = sending.run(&manifest, &tell) => end.unwrap_err(),
        () = other.listen() => unreachable!("the sender has the line"),
    }
}

fn start() -> Note {
    Note::Start(Start::default())
}

#[tokio::test]
async fn a_sender_ends_with_a_receiver_that_breaks_the_protocol() {
    let confirm = |records, bytes| Note::Confirm(Confirm { records, bytes });
    for (what, notes) in [
        ("no START", vec![confirm(0, 0)]),
        ("two", vec![start(), start()]),
        ("more than was sent", vec![start(), confirm(1_000_000, 1)]),
        ("delivered too early", vec![start(), Note::Delivered]),
    ] {
        let end = sender_of(|other| notes.iter().for_each(|note| other.note(note))).await;
        assert!(matches!(end, Parting::Misbehaved(_)), "{what}: {end:?}");
    }
    let forged = sender_of(|other| other.line.say(Message::binary(vec![2; 99])).unwrap()).await;
    assert_eq!(forged, Parting::NotAuthentic);
    let text = sender_of(|other| other.line.say(Message::text("[".repeat(9999))).unwrap()).await;
    assert!(matches!(text, Parting::Misbehaved(_)), "{text:?}");
    let long = sender_of(|other| other.line.say(Message::binary(vec![2; 300_000])).unwrap()).await;
    assert!(matches!(long, Parting::Misbehaved(_)), "{long:?}");
}

#[tokio::test]
async fn a_sender_finds_out_that_a_receiver_has_something_else() {
    let other = Start {
        entries: 1,
        ..Start::default()
    };
    let end = sender_of(|it| it.note(&Note::Start(other))).await;
    assert!(matches!(end, Parting::NotThere(Fault::Disk(_))), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn a_sender_does_not_wait_for_ever() {
    let began = tokio::time::Instant::now();
    assert_eq!(sender_of(|_| {}).await, Parting::Stalled);
    assert!(began.elapsed() < 2 * STALL);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_says_the_same_again_does_not_go_on() {
    let end = sender_of(|other| {
        other.note(&start());
        other.again = Some(Note::Confirm(Confirm {
            records: 1,
            bytes: 0,
        }));
    });
    assert_eq!(timeout(2 * STALL, end).await, Ok(Parting::Stalled));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_cannot_say_in_the_relays_place_that_it_has_left() {
    let left = |name: &str| {
        let text = format!(r#"{{"type":"PEER_DISCONNECTED","peer_id":"{name}"}}"#);
        sender_of(move |other| other.line.say(Message::text(text)).unwrap())
    };
    assert_eq!(left(RECEIVER).await, Parting::Left);
    for name in ["", "conn_2"] {
        assert_eq!(left(name).await, Parting::Stalled);
    }
}

/// How it ends for a receiver whose sender does this.
async fn receiver_of(kind: What, sender: impl FnOnce(&mut Other)) -> Parting {
    let folder = tempfile::tempdir().unwrap();
    let (mut line, there) = pair(32 << 20).await;
    let (other, own) = keys();
    let (sealer, opener) = other.of_sender();
    let mut other = Other {
        line: there,
        sealer,
        _opener: opener,
        again: None,
    };
    other.note(&Note::Manifest(Manifest {
        transfer: TRANSFER,
        kind,
        name: "name".to_owned(),
        size: None,
        files: None,
    }));
    other.sealer.bind(TRANSFER);
    sender(&mut other);
    let mut home = Home::new(Where::Path(folder.path().to_owned()));
    let receiving = async {
        let Heard::Binary(first) = line.hear().await.unwrap() else {
            unreachable!("a manifest");
        };
        let mut keys = own.of_receiver();
        let mut receiving = Receiving::new(&mut line, &mut keys);
        receiving
            .run(first, &mut home, &silent())
            .await
            .unwrap_err()
    };
    let end = tokio::select! {
        end = receiving => end,
        () = other.listen() => unreachable!("the receiver has the line"),
    };
    let outside = fs::read_dir(folder.path().parent().unwrap()).unwrap();
    assert!(outside.flatten().all(|it| it.file_name() != "outside"));
    end
}

fn header(entry: u64, path: &[&str], kind: What, size: u64) -> Header {
    Header {
        entry,
        path: path.iter().map(|name| (*name).to_owned()).collect(),
        kind,
        size: (kind == What::File).then_some(size),
        modified: None,
        executable: false,
        stamp: Hex([0; 8]),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_ends_with_a_sender_that_breaks_the_protocol() {
    let file = || Note::Entry(header(0, &["name"], What::File, 100_000));
    let end = |entries, bytes| {
        Note::End(End {
            entries,
            bytes,
            digest: Hex([0; 32]),
        })
    };
    type Says = Box<dyn FnOnce(&mut Other)>;
    let cases: Vec<(&str, Says)> = vec![
        (
            "content before its entry",
            Box::new(|it| it.data(0, 0, &[1])),
        ),
        (
            "another entry",
            Box::new(move |it| {
                it.note(&file());
                it.data(1, 0, &[1]);
            }),
        ),
        (
            "another offset",
            Box::new(move |it| {
                it.note(&file());
                it.data(0, 1, &[1]);
            }),
        ),
        (
            "an empty record",
            Box::new(move |it| {
                it.note(&file());
                it.data(0, 0, &[]);
            }),
        ),
        (
            "too long a record",
            Box::new(move |it| {
                it.note(&file());
                it.data(0, 0, &[1; 40_000]);
            }),
        ),
        (
            "an end of something else",
            Box::new(move |it| it.note(&end(7, 7))),
        ),
        (
            "a manifest again",
            Box::new(|it| it.note(&Note::Start(Start::default()))),
        ),
    ];
    for (what, says) in cases {
        let end = receiver_of(What::File, says).await;
        let fault = end.of_receiver();
        assert!(
            matches!(fault, Trouble::Over(Fault::Misbehaved(_))),
            "{what}: {fault:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_do_not_lead_out_of_the_folder() {
    for path in [
        &["..", "outside"][..],
        &["/tmp/outside"],
        &["a/../../outside"],
        &["nul"],
    ] {
        let end = receiver_of(What::Folder, |it| {
            it.note(&Note::Entry(header(0, path, What::File, 1)));
            // More is on its way when it is refused.
            (0..200).for_each(|_| it.data(0, 0, &[1]));
        });
        let fault = end.await.of_receiver();
        assert!(
            matches!(fault, Trouble::Over(Fault::Aborted(_))),
            "{path:?}: {fault:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_more_than_may_be_on_its_way_is_refused() {
    // Entries without content: the disk is slower than the memory that they come from.
    let end = receiver_of(What::Folder, |it| {
        for entry in 0..40_000 {
            let name = format!("{entry:06}");
            it.note(&Note::Entry(header(entry, &[&name], What::Folder, 0)));
        }
    });
    let end = end.await;
    assert_eq!(end, Parting::Misbehaved("more than may be on its way"));
}
