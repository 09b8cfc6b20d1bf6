//! The rooms of checks are told from those of users, by the relay that both use.

use relay_testing::{Raw, TestRelay, frame, http::UPGRADE, process::Start, reply, wire::TEXT};

use crate::doubles::command::Check;

const OPENED: &str = "relay_rooms_opened_total";
const OF_CHECKS: &str = "relay_check_rooms_total";

#[tokio::test]
async fn a_room_of_a_check_is_counted_apart_and_logged_for_who_asks() {
    let mut relay = Start::new().env("RUST_LOG", "info").run();
    assert_eq!(Check::local(relay.addr().port(), &[]).json().exit, 0);
    relay.until("relay_rooms", |rooms| rooms == 0).await;
    assert_eq!(relay.metric(OPENED).await, 0);
    assert_eq!(relay.metric(OF_CHECKS).await, 1);
    let closed = r#"relay_rooms_closed_total{reason="sender_disconnected"}"#;
    assert_eq!(relay.metric(closed).await, 0);

    // One of a user's behind it, so that the log is known to have come so far.
    drop(relay.pair().await);
    relay.line_with(" closed after ");
    assert_eq!(relay.metric(OPENED).await, 1);
    assert_eq!(relay.metric(closed).await, 1);
    let said = relay.said().join("\n");
    assert_eq!(said.matches(" closed after ").count(), 1, "{said}");
    assert_eq!(said.matches(" opened by ").count(), 1, "{said}");

    let mut relay = Start::new().env("RUST_LOG", "debug").run();
    assert_eq!(Check::local(relay.addr().port(), &[]).json().exit, 0);
    let opened = relay.line_with(" opened by session ");
    assert!(opened.contains(" DEBUG "), "{opened}");
    // Nor does the relay take the check for a proxy that names nobody.
    let said = relay.said().join("\n");
    assert!(!said.contains("a trusted proxy says nothing"), "{said}");
}

/// A mark of strangers counts for nothing through a proxy that names them; and where it counts, all limits
/// hold as for everybody.
#[tokio::test]
async fn the_mark_of_a_check_hides_nobody_and_lifts_no_limit() {
    let relay = TestRelay::start(|config| {
        config.max_rooms = 2;
        config.address_rooms = 1;
    });
    let here = UPGRADE.replace("relay.example", "localhost");
    let marked = |more: &str| format!("{here}X-Relay-Check: 1\r\n{more}");
    let count = |name: &'static str| relay.metrics().get(name);
    for (more, checks) in [
        ("X-Forwarded-For: 192.0.2.7\r\n", 0),
        ("Forwarded: for=192.0.2.7\r\n", 0),
        ("Via: 1.1 proxy\r\n", 0),
        ("X-Real-IP: 192.0.2.7\r\n", 0),
        ("", 1),
    ] {
        let before = (count(OPENED), count(OF_CHECKS));
        let mut client = Raw::connect_by(&relay, &marked(more)).await;
        client.create_room().await;
        assert_eq!(count(OF_CHECKS) - before.1, checks, "{more}");
        assert_eq!(count(OPENED) - before.0, 1 - checks, "{more}");
        // Another of the same address gets none, marked or not.
        let mut second = Raw::connect_by(&relay, &marked(more)).await;
        second.send(frame(TEXT, reply::CREATE)).await;
        second.expect_error("address_rooms").await;
        drop((client, second));
        relay.settled().await;
    }
}
