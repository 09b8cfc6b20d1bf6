use std::{
    fs::{self, File},
    net::IpAddr,
    path::Path,
    time::SystemTime,
};

use relay_wire::{code::RoomCode, ending::Ending, reply::PeerId};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    queue::{MANY, MAX_WAITING, Told},
    *,
};
use crate::{
    config::Addresses,
    limits::access::Visitor,
    rooms::{Passed, SessionId},
};

mod files;

const DAY: Duration = Duration::from_secs(86_400);
/// Longer than any of it takes.
const LONG: Duration = Duration::from_secs(60);

fn settings(folder: &Path) -> Settings {
    Settings {
        folder: Some(folder.to_owned()),
        addresses: Addresses::Truncated,
        size: 1 << 20,
        keep: 30 * DAY,
    }
}

/// An event log that tells of these, and has ended.
fn told(settings: Settings, events: impl IntoIterator<Item = Event>) -> Arc<Queue> {
    let queue = Arc::new(Queue::new(settings));
    let log = Events(Arc::clone(&queue));
    log.start();
    for event in events {
        log.tell(|| event);
    }
    queue.end(LONG);
    queue
}

fn by(address: &str) -> Event {
    Event {
        visitor: Some(Visitor::new(address.parse().unwrap())),
        ..Event::of(Kind::RoomCreated)
    }
}

fn lines(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join(file::NAME)).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    text.lines().map(str::to_owned).collect()
}

fn stats(folder: &Path) -> Value {
    let text = fs::read(folder.join(stats::NAME)).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn today() -> String {
    Timestamp::now().strftime("%Y-%m-%d").to_string()
}

/// The names in a folder, those with a time in them without it.
fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        match name.strip_prefix("relay-events-") {
            Some(rest) => {
                assert_eq!(rest.len(), "20260308T101112.345Z.jsonl".len(), "{rest}");
                "before".to_owned()
            }
            None => name,
        }
    });
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn a_line_has_what_is_known_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let code = RoomCode::from_typed("a7f3k2").unwrap();
    let event = Event {
        reason: Some(Ending::PeerClosed),
        room: Some(code),
        session: Some(SessionId(7)),
        peer: Some(PeerId::random()),
        visitor: Some(Visitor::new(IpAddr::from([192, 0, 2, 77]))),
        passed: Some(Passed { down: 1000, up: 10 }),
        duration: Some(Duration::from_micros(1_234_567)),
        ..Event::of(Kind::RelayFinished)
    };
    let queue = told(
        settings(folder.path()),
        [event, Event::of(Kind::RequestRejected)],
    );
    let written = lines(folder.path());
    let mut first: Value = serde_json::from_str(&written[0]).unwrap();
    let ts = first["ts"].take();
    let time: Timestamp = ts.as_str().unwrap().parse().unwrap();
    let age = Timestamp::now().duration_since(time).as_secs();
    assert!((0..60).contains(&age), "{ts}");
    let peer = first["peer_id"].take();
    assert!(peer.as_str().unwrap().starts_with("conn_"), "{peer}");
    let expected = json!({
        "ts": null,
        "run": queue.run,
        "event": "relay_finished",
        "reason": "peer_closed",
        "room": code.to_string(),
        "session": 7,
        "peer_id": null,
        "address": "192.0.2.0/24",
        "duration": 1.234,
        "bytes": 1010,
        "bytes_down": 1000,
        "bytes_up": 10,
    });
    assert_eq!(first, expected);
    let second: Value = serde_json::from_str(&written[1]).unwrap();
    assert_eq!(second.as_object().unwrap().len(), 3, "{second}");
    assert_eq!(
        stats(folder.path()),
        json!({ today(): { "relay_finished": 1, "request_rejected": 1 } })
    );
    assert_eq!(queue.counts().written(), 2);
    assert_eq!(Lost::ALL.map(|why| queue.counts().lost(why)), [0; 3]);
}

