//! What is whole, and whose sender may not know yet.

use super::*;

#[test]
fn a_receiver_that_was_killed_before_its_sender_knew_has_it_all() {
    let folder = tempfile::tempdir().unwrap();
    let open = |kind| Target::open(folder.path(), &manifest(kind, None)).unwrap();
    let mut target = open(What::Folder);
    enter(&mut target, header(0, &["a"], Some(3))).unwrap();
    target.write(0, 0, b"abc").unwrap();
    let (start, end) = (target.start(), end(&target));
    drop(target.finish(&end).unwrap());
    assert_eq!(names(folder.path()), ["whole", "whole.part.journal"]);

    let mut target = open(What::Folder);
    assert!(target.is_finished());
    assert_eq!((target.start(), target.bytes()), (start, 3));
    // Nothing more may come, and nothing is written.
    let more = enter(&mut target, header(1, &["b"], Some(0)));
    assert!(matches!(more, Err(TargetError::Refused(_))));
    assert_eq!(finish(target), folder.path().join("whole"));
    assert_eq!(names(folder.path()), ["whole"]);
}

#[test]
fn a_receiver_that_was_killed_before_it_had_its_name_goes_on_from_there() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Target::open(folder.path(), &manifest(What::File, Some(3))).unwrap();
    let mut target = open();
    enter(&mut target, header(0, &["whole"], Some(3))).unwrap();
    target.write(0, 0, b"abc").unwrap();
    let end = end(&target);
    drop(target.finish(&end).unwrap());
    let [part, whole] = ["whole.part", "whole"].map(|name| folder.path().join(name));
    // As it was just before.
    fs::rename(&whole, &part).unwrap();
    let target = open();
    assert!(!target.is_finished());
    assert_eq!(target.bytes(), 3);
    drop(target);

    // What was taken away is not there.
    fs::remove_file(&part).unwrap();
    fs::write(&whole, "somebody else's").unwrap();
    let mut target = open();
    assert_eq!(target.bytes(), 0);
    enter(&mut target, header(0, &["whole"], Some(3))).unwrap();
    target.write(0, 0, b"ab").unwrap();
    drop(target);
    let mut target = open();
    assert_eq!(target.bytes(), 2);
    target.write(0, 2, b"c").unwrap();
    assert_eq!(finish(target), folder.path().join("whole (2)"));
    assert_eq!(names(folder.path()), ["whole", "whole (2)"]);
}
