use std::{fs::OpenOptions, io::Write, os::unix::fs::symlink};

use super::*;

/// Everything that a walk gives: headers, content, and the end or what is wrong.
type Walked = (Vec<Header>, Vec<Vec<u8>>, Result<End, SourceError>);

fn all(mut walk: Walk) -> Walked {
    let (mut headers, mut content, mut message) = (Vec::new(), Vec::new(), Vec::new());
    let end = loop {
        match walk.next(&mut message) {
            Ok(Step::Entry(header)) => {
                headers.push(header);
                content.push(Vec::new());
            }
            Ok(Step::Content { .. }) => {
                if content.is_empty() {
                    content.push(Vec::new());
                }
                let record = &message[Data::HEAD..];
                assert!(!record.is_empty() && record.len() <= RECORD);
                content.last_mut().unwrap().extend_from_slice(record);
            }
            Ok(Step::End(end)) => break Ok(end),
            Err(why) => break Err(why),
        }
    };
    (headers, content, end)
}

fn from_the_beginning(source: &Source) -> Walk {
    source.walk_from(0, 0, &Hex::default()).unwrap()
}

fn chain(headers: &[Header]) -> Hex<32> {
    let mut chain = Chain::default();
    headers.iter().for_each(|it| chain.add(&it.to_json()));
    chain.0
}

fn sample() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("share/b")).unwrap();
    fs::write(folder.path().join("share/a"), vec![1; 100_000]).unwrap();
    fs::write(folder.path().join("share/b/c"), vec![2; 3_000_000]).unwrap();
    fs::write(folder.path().join("share/empty"), "").unwrap();
    symlink("/etc", folder.path().join("share/link")).unwrap();
    folder
}

#[test]
fn a_folder_is_walked_whole_and_from_anywhere() {
    let folder = sample();
    let source = Source::open(&folder.path().join("share")).unwrap();
    let manifest = source.manifest(Hex::default());
    assert_eq!((manifest.size, manifest.files), (Some(3_100_000), Some(3)));
    assert_eq!(source.left_out().links, 1);
    let (headers, content, end) = all(from_the_beginning(&source));
    let end = end.unwrap();
    let paths: Vec<_> = headers.iter().map(|it| it.path.join("/")).collect();
    assert_eq!(paths, ["a", "b", "b/c", "empty"]);
    assert_eq!((end.entries, end.bytes), (4, 3_100_000));
    assert_eq!(end.digest, chain(&headers));

    for known in 0..=headers.len() {
        let whole = known.checked_sub(1).map_or(0, |last| content[last].len());
        for offset in [0, whole / 3, whole] {
            let (before, after) = headers.split_at(known);
            let walk = source.walk_from(known as u64, offset as u64, &chain(before));
            let (rest, mut left, again) = all(walk.unwrap());
            assert_eq!((rest.as_slice(), again.unwrap()), (after, end));
            if offset < whole {
                assert!(left.remove(0) == content[known - 1][offset..]);
            }
            assert!(left == content[known..], "{known} {offset}");
        }
    }
}

#[test]
fn records_do_not_cross_a_piece() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, vec![0; 3 * PIECE as usize]).unwrap();
    let source = Source::open(&path).unwrap();
    let (headers, ..) = all(from_the_beginning(&source));
    let mut walk = source.walk_from(1, 1000, &chain(&headers)).unwrap();
    let mut message = Vec::new();
    while let Step::Content { offset, .. } = walk.next(&mut message).unwrap() {
        let last = offset + (message.len() - Data::HEAD) as u64 - 1;
        assert_eq!(offset / PIECE, last / PIECE);
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_refused() {
    type Change = (&'static str, fn(&Path));
    let changes: [Change; 3] = [
        ("grows", |path| {
            let mut file = OpenOptions::new().append(true).open(path).unwrap();
            file.write_all(b"more").unwrap();
        }),
        ("shrinks", |path| {
            let file = OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(100_000).unwrap();
        }),
        ("changes", |path| {
            let mut file = OpenOptions::new().write(true).open(path).unwrap();
            file.write_all(b"other").unwrap();
            let later = UNIX_EPOCH + std::time::Duration::from_secs(1);
            file.set_modified(later).unwrap();
        }),
    ];
    for (how, change) in changes {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, vec![0; 200_000]).unwrap();
        let source = Source::open(&path).unwrap();
        let mut walk = from_the_beginning(&source);
        let mut message = Vec::new();
        walk.next(&mut message).unwrap();
        walk.next(&mut message).unwrap();
        change(&path);
        let (.., end) = all(walk);
        assert!(
            matches!(end, Err(SourceError::Changed(_))),
            "{how}: {end:?}"
        );
    }
}

#[test]
fn a_source_that_is_another_since_is_refused() {
    let folder = sample();
    let share = folder.path().join("share");
    let source = Source::open(&share).unwrap();
    let (headers, ..) = all(from_the_beginning(&source));
    let before = chain(&headers[..3]);
    // In the same place, of the same length, and a new file all the same.
    fs::write(share.join("new"), vec![1; 100_000]).unwrap();
    fs::rename(share.join("new"), share.join("a")).unwrap();
    let again = source.walk_from(3, 0, &before);
    assert!(matches!(again, Err(SourceError::Changed(_))));
    // More entries, or more content, than there is.
    let (headers, ..) = all(from_the_beginning(&source));
    let again = source.walk_from(5, 0, &chain(&headers));
    assert!(matches!(again, Err(SourceError::Changed(_))));
    let again = source.walk_from(3, u64::MAX, &chain(&headers[..3]));
    assert!(matches!(again, Err(SourceError::Changed(_))));
}

#[test]
fn what_became_a_link_or_a_pipe_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    for make in [
        (|path: &Path| symlink("/etc/hostname", path).unwrap()) as fn(&Path),
        |path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap(),
    ] {
        fs::write(&path, "content").unwrap();
        let source = Source::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        make(&path);
        let (.., end) = all(from_the_beginning(&source));
        assert!(matches!(end, Err(SourceError::Changed(_))), "{end:?}");
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_device_is_no_source_and_a_link_to_a_file_is_one() {
    let device = Source::open(Path::new("/dev/null"));
    assert!(matches!(device, Err(SourceError::Device(_))));
    let folder = sample();
    let link = folder.path().join("named");
    symlink(folder.path().join("share/a"), &link).unwrap();
    let source = Source::open(&link).unwrap();
    assert_eq!(source.name(), "named");
    assert!(all(from_the_beginning(&source)).2.is_ok());
}

#[test]
fn a_stream_goes_on_as_far_as_it_is_kept() {
    let content: Vec<u8> = (0..12_000_000_u32).map(|it| (it / 7) as u8).collect();
    let source = Source::stream("stdin", io::Cursor::new(content.clone()));
    let (headers, all_of_it, end) = all(from_the_beginning(&source));
    assert!(all_of_it[0] == content);
    assert_eq!(end.unwrap().bytes, 12_000_000);
    let walk = source.walk_from(1, 11_000_000, &chain(&headers)).unwrap();
    let (_, rest, end) = all(walk);
    assert!(rest[0] == content[11_000_000..]);
    assert_eq!(end.unwrap().bytes, 12_000_000);
    let gone = source.walk_from(1, 1000, &chain(&headers));
    assert!(matches!(gone, Err(SourceError::Gone)));
}
