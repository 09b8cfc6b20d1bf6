//! A relay that may open few files has fewer sessions, and goes on saying how it is.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use relay_testing::{
    Raw, frame,
    http::UPGRADE,
    process::{Relay, Start},
    wire::TEXT,
    within,
};

/// A relay that may open so many files, and is to have ten thousand sessions.
fn start(files: usize) -> Relay {
    Start::script(&format!("ulimit -n {files}; exec \"$@\""))
        .env("RUST_LOG", "info,actix_http=off")
        .env("RELAY_REQUEST_TIMEOUT", 3600)
        .run()
}

/// The number that stands before these words.
fn number_before(line: &str, words: &str) -> usize {
    let (before, _) = line.split_once(words).expect(line);
    before.rsplit(' ').next().unwrap().parse().expect(line)
}

async fn status(relay: &Relay, path: &str) -> u16 {
    let mut client = relay.dial().await;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.write(request.as_bytes()).await;
    client.response().await.status
}

#[tokio::test]
async fn with_too_few_files_there_are_fewer_sessions_and_the_relay_still_answers() {
    for files in [64, 200] {
        let mut relay = start(files);
        let warning = relay.line_with("RELAY_MAX_SESSIONS is 10000");
        assert!(warning.contains("WARN"), "{warning}");
        assert_eq!(number_before(&warning, ": the relay has"), files);
        let most = number_before(&warning, " sessions at most");
        assert!(most >= files / 4, "{warning}");
        // It is the limit from there on.
        relay.line_with(&format!(": {most} sessions, "));

        let mut sessions: Vec<Raw> = Vec::new();
        for _ in 0..most {
            sessions.push(relay.connect().await);
        }
        // A crowd of silent ones as well, which has more connections than there are files.
        let mut silent = Vec::new();
        for _ in 0..2 * files {
            silent.push(relay.dial().await);
        }
        assert_eq!(status(&relay, "/healthz").await, 200);
        assert_eq!(relay.metric("relay_sessions").await, most as u64);
        let mut refused = relay.dial().await;
        refused.write(format!("{UPGRADE}\r\n").as_bytes()).await;
        let answer = refused.response().await;
        assert_eq!(answer.status, 503, "{answer:?}");
        let full = r#"relay_handshakes_refused_total{reason="relay_full"}"#;
        assert_eq!(relay.metric(full).await, 1);

        for session in &mut sessions {
            session.round_trip().await;
        }
        sessions.pop().unwrap().vanish();
        relay
            .until("relay_sessions", |now| now == most as u64 - 1)
            .await;
        let mut next = relay.connect().await;
        next.send(frame(TEXT, "no request")).await;
        within("an answer", next.expect_error("invalid_request")).await;
        drop((sessions, next, silent));
        relay.stop().await;
        assert_eq!(relay.lines_with("no connection can be accepted"), 0);
    }
}

#[tokio::test]
async fn fewer_sessions_than_there_are_files_for_are_no_matter_to_warn_of() {
    let start = Start::script("ulimit -n 200; exec \"$@\"");
    let mut relay = start.env("RELAY_MAX_SESSIONS", 20).run();
    assert_eq!(status(&relay, "/healthz").await, 200);
    relay.stop().await;
    assert_eq!(relay.lines_with("open files"), 0);
}

#[tokio::test]
async fn a_relay_of_several_keeps_two_files_for_a_session() {
    const FILES: usize = 200;
    let most = |relay: &mut Relay| {
        let warning = relay.line_with("RELAY_MAX_SESSIONS is 10000");
        number_before(&warning, " sessions at most")
    };
    let alone = most(&mut start(FILES));
    let nowhere = "127.0.0.1:1";
    let mut node = Start::script(&format!("ulimit -n {FILES}; exec \"$@\""))
        .env("RELAY_CLUSTER_NATS", format!("nats://{nowhere}"))
        .env("RELAY_CLUSTER_ADDRESS", format!("ws://{nowhere}"))
        .env("RELAY_CLUSTER_SECRET", "0123456789abcdef0123456789abcdef")
        .run();
    assert_eq!(most(&mut node), alone / 2);
}
