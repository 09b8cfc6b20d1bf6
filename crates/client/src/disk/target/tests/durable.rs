//! What a disk loses is asked for again.

use super::*;

fn open(folder: &Path) -> Target {
    Target::open(folder, &manifest(What::File, Some(6))).unwrap()
}

/// A target with three bytes that are durable, and two that may not be.
fn half_durable(folder: &Path) -> Target {
    let mut target = open(folder);
    enter(&mut target, header(0, &["whole"], Some(6))).unwrap();
    target.write(0, 0, b"abc").unwrap();
    target.settle().unwrap();
    target.write(0, 3, b"de").unwrap();
    target
}

/// Those two are asked for again, and then all is there.
fn goes_on_behind_the_three(folder: &Path) {
    let mut target = open(folder);
    assert_eq!((target.start().entries, target.start().offset), (1, 3));
    target.write(0, 3, b"DEF").unwrap();
    assert_eq!(fs::read(finish(target)).unwrap(), b"abcDEF");
}

#[test]
fn what_was_not_durable_is_asked_for_again_after_the_machine_was_started_anew() {
    let folder = tempfile::tempdir().unwrap();
    start_machine_anew(half_durable(folder.path()));
    goes_on_behind_the_three(folder.path());
}

#[test]
fn of_what_a_disk_has_failed_to_take_no_length_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    let [there, away] = ["there", "away"].map(|name| folder.path().join(name));
    fs::create_dir(&there).unwrap();
    let mut target = half_durable(&there);
    fs::rename(&there, &away).unwrap();
    assert!(target.settle().is_err(), "its folder is not there");
    fs::rename(&away, &there).unwrap();
    drop(target);
    goes_on_behind_the_three(&there);
}

#[test]
fn a_folder_is_made_durable_by_what_was_opened_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut target = Target::open(folder.path(), &manifest(What::Folder, None)).unwrap();
    enter(&mut target, header(0, &["a"], Some(0))).unwrap();
    // A descriptor that is opened now would not tell of what was lost before.
    let moved = folder.path().join("moved");
    fs::rename(folder.path().join("whole.part"), moved).unwrap();
    target.settle().unwrap();
}

#[test]
fn headers_without_content_are_made_durable_in_their_time_too() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Target::open(folder.path(), &manifest(What::Folder, None)).unwrap();
    let mut target = open();
    enter(&mut target, header(0, &["a"], Some(0))).unwrap();
    part(&mut target).settled -= Duration::from_secs(2);
    enter(&mut target, header(1, &["b"], Some(0))).unwrap();
    enter(&mut target, header(2, &["c"], Some(0))).unwrap();
    start_machine_anew(target);
    assert_eq!(open().start().entries, 2);
}