#[test]
fn an_address_is_told_as_far_as_the_operator_wants() {
    let of = |addresses, address| {
        let folder = TempDir::new().unwrap();
        let settings = Settings {
            addresses,
            ..settings(folder.path())
        };
        told(settings, [by(address)]);
        let line: Value = serde_json::from_str(&lines(folder.path())[0]).unwrap();
        line.get("address").cloned()
    };
    let (v4, v6) = ("192.0.2.77", "2001:db8:1:2:3:4:5:6");
    assert_eq!(of(Addresses::Truncated, v4), Some(json!("192.0.2.0/24")));
    assert_eq!(of(Addresses::Truncated, v6), Some(json!("2001:db8:1::/48")));
    assert_eq!(of(Addresses::Full, v4), Some(json!(v4)));
    assert_eq!(of(Addresses::Full, v6), Some(json!(v6)));
    assert_eq!(of(Addresses::None, v4), None);
}

#[test]
fn a_torn_line_stays_by_itself() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(file::NAME);
    fs::write(&path, "{\"whole\":1}\n{\"torn").unwrap();
    told(settings(folder.path()), [by("192.0.2.1")]);
    let written = lines(folder.path());
    assert_eq!(written[..2], ["{\"whole\":1}", "{\"torn"]);
    serde_json::from_str::<Value>(&written[2]).unwrap();
    assert_eq!(written.len(), 3);
}

#[test]
fn counts_go_on_from_what_the_file_has() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(stats::NAME);
    let before = json!({ "2026-03-08": { "room_created": 3, "of_others": 1 } });
    fs::write(&path, before.to_string()).unwrap();
    for sum in [2, 4] {
        told(settings(folder.path()), [by("192.0.2.1"), by("192.0.2.2")]);
        let mut expected = before.clone();
        expected[today()] = json!({ "room_created": sum });
        assert_eq!(stats(folder.path()), expected);
    }
    assert_eq!(names(folder.path()), [stats::NAME, file::NAME]);

    fs::write(&path, "[1,").unwrap();
    told(settings(folder.path()), [by("192.0.2.1")]);
    assert_eq!(
        stats(folder.path()),
        json!({ today(): { "room_created": 1 } })
    );
    let aside = fs::read_to_string(path.with_extension("json.unreadable")).unwrap();
    assert_eq!(aside, "[1,");
}

#[test]
fn a_file_of_another_day_is_put_behind_and_one_that_is_too_old_removed() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str, days: u32| {
        let path = folder.path().join(name);
        fs::write(&path, "{}\n").unwrap();
        let then = SystemTime::now() - days * DAY;
        File::options()
            .append(true)
            .open(path)
            .unwrap()
            .set_modified(then)
            .unwrap();
    };
    file(file::NAME, 1);
    file("relay-events-20260101T000000.000Z.jsonl", 29);
    file("relay-events-20250101T000000.000Z.jsonl", 31);
    file("relay-events-of-mine.txt", 31);
    // Without an event as well.
    told(settings(folder.path()), []);
    let before = fs::read_dir(folder.path()).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_str().unwrap().ends_with("Z.jsonl")
    });
    assert_eq!(before.count(), 2);
    assert!(
        !folder
            .path()
            .join("relay-events-20250101T000000.000Z.jsonl")
            .exists()
    );
    assert!(folder.path().join("relay-events-of-mine.txt").exists());
    assert_eq!(lines(folder.path()), Vec::<String>::new());
}

#[test]
fn all_files_have_no_more_bytes_than_they_may() {
    let folder = TempDir::new().unwrap();
    let small = Settings {
        size: 64 << 10,
        ..settings(folder.path())
    };
    // Each run has a budget of its own.
    let all = || {
        let files = fs::read_dir(folder.path()).unwrap().flatten();
        let files = files.filter(|it| it.file_name().to_string_lossy().ends_with(".jsonl"));
        files
            .map(|file| file.metadata().unwrap().len())
            .sum::<u64>()
    };
    for run in 0..20 {
        let events = (0..60).map(|it| by(&format!("10.{run}.{it}.1")));
        told(small.clone(), events);
        assert!(all() <= small.size, "{} in run {run}", all());
    }
    assert!(all() > small.size / 2, "{}", all());
    assert!(names(folder.path()).len() > 5, "{:?}", names(folder.path()));
}

