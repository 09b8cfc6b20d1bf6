//! The event log: what is in it, and that no disk, be it full or stuck, costs anybody a transfer.

use std::{collections::BTreeMap, fs, path::Path, process::Command, time::Duration};

use jiff::Timestamp;
use nix::{
    sys::{signal::Signal, stat::Mode},
    unistd::mkfifo,
};
use relay_testing::{
    Raw, frame,
    http::{UPGRADE, get},
    process::{Relay, Start},
    reply, skip,
    wire::{TEXT, close},
    within,
};
use serde_json::{Value, json};
use tempfile::TempDir;

pub const KEY: &str = "alice-0123456789abcdef";
pub const WRITTEN: &str = "relay_events_written_total";

pub fn lost(why: &str) -> String {
    format!("relay_events_lost_total{{reason=\"{why}\"}}")
}

pub fn start(folder: &Path) -> Start {
    let start = Start::new().env("RUST_LOG", "info");
    start.env("RELAY_LOG_DIR", folder.display())
}

/// The events in a folder, which are all whole.
pub fn events(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("relay-events.jsonl")).unwrap();
    assert!(text.ends_with('\n'), "{text}");
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

/// How many there were of each kind, over all days.
pub fn stats(folder: &Path) -> BTreeMap<String, u64> {
    let text = fs::read(folder.join("daily-stats.json")).unwrap_or_else(|_| b"{}".to_vec());
    let days: BTreeMap<String, BTreeMap<String, u64>> = serde_json::from_slice(&text).unwrap();
    let mut sums = BTreeMap::new();
    for (kind, count) in days.into_values().flatten() {
        *sums.entry(kind).or_default() += count;
    }
    sums
}

/// A client of this address.
pub async fn client(relay: &Relay, address: &str) -> Raw {
    let head = UPGRADE.replace("GET / ", &format!("GET /?key={KEY} "));
    let head = format!("{head}X-Forwarded-For: {address}\r\n");
    relay.connect_by(&head).await
}

/// Two of an address that have met.
pub async fn pair(relay: &Relay, address: &str) -> (Raw, Raw) {
    let (mut sender, mut receiver) = (client(relay, address).await, client(relay, address).await);
    let code = sender.create_room().await;
    receiver.join(&code).await;
    sender.expect_peer().await;
    (sender, receiver)
}

/// A pair of an address has met, and said something.
pub async fn share(relay: &Relay, address: &str) {
    let (mut sender, mut receiver) = pair(relay, address).await;
    sender.send(frame(TEXT, "hello")).await;
    receiver.data(5, "a message").await;
    sender.send(close(1000, "")).await;
    receiver.frames_until_sender_gone().await;
}

