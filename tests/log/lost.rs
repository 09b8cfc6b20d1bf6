//! What the event log may not lose, though many events come at once or the relay ends in a hurry, and what
//! no log may have at all.

use base64::{Engine, engine::general_purpose::STANDARD};
use nix::sys::signal::Signal;
use relay_testing::{Raw, frame, http::UPGRADE, process::Start, wire::TEXT};
use tempfile::TempDir;

use super::events::{KEY, WRITTEN, client, events, lost, may_mount, pair, share, start, stats};

#[tokio::test]
async fn a_hundred_shares_of_one_address_are_all_there() {
    const SHARES: u64 = 100;
    let folder = TempDir::new().unwrap();
    let mut relay = start(folder.path()).run();
    for _ in 0..SHARES {
        share(&relay, "192.0.2.1").await;
    }
    relay.until(WRITTEN, |written| written == 5 * SHARES).await;
    relay.stop().await;
    assert_eq!(events(folder.path()).len() as u64, 5 * SHARES);
}

#[tokio::test]
async fn refusals_however_many_hide_nobodys_share() {
    let folder = TempDir::new().unwrap();
    let start = start(folder.path()).env("RELAY_ACCESS_KEYS", format!("alice:{KEY}"));
    let mut relay = start.run();
    // More than all have together.
    for address in 0..20 {
        let head = format!("{UPGRADE}X-Forwarded-For: 10.{address}.0.1\r\n\r\n");
        for _ in 0..60 {
            let mut stranger = relay.dial().await;
            stranger.write(head.as_bytes()).await;
            assert_eq!(stranger.response().await.status, 401);
        }
    }
    assert!(relay.metric(&lost("over_budget")).await > 0);
    // Although nothing is left for anybody.
    share(&relay, "10.19.0.1").await;
    relay.stop().await;
    let events = events(folder.path());
    let of_rooms = events.iter().filter(|it| it["event"] != "request_rejected");
    assert_eq!(of_rooms.count(), 5);
    // The counts have them all.
    assert_eq!(stats(folder.path())["request_rejected"], 1200);
}

#[tokio::test]
async fn the_end_of_the_relay_is_told_of_all_pairs() {
    const PAIRS: u64 = 100;
    let folder = TempDir::new().unwrap();
    let start = start(folder.path()).env("RELAY_WORKERS", 4);
    let mut relay = start.env("RELAY_DRAIN_TIMEOUT", 0).run();
    let mut pairs = Vec::new();
    for _ in 0..PAIRS {
        pairs.push(pair(&relay, "192.0.2.1").await);
    }
    relay.signal(Signal::SIGTERM);
    drop(pairs);
    assert!(relay.ended().await.success());
    let counts = stats(folder.path());
    for kind in ["relay_finished", "room_closed"] {
        assert_eq!(counts[kind], PAIRS, "{kind}");
        let told = events(folder.path());
        let told = told.iter().filter(|it| it["event"] == kind);
        assert_eq!(told.count() as u64, PAIRS, "{kind}");
    }
}

#[tokio::test]
async fn a_second_signal_leaves_time_to_write_what_was_told() {
    let folder = TempDir::new().unwrap();
    let mut relay = start(folder.path()).run();
    let _pair = pair(&relay, "192.0.2.1").await;
    let mut waiting = client(&relay, "192.0.2.2").await;
    waiting.create_room().await;
    relay.signal(Signal::SIGTERM);
    // Its room closes a moment before.
    waiting.frames_until_close(1012, "server_shutdown").await;
    relay.signal(Signal::SIGTERM);
    assert_eq!(relay.ended().await.code(), Some(143));
    let events = events(folder.path());
    assert!(
        events.iter().any(|it| it["event"] == "room_closed"),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_file_that_cannot_be_removed_costs_no_event_and_one_warning() {
    if !may_mount() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().display();
    // What something is mounted over is busy.
    let script = format!(
        "exec unshare --mount sh -ec 'cd {path}; old=relay-events-20250101T000000.000Z.jsonl
        touch -d 2025-01-01 $old; mount --bind $old $old; exec \"$@\"' sh \"$@\""
    );
    let start = Start::script(&script).env("RUST_LOG", "info");
    let mut relay = start.env("RELAY_LOG_DIR", path).run();
    for number in 1..=3 {
        share(&relay, "192.0.2.1").await;
        relay.until(WRITTEN, |written| written == 5 * number).await;
        // It looks for old files when the file is opened anew, too.
        relay.signal(Signal::SIGHUP);
        relay.line_with("settings read again");
    }
    assert_eq!(relay.metric(&lost("disk")).await, 0);
    relay.stop().await;
    assert_eq!(relay.lines_with(" WARN  an old file of events in "), 1);
    assert_eq!(events(folder.path()).len(), 15);
}

/// Asks with this key in each way there is.
async fn show_key(relay: &relay_testing::process::Relay, key: &str, status: u16) {
    let by = |query: &str, line: String| {
        let head = UPGRADE.replace("GET / ", &format!("GET /{query} "));
        format!("{head}{line}\r\n")
    };
    let basic = STANDARD.encode(format!("alice:{key}"));
    for head in [
        by(&format!("?key={key}"), String::new()),
        by("", format!("Authorization: Bearer {key}\r\n")),
        by("", format!("Authorization: Basic {basic}\r\n")),
    ] {
        let mut client: Raw = relay.dial().await;
        client.write(head.as_bytes()).await;
        assert_eq!(client.response().await.status, status);
        if status == 101 {
            client.send(frame(TEXT, "no request")).await;
            client.expect_error("invalid_request").await;
        }
    }
    // And where no WebSocket is asked for.
    for page in ["metrics", "nothing"] {
        let mut client: Raw = relay.dial().await;
        let head = format!(
            "GET /{page}?key={key} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic {basic}\r\n\r\n"
        );
        client.write(head.as_bytes()).await;
        client.response().await;
    }
}

#[tokio::test]
async fn no_log_has_a_key_however_it_comes_and_whatever_is_logged() {
    let folder = TempDir::new().unwrap();
    let start = start(folder.path()).env("RUST_LOG", "trace,actix_http=trace");
    let mut relay = start.env("RELAY_ACCESS_KEYS", format!("alice:{KEY}")).run();
    let wrong = KEY.replace("alice", "wrong");
    show_key(&relay, KEY, 101).await;
    show_key(&relay, &wrong, 401).await;
    relay.stop().await;
    assert!(relay.lines_with(" TRACE ") > 0, "it logs all");
    let mut said = relay.said().join("\n");
    let path = folder.path().join("relay-events.jsonl");
    said += &std::fs::read_to_string(path).unwrap();
    assert!(said.contains("access_key_required"), "{said}");
    for key in [KEY, &wrong] {
        let basic = STANDARD.encode(format!("alice:{key}"));
        for secret in [key, &basic] {
            assert!(!said.contains(secret), "{secret}");
        }
    }
}
