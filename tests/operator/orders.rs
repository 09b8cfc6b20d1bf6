//! What the whole process does at the operator's word.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::*;

#[tokio::test]
async fn a_drain_lets_pairs_finish_and_tells_of_itself() {
    let machine = Machine::new();
    let mut relay = machine.relay().run();
    let (mut sender, receiver, _) = pair(&relay, "192.0.2.1", "192.0.2.2").await;
    let mut waiting = client(&relay, "192.0.2.3").await;
    let said = machine.says(&["drain"]).await;
    assert_eq!(
        said,
        "nobody new is let in, pairs have 20 s to finish, and then the relay ends\n"
    );
    waiting.expect_error("server_shutdown").await;
    assert_eq!(status(&relay, "192.0.2.4").await, 503);
    let now = machine.json(&["status"]).await;
    assert_eq!(now["stopping"], true);
    assert!(
        now["troubles"][0]
            .as_str()
            .unwrap()
            .starts_with("it is stopping"),
        "{now}"
    );
    let again = machine.complains(&["drain"]).await;
    assert!(again.contains("stopping already"), "{again}");
    let reload = machine.complains(&["reload"]).await;
    assert!(reload.contains("the relay is stopping"), "{reload}");

    // A service manager's signal means the same, and cuts nobody.
    relay.signal(Signal::SIGTERM);
    relay.line_with("stopping already");
    sender.round_trip().await;
    drop(receiver);
    sender.expect_peer_gone().await;
    sender.expect_error("server_shutdown").await;
    sender.expect_close(1012).await;
    drop(waiting);
    assert_eq!(relay.ended().await.code(), Some(0));
}

#[tokio::test]
async fn who_has_a_relay_drain_that_is_empty_is_answered_before_it_ends() {
    let machine = Machine::new();
    for _ in 0..3 {
        let mut relay = machine.relay().run();
        let said = machine.json(&["drain"]).await;
        assert!(
            said["said"].as_str().unwrap().contains("the relay ends"),
            "{said}"
        );
        let start = Instant::now();
        assert_eq!(relay.ended().await.code(), Some(0));
        // Half of what a pair would have.
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "nobody is waited for"
        );
        assert!(!machine.socket().exists());
    }
}

#[tokio::test]
async fn a_second_signal_in_a_drain_ends_it() {
    let machine = Machine::new();
    let mut relay = machine.relay().run();
    let (_sender, _receiver, _) = pair(&relay, "192.0.2.1", "192.0.2.2").await;
    machine.says(&["drain"]).await;
    relay.signal(Signal::SIGTERM);
    relay.line_with("stopping already");
    relay.signal(Signal::SIGTERM);
    assert_eq!(relay.ended().await.code(), Some(143));
}

#[tokio::test]
async fn the_log_changes_until_the_settings_are_read_again() {
    let machine = Machine::new();
    let mut relay = machine.relay().run();
    let said = machine.says(&["log", "debug"]).await;
    assert!(said.starts_with("the log shows debug until"), "{said}");
    let _session = client(&relay, "192.0.2.1").await;
    relay.line_with("session 0 from 192.0.2.1");
    let said = machine.complains(&["log", "debgu"]).await;
    assert!(said.contains("\"debgu\" has no effect"), "{said}");
    let _session = client(&relay, "192.0.2.1").await;
    relay.line_with("session 1 from 192.0.2.1");

    let said = machine.says(&["reload"]).await;
    assert_eq!(said, "settings read again: RUST_LOG debug -> info\n");
    let _session = client(&relay, "192.0.2.1").await;
    relay.stop().await;
    assert_eq!(relay.lines_with("session 2 from"), 0);
}

#[tokio::test]
async fn a_reload_answers_with_what_it_has_changed_or_why_not() {
    let machine = Machine::new();
    let program = Program::new(process::program()).file(".env.relay", "RELAY_MAX_ROOMS=5");
    let file = program.directory().join(".env.relay");
    let relay = Start::through(program)
        .env("RELAY_ADMIN_SOCKET", machine.socket().display())
        .run();
    std::fs::write(&file, "RELAY_MAX_ROOMS=6\nRELAY_WORKERS=3").unwrap();
    let said = machine.says(&["reload"]).await;
    assert_eq!(
        said,
        "settings read again: RELAY_MAX_ROOMS 5 -> 6; a restart is needed for RELAY_WORKERS 1 -> 3\n"
    );
    assert_eq!(machine.json(&["status"]).await["rooms"]["most"], 6);
    std::fs::write(&file, "RELAY_MAX_ROOMS=none").unwrap();
    let said = machine.complains(&["reload"]).await;
    assert!(
        said.contains("the settings stay as they were: RELAY_MAX_ROOMS, from"),
        "{said}"
    );
    drop(relay);
}

#[tokio::test]
async fn settings_that_cannot_be_used_lead_to_the_socket_all_the_same() {
    let machine = Machine::new();
    let relay = machine.relay().run();
    for broken in ["RELAY_MAX_ROOMS=none", "RELAY_ACCESS_KEYS=/none/of/these"] {
        let text = format!(
            "RELAY_ADMIN_SOCKET={}\n{broken}",
            machine.socket().display()
        );
        let status = Program::new(process::program())
            .file(".env.relay", &text)
            .args(["status", "--json"]);
        let output = spawn_blocking(|| status.output()).await.unwrap();
        assert!(output.status.success(), "{broken}: {output:?}");
    }
    drop(relay);
}

#[tokio::test]
async fn a_socket_that_cannot_be_opened_keeps_no_relay_from_its_work() {
    let machine = Machine::new();
    std::fs::write(machine.socket(), "in the way").unwrap();
    let mut relay = machine.relay().run();
    let line = relay.line_with("cannot be opened (RELAY_ADMIN_SOCKET)");
    assert!(
        line.contains(" ERROR ") && line.contains("what is there is no socket"),
        "{line}"
    );
    client(&relay, "192.0.2.1").await.create_room().await;
    relay.stop().await;
    assert!(machine.socket().exists(), "it is somebody else's");
}

#[tokio::test]
async fn systemd_says_where_the_socket_and_the_state_are() {
    let machine = Machine::new();
    let relay = machine
        .relay()
        .env("RELAY_ADMIN_SOCKET", "")
        .env("RELAY_STATE_DIR", "")
        .env("RUNTIME_DIRECTORY", machine.folder.path().display())
        .env(
            "STATE_DIRECTORY",
            format!("{}:/nowhere", machine.state().display()),
        )
        .run();
    let said = machine.says(&["block", "192.0.2.7"]).await;
    assert_eq!(
        said,
        "192.0.2.7 is blocked until it is unblocked; 0 sessions ended\n"
    );
    assert!(machine.state().join("rules.json").exists());
    drop(relay);
}