#[tokio::test]
async fn what_happens_can_be_read_afterwards() {
    let folder = TempDir::new().unwrap();
    let start = start(folder.path()).env("RELAY_MAX_ROOMS", 2);
    let mut relay = start.env("RELAY_ACCESS_KEYS", format!("alice:{KEY}")).run();
    let mut sender = client(&relay, "192.0.2.77").await;
    let code = sender.create_room().await;
    let mut receiver = client(&relay, "2001:db8:1:2::3").await;
    receiver.send(frame(TEXT, "no request")).await;
    receiver.expect_error("invalid_request").await;
    receiver.send(frame(TEXT, reply::join("nothere"))).await;
    receiver.expect_error("room_not_found").await;
    receiver.join(&code).await;
    let peer = sender.expect_peer().await;
    sender.send(frame(TEXT, vec![b'x'; 5000])).await;
    receiver.data(5000, "a message").await;
    receiver.send(frame(TEXT, "thank you!")).await;
    sender.data(10, "a message").await;

    // A room of a check is no user's.
    let own = UPGRADE.replace("relay.example", "127.0.0.1");
    let own = own.replace("GET / ", &format!("GET /?key={KEY} "));
    let mut check = relay
        .connect_by(&format!("{own}X-Relay-Check: 1\r\n"))
        .await;
    check.create_room().await;
    let mut other = client(&relay, "198.51.100.1").await;
    other.send(frame(TEXT, reply::CREATE)).await;
    other.expect_error("too_many_rooms").await;
    assert_eq!(get(relay.addr(), "/?key=secret").unwrap().status, 426);
    let mut stranger = relay.dial().await;
    stranger.write(format!("{UPGRADE}\r\n").as_bytes()).await;
    assert_eq!(stranger.response().await.status, 401);

    receiver.send(close(1000, "")).await;
    sender.expect_peer_gone().await;
    sender.send(close(1000, "")).await;
    relay.until("relay_rooms", |rooms| rooms == 1).await;
    drop((check, other));
    relay
        .until("relay_sessions", |sessions| sessions == 0)
        .await;
    relay.stop().await;

    let mut events = events(folder.path());
    let run = events[0]["run"].clone();
    for event in &mut events {
        let event = event.as_object_mut().unwrap();
        assert_eq!(event.remove("run"), Some(run.clone()));
        let ts = event.remove("ts").unwrap();
        let time: Timestamp = ts.as_str().unwrap().parse().unwrap();
        assert!(ts.as_str().unwrap().ends_with('Z'), "{ts}");
        let age = Timestamp::now().duration_since(time).as_secs();
        assert!((0..120).contains(&age), "{ts}");
        let duration = event.remove("duration");
        let lasts = ["relay_finished", "room_closed"];
        let kind = event["event"].as_str().unwrap();
        assert_eq!(duration.is_some(), lasts.contains(&kind), "{kind}");
        let seconds = duration.map_or(0.0, |it| it.as_f64().unwrap());
        assert!((0.0..120.0).contains(&seconds), "{seconds}");
    }
    let room = events[0]["room"].clone();
    assert!(room.as_str().unwrap().starts_with('#'), "{room}");
    let (v4, v6) = ("192.0.2.0/24", "2001:db8:1::/48");
    let by = |event: &str, session: u64, address: &str, more: Value| {
        let mut all = json!({
            "event": event, "session": session, "address": address, "key": "alice",
        });
        let all_of = all.as_object_mut().unwrap();
        all_of.extend(more.as_object().unwrap().clone());
        all
    };
    let passed = json!({ "bytes": 5010, "bytes_down": 5000, "bytes_up": 10 });
    let with = |more: Value| {
        let mut all = passed.clone();
        let all_of = all.as_object_mut().unwrap();
        all_of.extend(more.as_object().unwrap().clone());
        all
    };
    let peer = json!({ "room": room, "peer_id": peer });
    let expected = [
        by("room_created", 0, v4, json!({ "room": room })),
        by(
            "request_rejected",
            1,
            v6,
            json!({ "reason": "invalid_request" }),
        ),
        by(
            "join_room_rejected",
            1,
            v6,
            json!({ "reason": "room_not_found" }),
        ),
        by("room_joined", 1, v6, peer.clone()),
        by("relay_started", 1, v6, peer.clone()),
        by(
            "create_room_rejected",
            3,
            "198.51.100.0/24",
            json!({ "reason": "too_many_rooms" }),
        ),
        json!({ "event": "request_rejected", "reason": "not_a_websocket", "address": "127.0.0.0/24" }),
        json!({ "event": "request_rejected", "reason": "access_key_required", "address": "127.0.0.0/24" }),
        by(
            "relay_finished",
            1,
            v6,
            with(json!({
                "reason": "peer_closed", "room": room, "peer_id": peer["peer_id"],
            })),
        ),
        by(
            "room_closed",
            0,
            v4,
            with(json!({
                "reason": "peer_closed", "room": room, "receivers": 1,
            })),
        ),
    ];
    assert_eq!(events, expected);
    let mut counts = BTreeMap::new();
    for event in &expected {
        *counts
            .entry(event["event"].as_str().unwrap().to_owned())
            .or_default() += 1;
    }
    assert_eq!(stats(folder.path()), counts);
    let text = fs::read_to_string(folder.path().join("relay-events.jsonl")).unwrap();
    assert!(!text.contains(&code) && !text.contains(KEY), "{text}");
}