#[test]
fn what_waits_for_the_disk_is_bounded_and_the_rest_counted() {
    let folder = TempDir::new().unwrap();
    let queue = Queue::new(settings(folder.path()));
    let (began, most) = (Instant::now(), MAX_WAITING as u64);
    // All of one address, and nobody who writes.
    let push = |kind, now| {
        let event = Event {
            kind,
            ..by("192.0.2.1")
        };
        queue.push((Timestamp::now(), event), now);
    };
    for _ in 0..most + 100 {
        push(Kind::RoomClosed, began);
    }
    assert_eq!(Lost::ALL.map(|why| queue.counts().lost(why)), [100, 0, 0]);
    let bytes = MAX_WAITING * size_of::<Told>();
    assert!(bytes <= 1 << 20, "{bytes}");
    // Refusals have a budget, and take nothing from the others.
    queue.take(Duration::ZERO, Duration::ZERO);
    for kind in [
        Kind::RequestRejected,
        Kind::JoinRoomRejected,
        Kind::CreateRoomRejected,
    ] {
        (0..100).for_each(|_| push(kind, began));
    }
    let over = || queue.counts().lost(Lost::OverBudget);
    assert_eq!(over(), 220);
    let others = Kind::ALL.into_iter().filter(|kind| !kind.is_refusal());
    for kind in others.clone() {
        (0..100).for_each(|_| push(kind, began));
    }
    assert_eq!(over(), 220);
    let waiting = queue.take(Duration::ZERO, Duration::ZERO).events;
    assert_eq!(waiting.len(), 80 + 100 * others.count());
}

/// They may come faster than the writer looks.
#[test]
fn many_events_are_written_at_once() {
    let folder = TempDir::new().unwrap();
    let queue = Arc::new(Queue::new(settings(folder.path())));
    let push = || queue.push((Timestamp::now(), by("192.0.2.1")), Instant::now());
    // There is a file to begin, of which the first writer would hear at once.
    queue.take(Duration::ZERO, Duration::ZERO);
    // The writer waits before they come, in some of these at least.
    for _ in 0..20 {
        let taken = thread::spawn({
            let queue = Arc::clone(&queue);
            move || queue.take(LONG, LONG).events.len()
        });
        push();
        thread::yield_now();
        (1..MANY).for_each(|_| push());
        let began = Instant::now();
        assert!(taken.join().unwrap() > 0);
        assert!(began.elapsed() < LONG / 2, "it waits for more");
        queue.take(Duration::ZERO, Duration::ZERO);
    }
}

#[test]
fn a_folder_that_cannot_be_had_costs_events_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "").unwrap();
    let queue = told(settings(&path), [by("192.0.2.1")]);
    assert_eq!(queue.counts().lost(Lost::Disk), 1);
    assert_eq!(queue.counts().written(), 0);
    assert!(queue.counts().are_failing());
    let queue = told(settings(folder.path()), [by("192.0.2.1")]);
    assert!(!queue.counts().are_failing());
}

#[test]
fn another_folder_is_gone_to_while_it_runs() {
    let (first, second) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let queue = Arc::new(Queue::new(settings(first.path())));
    let log = Events(Arc::clone(&queue));
    log.start();
    log.tell(|| by("192.0.2.1"));
    while queue.counts().written() == 0 {
        thread::sleep(Duration::from_millis(10));
    }
    queue.configure(settings(second.path()));
    let moved = |log: &Events| {
        log.tell(|| by("192.0.2.2"));
        second.path().join(file::NAME).exists()
    };
    while !moved(&log) {
        thread::sleep(Duration::from_millis(10));
    }
    queue.end(LONG);
    let count = |folder: &TempDir| stats(folder.path())[today()]["room_created"].as_u64();
    let both = count(&first).unwrap() + count(&second).unwrap();
    assert_eq!(
        queue.counts().written() + queue.counts().lost(Lost::OverBudget),
        both
    );
    assert_eq!(lines(first.path()).len() + lines(second.path()).len(), {
        usize::try_from(queue.counts().written()).unwrap()
    });
    assert!(lines(first.path())[0].contains("192.0.2.0/24"));
}
