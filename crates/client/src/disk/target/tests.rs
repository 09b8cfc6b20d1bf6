use std::{
    fs, io,
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
    time::{Duration, UNIX_EPOCH},
};

use proptest::prelude::*;

use super::*;
use crate::{
    disk::{source::Source, walk::Step},
    transfer::{hex::Hex, note::Data},
};

mod durable;
mod finished;

const TRANSFER: Hex<16> = Hex([1; 16]);

fn manifest(kind: What, size: Option<u64>) -> Manifest {
    Manifest {
        transfer: TRANSFER,
        kind,
        name: "whole".into(),
        size,
        files: None,
    }
}

fn header(entry: u64, path: &[&str], size: Option<u64>) -> Header {
    Header {
        entry,
        path: path.iter().map(|&name| name.to_owned()).collect(),
        kind: if size.is_some() {
            What::File
        } else {
            What::Folder
        },
        size,
        modified: Some(1_000_000_000_000),
        executable: entry == 0,
        stamp: Hex::default(),
    }
}

fn enter(target: &mut Target, header: Header) -> Result<(), TargetError> {
    let json = header.to_json();
    target.entry(header, &json)
}

fn end(target: &Target) -> End {
    let Start {
        entries, digest, ..
    } = target.start();
    End {
        entries,
        bytes: target.bytes(),
        digest,
    }
}

fn finish(target: Target) -> PathBuf {
    let end = end(&target);
    let target = target.finish(&end).unwrap();
    let path = target.path().unwrap().to_owned();
    target.forget();
    path
}

/// One file of three bytes.
fn receive(folder: &Path) -> PathBuf {
    let mut target = Target::open(folder, &manifest(What::File, Some(3))).unwrap();
    enter(&mut target, header(0, &["whole"], Some(3))).unwrap();
    target.write(0, 0, b"abc").unwrap();
    finish(target)
}

fn part(target: &mut Target) -> &mut Part {
    match &mut target.onto {
        Onto::Disk(part) => part,
        _ => unreachable!("it is on a disk"),
    }
}

/// What was noted as written is of a mount that is over.
fn start_machine_anew(mut target: Target) {
    let point = target.ledger.point().clone();
    part(&mut target).journal.forget_mount();
    part(&mut target).note_written(&point).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = names
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_arrives_with_its_time_and_leaves_nothing_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let done = receive(folder.path());
    assert_eq!(fs::read(&done).unwrap(), b"abc");
    assert_eq!(names(folder.path()), ["whole"]);
    let found = fs::metadata(&done).unwrap();
    let time = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    assert_eq!(found.modified().unwrap(), time);
    assert_eq!(found.permissions().mode() & 0o100, 0o100);
    // A second one takes another name, whatever has the first: a folder, or a link that leads nowhere.
    assert_eq!(receive(folder.path()), folder.path().join("whole (2)"));
    fs::create_dir(folder.path().join("whole (3)")).unwrap();
    symlink("/nowhere", folder.path().join("whole (4)")).unwrap();
    assert_eq!(receive(folder.path()), folder.path().join("whole (5)"));
    let named = folder.path().join("named.txt");
    assert_eq!(receive(&named), named);
}

#[test]
fn a_receiver_that_was_killed_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Target::open(folder.path(), &manifest(What::Folder, None)).unwrap();
    let mut target = open();
    enter(&mut target, header(0, &["a"], None)).unwrap();
    enter(&mut target, header(1, &["a", "b"], Some(6))).unwrap();
    target.write(1, 0, b"abc").unwrap();
    let start = target.start();
    assert!(matches!(
        Target::open(folder.path(), &manifest(What::Folder, None)),
        Err(TargetError::InUse(_))
    ));
    drop(target);
    // It had begun another entry, which the journal does not know of.
    fs::write(folder.path().join("whole.part/a/c"), "").unwrap();
    let mut target = open();
    assert_eq!(target.start(), start);
    target.write(1, 3, b"def").unwrap();
    enter(&mut target, header(2, &["a", "c"], Some(0))).unwrap();
    let done = finish(target);
    assert_eq!(names(folder.path()), ["whole"]);
    assert_eq!(fs::read(done.join("a/b")).unwrap(), b"abcdef");
    assert_eq!(names(&done.join("a")), ["b", "c"]);
}

#[test]
fn what_was_taken_away_meanwhile_is_asked_for_from_the_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let mut target = Target::open(folder.path(), &manifest(What::File, Some(3))).unwrap();
    enter(&mut target, header(0, &["whole"], Some(3))).unwrap();
    drop(target);
    let part = folder.path().join("whole.part");
    fs::remove_file(&part).unwrap();
    // A link in its place is not followed.
    let other = folder.path().join("other");
    fs::write(&other, "kept").unwrap();
    symlink(&other, &part).unwrap();
    assert_eq!(receive(folder.path()), folder.path().join("whole"));
    assert_eq!(fs::read(other).unwrap(), b"kept");
}

