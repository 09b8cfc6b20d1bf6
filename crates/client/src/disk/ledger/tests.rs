use super::*;
use crate::transfer::hex::Hex;

fn ledger(kind: What) -> Ledger {
    let manifest = Manifest {
        transfer: Hex([1; 16]),
        kind,
        name: "whole".into(),
        size: None,
        files: None,
    };
    Ledger::new(&manifest).unwrap_or_else(|_| unreachable!("a safe name"))
}

fn header(entry: u64, path: &[&str], kind: What, size: Option<u64>) -> Header {
    Header {
        entry,
        path: path.iter().map(|&name| name.to_owned()).collect(),
        kind,
        size,
        modified: None,
        executable: false,
        stamp: Hex::default(),
    }
}

fn enter(ledger: &mut Ledger, header: Header) -> Result<(), Refused> {
    ledger.may_begin(&header)?;
    let json = header.to_json();
    ledger.enter(header, &json);
    Ok(())
}

#[test]
fn entries_come_in_order_and_none_twice() {
    let mut ledger = ledger(What::Folder);
    let folder = |entry, path: &[&str]| header(entry, path, What::Folder, None);
    assert_eq!(enter(&mut ledger, folder(0, &["b"])), Ok(()));
    for path in [&["b"][..], &["a"], &["a", "x"]] {
        assert_eq!(enter(&mut ledger, folder(1, path)), Err(Refused::OutOfTurn));
    }
    assert_eq!(
        enter(&mut ledger, folder(2, &["c"])),
        Err(Refused::OutOfTurn)
    );
    assert_eq!(enter(&mut ledger, folder(1, &["b", "a"])), Ok(()));
    assert_eq!(enter(&mut ledger, folder(2, &["c"])), Ok(()));
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let mut ledger = ledger(What::Folder);
    for name in ["..", "/etc", "a/b", "NUL", "a\0", "x.", ""] {
        let entry = header(0, &["a", name], What::File, Some(0));
        assert_eq!(
            enter(&mut ledger, entry),
            Err(Refused::UnsafeName(name.into()))
        );
    }
    let entry = header(0, &[], What::File, Some(0));
    assert_eq!(enter(&mut ledger, entry), Err(Refused::OutOfTurn));
    let entry = header(0, &["a"; MAX_DEPTH + 1], What::File, Some(0));
    assert_eq!(enter(&mut ledger, entry), Err(Refused::OutOfTurn));
}

#[test]
fn a_file_is_one_file_under_its_own_name() {
    for (path, kind, size, may) in [
        (&["whole"][..], What::File, Some(3), true),
        (&["whole"], What::File, None, false),
        (&["whole"], What::Folder, None, false),
        (&["whole"], What::Stream, None, false),
        (&["other"], What::File, Some(3), false),
        (&["whole", "in"], What::File, Some(3), false),
    ] {
        let mut ledger = ledger(What::File);
        let entered = enter(&mut ledger, header(0, path, kind, size));
        assert_eq!(entered.is_ok(), may, "{path:?} {kind:?} {size:?}");
    }
}

#[test]
fn content_comes_one_behind_the_other_and_as_much_as_was_said() {
    let mut ledger = ledger(What::Folder);
    assert!(ledger.may_add(0, 0, 1).is_err());
    assert!(ledger.may_add(u64::MAX, 0, 1).is_err());
    let file = |entry, name| header(entry, &[name], What::File, Some(3));
    enter(&mut ledger, file(0, "a")).unwrap_or_else(|_| unreachable!());
    assert!(ledger.may_add(0, 0, 4).is_err());
    assert!(ledger.may_add(0, 1, 1).is_err());
    assert!(ledger.may_add(1, 0, 1).is_err());
    assert!(ledger.may_add(0, u64::MAX, 1).is_err());
    assert!(ledger.may_add(0, 0, 3).is_ok());
    ledger.add(2);
    // One byte is missing.
    assert!(enter(&mut ledger, file(1, "b")).is_err());
    ledger.add(1);
    assert!(enter(&mut ledger, file(1, "b")).is_ok());
    assert_eq!(ledger.bytes(), 3);
}

#[test]
fn an_end_has_the_numbers_of_what_came() {
    let mut ledger = ledger(What::File);
    let end = |ledger: &Ledger| End {
        entries: ledger.point().entries,
        bytes: ledger.bytes(),
        digest: ledger.point().chain.0,
    };
    assert!(ledger.may_end(&end(&ledger)).is_err(), "a file is one");
    let file = header(0, &["whole"], What::File, Some(3));
    assert!(enter(&mut ledger, file).is_ok());
    assert!(ledger.may_end(&end(&ledger)).is_err(), "it has no content");
    ledger.add(3);
    let right = end(&ledger);
    assert!(ledger.may_end(&right).is_ok());
    for wrong in [
        End {
            entries: 2,
            ..right
        },
        End { bytes: 2, ..right },
        End {
            digest: Hex::default(),
            ..right
        },
    ] {
        assert!(ledger.may_end(&wrong).is_err());
    }
}

#[test]
fn no_more_comes_than_was_announced() {
    let announced = |kind, size, files| {
        let manifest = Manifest {
            transfer: Hex([1; 16]),
            kind,
            name: "whole".into(),
            size,
            files,
        };
        Ledger::new(&manifest).unwrap_or_else(|_| unreachable!("a safe name"))
    };
    let mut folder = announced(What::Folder, Some(10), Some(2));
    assert_eq!(
        enter(&mut folder, header(0, &["a"], What::File, Some(6))),
        Ok(())
    );
    folder.add(6);
    // Folders are not counted.
    assert_eq!(
        enter(&mut folder, header(1, &["b"], What::Folder, None)),
        Ok(())
    );
    let large = header(2, &["c"], What::File, Some(5));
    assert_eq!(folder.may_begin(&large), Err(Refused::TooMuch));
    assert_eq!(
        enter(&mut folder, header(2, &["c"], What::File, Some(0))),
        Ok(())
    );
    let third = header(3, &["d"], What::File, Some(0));
    assert_eq!(folder.may_begin(&third), Err(Refused::TooMuch));

    let mut stream = announced(What::Stream, Some(10), None);
    assert_eq!(
        enter(&mut stream, header(0, &["whole"], What::Stream, None)),
        Ok(())
    );
    assert_eq!(stream.may_add(0, 0, 10), Ok(()));
    stream.add(10);
    assert_eq!(stream.may_add(0, 10, 1), Err(Refused::TooMuch));
}