#[tokio::test]
async fn nothing_is_written_where_nobody_asks_for_it() {
    let folder = TempDir::new().unwrap();
    let mut relay = Start::new().run();
    share(&relay, "192.0.2.1").await;
    assert_eq!(relay.metric(WRITTEN).await, 0);
    relay.stop().await;
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_file_that_somebody_has_moved_is_left_to_them_at_a_reload() {
    let folder = TempDir::new().unwrap();
    let mut relay = start(folder.path()).run();
    share(&relay, "192.0.2.1").await;
    relay.until(WRITTEN, |written| written == 5).await;
    let (file, moved) = ("relay-events.jsonl", "relay-events.jsonl.1");
    fs::rename(folder.path().join(file), folder.path().join(moved)).unwrap();
    relay.signal(Signal::SIGHUP);
    relay.line_with("settings read again: no change");
    share(&relay, "192.0.2.2").await;
    relay.stop().await;
    assert_eq!(events(folder.path()).len(), 5);
    let before = fs::read_to_string(folder.path().join(moved)).unwrap();
    assert_eq!(before.lines().count(), 5);
    assert_eq!(stats(folder.path()).into_values().sum::<u64>(), 10);
}

#[tokio::test]
async fn a_file_that_somebody_has_moved_or_removed_takes_no_event_with_it() {
    let folder = TempDir::new().unwrap();
    let kept = folder.path().join("events");
    let mut relay = start(&kept).run();
    for number in 1..=3 {
        share(&relay, "192.0.2.1").await;
        relay.until(WRITTEN, |written| written == 5 * number).await;
        assert_eq!(events(&kept).len(), 5);
        match number {
            1 => fs::rename(kept.join("relay-events.jsonl"), folder.path().join("moved")).unwrap(),
            2 => fs::remove_dir_all(&kept).unwrap(),
            _ => {}
        }
    }
    assert_eq!(relay.metric(&lost("disk")).await, 0);
    relay.stop().await;
}

/// Whether this process may mount something in a place of its own.
pub fn may_mount() -> bool {
    let mount = ["--mount", "mount", "-t", "tmpfs", "none", "/mnt"];
    let tried = Command::new("unshare").args(mount).output();
    let may = tried.is_ok_and(|output| output.status.success());
    if !may {
        skip("right to mount a small disk");
    }
    may
}

#[tokio::test]
async fn a_full_disk_costs_events_which_are_counted_and_no_transfer() {
    const SHARES: u64 = 40;
    if !may_mount() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().display();
    // Room for some sixty of two hundred events.
    let script = format!(
        "exec unshare --mount sh -ec 'mount -t tmpfs -o size=64k none {path}
        head -c 49152 /dev/zero >{path}/filler; exec \"$@\"' sh \"$@\""
    );
    let start = Start::script(&script).env("RUST_LOG", "info");
    let mut relay = start.env("RELAY_LOG_DIR", path).run();
    let mut disk = Path::new("/proc").join(relay.pid().to_string());
    disk.push("root");
    disk.push(folder.path().strip_prefix("/").unwrap());
    for number in 0..SHARES {
        share(&relay, &format!("10.{number}.0.1")).await;
    }
    let (by_disk, all) = (lost("disk"), 5 * SHARES);
    relay.until(&by_disk, |lost| lost > all / 2).await;
    let complaint = relay.line_with(" WARN  the event log in ");
    assert!(
        complaint.contains("(RELAY_LOG_DIR) cannot be written: No space left"),
        "{complaint}"
    );

    fs::remove_file(disk.join("filler")).unwrap();
    share(&relay, "192.0.2.1").await;
    let line = relay.line_with("events are written again; ");
    let lost_by_disk = relay.metric(&by_disk).await;
    assert!(
        line.ends_with(&format!("; {lost_by_disk} were lost")),
        "{line}"
    );
    relay
        .until(WRITTEN, |written| written + lost_by_disk == all + 5)
        .await;
    assert_eq!(relay.metric(&lost("queue_full")).await, 0);
    assert_eq!(relay.metric(&lost("over_budget")).await, 0);
    // Each line is whole, and what is lost is in the counts of the day.
    assert_eq!(events(&disk).len() as u64 + lost_by_disk, all + 5);
    within("the counts of the day", async {
        while stats(&disk).into_values().sum::<u64>() < all + 5 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    relay.stop().await;
    let complaints = relay.lines_with(" WARN  the event log in ");
    assert_eq!(complaints, 1);
}

/// A pipe that nobody reads is a disk that takes 64 KiB, and then says nothing any more.
#[tokio::test]
async fn a_disk_that_hangs_holds_up_nobody_and_no_end() {
    let folder = TempDir::new().unwrap();
    let pipe = folder.path().join("relay-events.jsonl");
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    let mut relay = start(folder.path()).run();
    for number in 0..100 {
        share(&relay, &format!("10.{number}.0.1")).await;
    }
    relay.until(WRITTEN, |written| written >= 100).await;
    share(&relay, "192.0.2.1").await;
    assert!(relay.metric(WRITTEN).await < 500);
    relay.stop().await;
}

/// Whoever adds up who came and who went.
#[tokio::test]
async fn who_leaves_the_queue_is_told_of_with_the_reason_and_without_bytes() {
    let folder = TempDir::new().unwrap();
    let mut relay = start(folder.path()).run();
    let mut sender = client(&relay, "192.0.2.1").await;
    let code = sender.create_room().await;
    let mut receivers = Vec::new();
    for _ in 0..3 {
        let mut receiver = client(&relay, "192.0.2.2").await;
        receiver.join(&code).await;
        receivers.push(receiver);
    }
    // One leaves by itself, and the other is sent away with the room.
    receivers.remove(1).send(close(1000, "")).await;
    relay
        .until("relay_queued_receivers", |queued| queued == 1)
        .await;
    sender.send(close(1000, "")).await;
    relay.until("relay_rooms", |rooms| rooms == 0).await;
    drop(receivers);
    relay.stop().await;
    let events = events(folder.path());
    let of = |kind: &str| events.iter().filter(|it| it["event"] == kind).count();
    assert_eq!((of("room_joined"), of("relay_started")), (3, 1));
    let finished = events.iter().filter(|it| it["event"] == "relay_finished");
    let mut finished: Vec<_> = finished
        .map(|it| {
            let paired = it.get("bytes").is_some();
            assert_eq!(it.get("duration").is_some(), paired, "{it}");
            (
                it["session"].as_u64().unwrap(),
                it["reason"].clone(),
                paired,
            )
        })
        .collect();
    finished.sort_by_key(|it| it.0);
    let expected = [
        (1, json!("sender_disconnected"), true),
        (2, json!("peer_closed"), false),
        (3, json!("sender_disconnected"), false),
    ];
    assert_eq!(finished, expected);
}