#[test]
fn a_link_in_place_of_a_folder_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (share, other) = (folder.path().join("share"), folder.path().join("other"));
    fs::create_dir(&share).unwrap();
    fs::create_dir(&other).unwrap();
    let mut target = Target::open(&share, &manifest(What::Folder, None)).unwrap();
    enter(&mut target, header(0, &["a"], None)).unwrap();
    fs::remove_dir(share.join("whole.part/a")).unwrap();
    symlink(&other, share.join("whole.part/a")).unwrap();
    let entered = enter(&mut target, header(1, &["a", "b"], Some(0)));
    assert!(matches!(entered, Err(TargetError::Disturbed(_))));
    // A folder that was never named, and a file in place of one.
    let entered = enter(&mut target, header(1, &["b", "c"], Some(0)));
    assert!(matches!(entered, Err(TargetError::Disturbed(_))));
    enter(&mut target, header(1, &["c"], Some(0))).unwrap();
    let entered = enter(&mut target, header(2, &["c", "d"], Some(0)));
    assert!(matches!(entered, Err(TargetError::Disturbed(_))));
    assert!(names(&other).is_empty());
}

#[test]
fn a_name_that_is_taken_already_is_a_collision() {
    let folder = tempfile::tempdir().unwrap();
    let mut target = Target::open(folder.path(), &manifest(What::Folder, None)).unwrap();
    enter(&mut target, header(0, &["A"], Some(0))).unwrap();
    // As it is on a file system to which both cases are one: this one may know the difference.
    let part = folder.path().join("whole.part");
    if place::is_missing(&part.join("a")) {
        fs::write(part.join("a"), "").unwrap();
    }
    let entered = enter(&mut target, header(1, &["a"], Some(0)));
    assert!(matches!(entered, Err(TargetError::Collision(_))));
}

#[test]
fn a_transfer_that_has_no_room_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let opened = Target::open(folder.path(), &manifest(What::Folder, Some(u64::MAX)));
    assert!(matches!(opened, Err(TargetError::NoSpace { .. })));
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_full_disk_and_a_place_that_may_not_be_written_are_told_apart() {
    let error = |kind: io::ErrorKind| TargetError::io(Path::new("/x"), kind.into());
    let full = error(io::ErrorKind::StorageFull);
    assert!(matches!(full, TargetError::NoSpace { .. }));
    let denied = error(io::ErrorKind::ReadOnlyFilesystem);
    assert!(matches!(denied, TargetError::Denied(..)));
    // Nobody may make files there, root neither.
    let opened = Target::open(Path::new("/proc/self"), &manifest(What::File, Some(3)));
    assert!(opened.is_err());
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut target = Target::output(full, &manifest(What::File, Some(3))).unwrap();
    enter(&mut target, header(0, &["whole"], Some(3))).unwrap();
    let written = target.write(0, 0, b"abc");
    assert!(
        matches!(written, Err(TargetError::NoSpace { .. })),
        "{written:?}"
    );
}

/// A source on this disk, with files around every boundary.
fn source() -> (tempfile::TempDir, Source) {
    let folder = tempfile::tempdir().unwrap();
    let share = folder.path().join("whole");
    fs::create_dir_all(share.join("b/empty")).unwrap();
    for (name, len) in [
        ("a", 0),
        ("b/1", 1),
        ("b/2", 32_768),
        ("c", 1_100_000),
        ("d", 40_000),
    ] {
        let content: Vec<u8> = (0..len as u32).map(|it| (it / 3) as u8).collect();
        fs::write(share.join(name), content).unwrap();
    }
    let source = Source::open(&share).unwrap();
    (folder, source)
}

/// Takes so many steps of a walk from where `target` is; whether that was the end.
fn go_on(source: &Source, target: &mut Target, steps: usize) -> Option<End> {
    let Start {
        entries,
        offset,
        digest,
        ..
    } = target.start();
    let mut walk = source.walk_from(entries, offset, &digest).unwrap();
    let mut message = Vec::new();
    for _ in 0..steps {
        match walk.next(&mut message).unwrap() {
            Step::Entry(header) => enter(target, header).unwrap(),
            Step::Content { entry, offset } => {
                target.write(entry, offset, &message[Data::HEAD..]).unwrap();
            }
            Step::End(end) => return Some(end),
        }
    }
    None
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However often the line is cut, the receiver killed or its machine started anew: the same files arrive.
    #[test]
    fn whatever_happens_on_the_way_the_same_arrives(
        happens in prop::collection::vec((0..30_usize, 0..4_u8), 0..12),
    ) {
        let (folder, source) = source();
        let there = folder.path().join("there");
        fs::create_dir(&there).unwrap();
        let open = || Target::open(&there, &source.manifest(TRANSFER)).unwrap();
        let mut target = open();
        for (steps, what) in happens {
            if go_on(&source, &mut target, steps).is_some() {
                break;
            }
            match what {
                0 => {}
                1 => target.settle().unwrap(),
                2 => {
                    let before = target.start();
                    drop(target);
                    target = open();
                    prop_assert_eq!(target.start(), before);
                }
                _ => {
                    start_machine_anew(target);
                    target = open();
                }
            }
        }
        let end = go_on(&source, &mut target, usize::MAX).unwrap();
        let target = target.finish(&end).unwrap();
        let done = target.path().unwrap().to_owned();
        target.forget();
        for name in ["a", "b/1", "b/2", "c", "d"] {
            let sent = fs::read(source.path().unwrap().join(name)).unwrap();
            prop_assert!(fs::read(done.join(name)).unwrap() == sent, "{}", name);
        }
        prop_assert!(done.join("b/empty").is_dir());
        prop_assert_eq!(names(&there), ["whole"]);
    }
}
