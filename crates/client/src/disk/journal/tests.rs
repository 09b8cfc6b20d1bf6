use proptest::prelude::*;

use super::*;

const TRANSFER: Hex<16> = Hex([1; 16]);

fn point(entries: u64) -> Point {
    Point {
        entries,
        ..Point::default()
    }
}

fn path() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    (folder, path)
}

#[test]
fn what_was_written_counts_while_the_disk_is_mounted_and_what_is_durable_after() {
    let (_folder, path) = path();
    let mut journal = Journal::create(&path, &TRANSFER).unwrap();
    for entries in 1..=5 {
        journal.note_written(&point(entries)).unwrap();
    }
    for entries in 1..=4 {
        journal.note_durable(&point(entries)).unwrap();
    }
    let bytes = fs::read(&path).unwrap();
    assert!(bytes.len() <= LENGTH);
    let points = || Points::parse(&bytes, &TRANSFER).unwrap();
    let written = Some(Resumed::Written(point(5)));
    let durable = Some(Resumed::Durable(point(4)));
    assert_eq!(points().resumed(&journal.mount), written);
    assert_eq!(points().resumed("another mount"), durable);
    assert_eq!(points().resumed(""), durable);
    assert_eq!(Points::parse(&bytes, &Hex([2; 16])), None);
    drop(journal);

    let (mut journal, resumed) = Journal::open(&path, &TRANSFER).unwrap();
    assert_eq!(resumed, written);
    journal.note_written(&point(6)).unwrap();
    drop(journal);
    let (_, resumed) = Journal::open(&path, &TRANSFER).unwrap();
    assert_eq!(resumed, Some(Resumed::Written(point(6))));
}

#[test]
fn what_was_withdrawn_counts_no_more() {
    let (_folder, path) = path();
    let mut journal = Journal::create(&path, &TRANSFER).unwrap();
    journal.note_written(&point(1)).unwrap();
    journal.note_durable(&point(1)).unwrap();
    journal.note_written(&point(2)).unwrap();
    journal.withdraw(&point(2)).unwrap();
    drop(journal);
    let (mut journal, resumed) = Journal::open(&path, &TRANSFER).unwrap();
    assert_eq!(resumed, Some(Resumed::Durable(point(1))));
    journal.note_written(&point(3)).unwrap();
    drop(journal);
    let (_, resumed) = Journal::open(&path, &TRANSFER).unwrap();
    assert_eq!(resumed, Some(Resumed::Written(point(3))));
}

#[test]
fn each_mount_has_a_text_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let here = File::open(folder.path()).unwrap();
    if mount(&here).is_empty() {
        relay_testing::skip::skip("numbers of mounts (Linux 6.8)");
        return;
    }
    assert_eq!(mount(&here), mount(&File::open(folder.path()).unwrap()));
    assert_ne!(
        mount(&here),
        mount(&File::open("/proc/self/status").unwrap())
    );
}

#[test]
fn one_receiver_has_it_at_a_time() {
    let (_folder, path) = path();
    let journal = Journal::create(&path, &TRANSFER).unwrap();
    let second = Journal::open(&path, &TRANSFER);
    assert!(matches!(second, Err(JournalError::InUse)));
    drop(journal);
    assert!(Journal::open(&path, &TRANSFER).is_ok());
    let other = Journal::open(&path, &Hex([2; 16]));
    assert!(matches!(other, Err(JournalError::Other)));
}

#[test]
fn a_link_is_no_journal() {
    let (folder, path) = path();
    drop(Journal::create(&path, &TRANSFER).unwrap());
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(Journal::open(&link, &TRANSFER).is_err());
    assert!(Journal::create(&link, &TRANSFER).is_err());
}

proptest! {
    /// A slot that was half written when the power went leaves the one before it.
    #[test]
    fn a_torn_slot_leaves_the_one_before(notes in 2..8_u64, cut in 0..SLOT_HEAD + 50, byte: u8) {
        let (_folder, path) = path();
        let mut journal = Journal::create(&path, &TRANSFER).unwrap();
        for entries in 1..=notes {
            journal.note_durable(&point(entries)).unwrap();
        }
        let mut bytes = fs::read(&path).unwrap();
        let slot = HEAD + (2 + notes as usize % 2) * SLOT;
        let whole = bytes.clone();
        bytes[slot + cut..].iter_mut().take(SLOT).for_each(|it| *it = byte);
        let resumed = Points::parse(&bytes, &TRANSFER).unwrap().resumed("another mount");
        let expected = if bytes == whole { notes } else { notes - 1 };
        // What lies behind in the file is the other slot, where this one is the first.
        prop_assume!(slot != HEAD + 2 * SLOT || bytes[slot + SLOT..] == whole[slot + SLOT..]);
        prop_assert_eq!(resumed, Some(Resumed::Durable(point(expected))));
    }
}
