//! Which files there are in the folder, and what becomes of those that others have put there.

use std::{
    io::Write,
    os::unix::fs::{MetadataExt, symlink},
};

use jiff::SignedDuration;

use super::{super::writer::Writer, *};

const OLD: &str = "relay-events-20250101T000000.000Z.jsonl";

/// Gives a file so many bytes, and the time at which it was last written to.
fn put(path: &Path, bytes: u64, time: SystemTime) {
    let file = File::create(path).unwrap();
    file.set_len(bytes).unwrap();
    file.set_modified(time).unwrap();
}

/// The bytes of each file with events, from the newest on.
fn sizes(folder: &Path) -> Vec<u64> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let mut files: Vec<_> = entries
        .map(|entry| (entry.file_name(), entry.metadata().unwrap().len()))
        .filter(|(name, _)| name.to_str().unwrap().ends_with(".jsonl"))
        .collect();
    files.sort();
    files.into_iter().rev().map(|(_, bytes)| bytes).collect()
}

/// As another relay has left it, or this one with another setting, or with a clock that was wrong.
#[test]
fn the_newest_file_from_before_stays_whatever_its_size_and_its_time() {
    let now = SystemTime::now();
    for (bytes, time) in [
        (200 << 20, now),
        (9 << 20, now),
        (1000, SystemTime::UNIX_EPOCH),
    ] {
        let folder = TempDir::new().unwrap();
        let small = settings(folder.path());
        put(&folder.path().join(file::NAME), bytes, time);
        let line = told(small.clone(), [by("192.0.2.1")]);
        assert_eq!(line.counts().written(), 1);
        let [new, before] = sizes(folder.path())[..] else {
            panic!("{:?}", names(folder.path()));
        };
        assert!(new < 1000 && before == bytes, "{new} {before}");
        // Another takes its place, and what is too much goes.
        put(&folder.path().join(file::NAME), 2 << 20, now);
        told(small, [by("192.0.2.1")]);
        let [_, before] = sizes(folder.path())[..] else {
            panic!("{:?}", names(folder.path()));
        };
        assert_eq!(before, 2 << 20);
    }
}

#[test]
fn files_of_other_names_are_not_the_relays_to_remove() {
    let folder = TempDir::new().unwrap();
    let long_ago = SystemTime::now() - 3650 * DAY;
    let foreign = [
        "relay-events-incident.jsonl",
        "relay-events-.jsonl",
        "relay-events-20250101.jsonl",
        "relay-events-20250101T000000.000Z-copy.jsonl",
        "relay-events-20250101T000000Z.jsonl",
        "relay-events-20250101T000000.000000Z.jsonl",
        "relay-events-20250230T000000.000Z.jsonl",
        "relay-events-20250101T000000.000Z.jsonl.gz",
        "of-mine.txt",
    ];
    for name in foreign {
        put(&folder.path().join(name), 2 << 20, long_ago);
    }
    symlink("of-mine.txt", folder.path().join(OLD)).unwrap();
    fs::create_dir(folder.path().join(OLD.replace("2025", "2024"))).unwrap();
    let ours = folder.path().join(OLD.replace("2025", "2023"));
    put(&ours, 10, long_ago);
    told(settings(folder.path()), [by("192.0.2.1")]);
    assert!(!ours.exists());
    // With the new one and the counts.
    let all = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(all, foreign.len() + 2 + 2);
}

#[test]
fn a_day_has_a_file_of_its_own_and_counts_of_its_own() {
    let folder = TempDir::new().unwrap();
    let queue = Queue::new(settings(folder.path()));
    let mut writer = Writer::new(&queue);
    let midnight: Timestamp = "2026-03-09T00:00:00Z".parse().unwrap();
    let second = SignedDuration::from_secs(1);
    for time in [midnight - second - second, midnight - second, midnight] {
        queue.push((time, by("192.0.2.1")), Instant::now());
        writer.write(queue.take(Duration::ZERO, Duration::ZERO), time);
    }
    queue.end(Duration::ZERO);
    writer.write(queue.take(Duration::ZERO, Duration::ZERO), midnight);
    let before = folder
        .path()
        .join("relay-events-20260309T000000.000Z.jsonl");
    assert_eq!(fs::read_to_string(before).unwrap().lines().count(), 2);
    assert_eq!(lines(folder.path()).len(), 1);
    let expected = json!({
        "2026-03-08": { "room_created": 2 },
        "2026-03-09": { "room_created": 1 },
    });
    assert_eq!(stats(folder.path()), expected);
}

#[test]
fn two_runs_have_names_of_their_own() {
    let folder = TempDir::new().unwrap();
    let runs = [(); 2].map(|()| told(settings(folder.path()), [by("192.0.2.1")]));
    let named: Vec<Value> = lines(folder.path())
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["run"].take())
        .collect();
    assert_eq!(named, [&*runs[0].run, &*runs[1].run]);
    assert_ne!(named[0], named[1]);
    assert_eq!(runs[0].run.len(), 8);
}

#[test]
fn the_counts_are_replaced_as_a_whole_and_through_no_link() {
    let folder = TempDir::new().unwrap();
    let victim = folder.path().join("victim");
    fs::write(&victim, "of somebody else").unwrap();
    let new = folder.path().join(format!("{}.new", stats::NAME));
    symlink(&victim, &new).unwrap();
    let inode = || {
        fs::symlink_metadata(folder.path().join(stats::NAME))
            .unwrap()
            .ino()
    };
    let mut inodes = Vec::new();
    for sum in 1..=2 {
        told(settings(folder.path()), [by("192.0.2.1")]);
        assert_eq!(stats(folder.path())[today()]["room_created"], sum);
        // Who has opened it reads on in the one from before.
        inodes.push((
            inode(),
            File::open(folder.path().join(stats::NAME)).unwrap(),
        ));
    }
    assert_ne!(inodes[0].0, inodes[1].0);
    assert_eq!(fs::read_to_string(victim).unwrap(), "of somebody else");
    assert!(!new.exists());
}

#[test]
fn what_is_cut_off_is_the_end_of_the_file_of_now() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("file");
    let mut file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .unwrap();
    file.write_all(b"lines of before\n").unwrap();
    // As logrotate's copytruncate does.
    File::create(&path).unwrap();
    file.write_all(b"whole\nto").unwrap();
    file::cut_off(&file, 2).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"whole\n");
}
