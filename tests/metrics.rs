//! What the relay counts and measures: it is there, it is true, and what reads it can.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "metrics/formats.rs"]
mod formats;
#[path = "metrics/outcomes.rs"]
mod outcomes;
#[path = "metrics/until.rs"]
mod until;
#[path = "metrics/waits.rs"]
mod waits;
#[path = "metrics/watching.rs"]
mod watching;

use std::{
    collections::BTreeSet,
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use relay_testing::{
    Raw, TestRelay, frame, http::UPGRADE, memory, metrics::Metrics, pair, process::Relay, raw_pair,
    wire::TEXT, within,
};

use self::until::{LOOK_AGAIN, until};

/// Whoever reads why something was refused, ended or dropped finds there what that means.
#[tokio::test]
async fn every_word_for_why_is_explained() {
    let pages = ["PROTOCOL.md", "OPERATING.md", "README.md"];
    let pages = pages.map(|name| fs::read_to_string(name).unwrap());
    let metrics = TestRelay::start(|_| {}).metrics();
    let words = metrics.names().filter_map(|name| {
        let (_, word) = name.split_once("reason=\"")?;
        word.split('"').next()
    });
    let words: BTreeSet<_> = words.collect();
    assert!(words.len() > 40, "{words:?}");
    for word in words {
        let word = format!("`{word}`");
        assert!(pages.iter().any(|page| page.contains(&word)), "{word}");
    }
}

/// Those that are counted by an `Ending` or for what was dropped are in `http`.
#[tokio::test]
async fn every_label_is_there_from_the_start() {
    let relay = TestRelay::start(|_| {});
    let metrics = relay.metrics();
    for (family, label, values) in [
        ("relay_transfers_total", "outcome", &outcomes::OUTCOMES[..]),
        (
            "relay_paused_seconds_total",
            "fault",
            &["receiver", "sender", "queue", "limit"],
        ),
        (
            "relay_untaken_seconds_total",
            "whom",
            &["receiver", "sender"],
        ),
        (
            "relay_round_trip_seconds_count",
            "behind",
            &["nothing", "data"],
        ),
        (
            "relay_process_ends_total",
            "result",
            &["success", "watchdog", "core-dump", "oom-kill"],
        ),
        (
            "relay_log_lines_dropped_total",
            "reason",
            &["full", "over_budget"],
        ),
    ] {
        for value in values {
            let name = format!("{family}{{{label}=\"{value}\"}}");
            assert_eq!(metrics.real(&name), 0.0, "{name}");
        }
    }
    for histogram in [
        "room_lifetime_seconds",
        "transfer_bytes",
        "transfer_first_byte_seconds",
        "transfer_rate_bytes_per_second",
        "queue_place",
    ] {
        assert_eq!(metrics.get(&format!("relay_{histogram}_count")), 0);
    }
}

#[tokio::test]
async fn what_there_may_be_stands_beside_what_there_is() {
    let relay = TestRelay::start(|config| {
        config.max_rooms = 7;
        config.max_sessions = 8;
        config.max_queue = 3;
        config.max_buffered = 1 << 20;
    });
    let (sender, _receiver) = pair(&relay).await;
    let metrics = relay.metrics();
    for (name, value) in [
        ("relay_rooms", 1),
        ("relay_rooms_limit", 7),
        ("relay_sessions", 2),
        ("relay_sessions_limit", 8),
        ("relay_pairs", 1),
        ("relay_queued_receivers", 0),
        ("relay_queue_limit", 3),
        ("relay_buffered_bytes", 0),
        ("relay_buffered_limit_bytes", 1 << 20),
        ("relay_addresses_limit", 131_072),
    ] {
        assert_eq!(metrics.get(name), value, "{name}");
    }
    let ceiling = metrics.get("relay_memory_ceiling_bytes");
    assert!(ceiling > 15 << 20);
    assert_eq!(metrics.get("relay_memory_limit_bytes"), ceiling);
    let _newcomer = Raw::dial(&relay).await;
    until(&relay, "somebody who says nothing", |now| {
        now.get("relay_handshakes_in_progress") == 2
    })
    .await;
    drop(sender);
    until(&relay, "an empty relay", |now| now.get("relay_pairs") == 0).await;
}

/// With the defaults no machine has as much as the worst of all clients could take.
#[tokio::test]
async fn memory_is_limited_by_what_the_machine_has() {
    let relay = TestRelay::start(|config| config.max_buffered = 1 << 50);
    let metrics = relay.metrics();
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap();
    let total = meminfo.lines().find_map(|line| {
        let kib = line.strip_prefix("MemTotal:")?.trim();
        kib.strip_suffix(" kB")?.parse::<u64>().ok()
    });
    let limit = metrics.get("relay_memory_limit_bytes");
    assert!(limit <= total.unwrap() << 10, "{limit} of {total:?} KiB");
    assert!(metrics.get("relay_memory_ceiling_bytes") > 1 << 50);
}

#[tokio::test]
async fn the_process_is_told_by_the_names_that_client_libraries_have() {
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let relay = TestRelay::start(|_| {});
    let metrics = relay.metrics();
    let started = metrics.real("process_start_time_seconds");
    let since = started - before.as_secs_f64();
    assert!((-0.001..30.0).contains(&since), "{since} s");
    let resident = metrics.get("process_resident_memory_bytes");
    assert!(resident > 1 << 20, "{resident}");
    assert!(metrics.get("process_virtual_memory_bytes") >= resident);
    let busy = until(&relay, "time of the processor's", |now| {
        now.real("process_cpu_seconds_total") > 0.0
    });
    busy.await;
}

#[tokio::test]
async fn the_figures_of_the_process_are_those_of_the_system() {
    let relay = Relay::start(&[]);
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(relay.connect().await);
    }
    // The connection that asks is one more, and others may still be on their way out.
    let looking = async {
        loop {
            let folder = format!("/proc/{}/fd", relay.pid());
            let files = || fs::read_dir(&folder).unwrap().count();
            let before = files();
            let metrics = relay.metrics().await;
            if before == files() && metrics.get("process_open_fds") == before as u64 + 1 {
                return metrics;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    let metrics = within("the number of open files", looking).await;
    let most = metrics.get("process_max_fds").to_string();
    let limits = relay.proc("limits");
    let limit = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    assert!(limit.is_some_and(|line| line.contains(&most)), "{limits}");
    // The system keeps the sum of what its processors have counted, and is some pages behind.
    let resident = memory::of(relay.pid(), memory::RESIDENT).unwrap() as u64;
    let told = metrics.get("process_resident_memory_bytes");
    assert!(told.abs_diff(resident) < 2 << 20, "{told} of {resident}");
}

/// Labels are those of the start, whatever clients say.
#[tokio::test]
async fn nothing_that_clients_do_brings_a_new_label() {
    let relay = TestRelay::start(|config| config.max_queue = 1);
    let names = |metrics: &Metrics| metrics.names().map(str::to_owned).collect::<BTreeSet<_>>();
    let before = names(&relay.metrics());
    assert!(before.len() > 200, "{before:#?}");
    for path in ["/%22%7D", "/metrics/x", "/relay_rooms{a=\"b\"}"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: relay\r\n\r\n");
        Raw::ask(&relay, &request).await;
    }
    let offer = "Sec-WebSocket-Extensions: \"}1, x-y;z=\"w\"\r\nOrigin: null\"}\r\n";
    Raw::ask(&relay, &format!("{UPGRADE}{offer}\r\n")).await;
    let mut sender = Raw::connect(&relay).await;
    let code = sender.create_room().await;
    let mut receivers = Vec::new();
    for _ in 0..2 {
        let mut receiver = Raw::connect(&relay).await;
        receiver.join(&code).await;
        receivers.push(receiver);
    }
    sender.expect_peer().await;
    let mut third = Raw::connect(&relay).await;
    let join = format!(r#"{{"type":"JOIN_ROOM","room_id":"{code}"}}"#);
    third.send(frame(TEXT, join)).await;
    third.expect_error("room_full").await;
    third.send(frame(TEXT, r#"{"type":"\"}x"}"#)).await;
    third.expect_error("invalid_request").await;
    sender.send(frame(TEXT, vec![0xff])).await;
    sender.expect_close(1007).await;
    drop((sender, receivers, third));
    relay.settled().await;
    let now = relay.metrics();
    assert_eq!(names(&now), before);
    let ends = r#"relay_sessions_ended_total{reason="invalid_utf8"}"#;
    assert_eq!(now.get(ends), 1);
}

#[tokio::test]
async fn who_goes_before_its_request_is_whole_is_counted() {
    let relay = TestRelay::start(|_| {});
    for bytes in [&b""[..], b"GET / HT"] {
        let mut client = Raw::dial(&relay).await;
        client.write(bytes).await;
        client.vanish();
    }
    let abandoned = "relay_handshakes_abandoned_total";
    until(&relay, abandoned, |now| now.get(abandoned) == 2).await;
}

#[tokio::test]
async fn a_check_of_this_machine_is_no_transfer() {
    let relay = TestRelay::start(|_| {});
    let checks = UPGRADE.replace("relay.example", "127.0.0.1") + "X-Relay-Check: 1\r\n";
    let mut sender = Raw::connect_by(&relay, &checks).await;
    let code = sender.create_room().await;
    let mut receiver = Raw::connect_by(&relay, &checks).await;
    receiver.join(&code).await;
    sender.expect_peer().await;
    sender.send(frame(TEXT, "is it well?")).await;
    receiver.data(11, "a message").await;
    drop((sender, receiver));
    relay.settled().await;
    let (_, _) = raw_pair(&relay).await;
    relay.settled().await;
    let metrics = until(&relay, "a transfer", |now| {
        now.get("relay_transfer_bytes_count") == 1
    })
    .await;
    assert_eq!(metrics.get("relay_check_rooms_total"), 1);
    assert_eq!(metrics.get("relay_rooms_opened_total"), 1);
    for name in [
        "relay_room_lifetime_seconds_count",
        "relay_transfer_bytes_count",
        "relay_queue_place_count",
    ] {
        assert_eq!(metrics.get(name), 1, "{name}");
    }
    assert_eq!(metrics.get("relay_transfer_bytes_sum"), 0);
}
