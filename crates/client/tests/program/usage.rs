//! What cannot work is said in a sentence, with a status that scripts can rely on.

use nix::sys::signal::Signal;
use relay_testing::{frame, port::Port, process::Start, wire::TEXT};

use super::setup::{PASSPHRASE, User, ended, pipe, relay};

/// A user whose relay nobody asks.
fn user() -> User {
    User::at("ws://127.0.0.1:9")
}

#[tokio::test]
async fn what_is_asked_wrongly_is_status_2_and_a_sentence() {
    let user = user();
    user.file("a.txt", b"a");
    for (arguments, part) in [
        (&["share"][..], "<PATH>"),
        (&["receive"], "<CODE>"),
        (&["receive", "a"], "4 to 16 letters"),
        (
            &["share", "a.txt", "--expires-in", "soon"],
            "90s, 10m or 1h30m",
        ),
        (
            &["share", "a.txt", "--relay", "https://relay.example.com"],
            "of --relay cannot be used",
        ),
        (
            &["share", "a.txt", "--key-file", "none"],
            "none cannot be read",
        ),
        (
            &["share", "a.txt", "--passphrase-fd", "99"],
            "file descriptor 99 cannot be read",
        ),
        (&["share", "-", "--passphrase-fd", "0"], "cannot be both"),
        (&["receive", "a7f3k2"], "set DISTILL_PASSPHRASE"),
        (
            &["receive", "a7f3k2", "-o", "-", "--json"],
            "cannot have both",
        ),
        (&["sessions", "a7f3k2"], "--pick ID"),
    ] {
        // Without a terminal, wherever these tests run.
        let said = ended(user.run("cd; exec setsid \"$0\" \"$@\"", arguments)).await;
        assert_eq!(said.status, 2, "{arguments:?}: {}", said.err);
        assert!(
            said.err.contains(part),
            "{arguments:?}: {part:?} is not in {}",
            said.err
        );
        assert!(
            said.out.is_empty() || arguments.contains(&"--json"),
            "{}",
            said.out
        );
    }
}

#[tokio::test]
async fn settings_come_from_flags_then_variables_then_the_file() {
    let user = user();
    user.file("a.txt", b"a");
    let tried = async |arguments: &[&str], variable: &str| {
        let program = user.distill(["share", "a.txt"]).args(arguments);
        ended(program.env("DISTILL_RELAY", variable)).await.err
    };
    assert!(
        tried(&[], "").await.contains("settings.toml"),
        "no relay is named"
    );
    user.file(".config/distill/settings.toml", b"relay = \"file\"\n");
    let from_file = tried(&[], "").await;
    assert!(
        from_file.contains("the relay of /") && from_file.contains("settings.toml"),
        "{from_file}"
    );
    assert!(
        tried(&[], "variable")
            .await
            .contains("the relay of DISTILL_RELAY")
    );
    assert!(
        tried(&["--relay", "flag"], "variable")
            .await
            .contains("the relay of --relay")
    );

    user.file(".config/distill/settings.toml", b"key = secret\n");
    let said = ended(user.distill(["share", "a.txt"])).await;
    assert_eq!(said.status, 2);
    assert!(
        said.err.contains("line 1") && !said.err.contains("secret"),
        "{}",
        said.err
    );
}

#[tokio::test]
async fn a_relay_that_is_not_there_is_status_5() {
    let port = Port::reserve();
    let user = User::at(&format!("ws://{}", port.addr()));
    user.file("a.txt", b"a");
    let said = ended(user.distill(["share", "a.txt", "--patience", "1s"])).await;
    assert_eq!(said.status, 5, "{}", said.err);
    assert!(
        said.err
            .lines()
            .any(|line| line.starts_with("distill: The relay")),
        "{}",
        said.err
    );
}

#[tokio::test]
async fn a_key_lets_in_and_is_never_shown() {
    const KEY: &str = "an-access-key-of-alice-0123456789";
    let relay = Start::new()
        .env("RELAY_ACCESS_KEYS", format!("alice:{KEY}"))
        .run();
    let user = User::of(&relay);
    user.file("a.txt", b"a");
    user.file("key", format!("{KEY}\n").as_bytes());
    let said = ended(user.distill(["share", "a.txt"])).await;
    assert_eq!(said.status, 5, "{}", said.err);

    let mut sender = user
        .distill(["share", "a.txt", "--key-file", "key"])
        .spawn()
        .unwrap();
    sender.line_with("Ctrl-C ends the share");
    sender.signal(Signal::SIGINT);
    sender.ended().await;
    assert_eq!(sender.lines_with(KEY), 0);
}

#[tokio::test]
async fn a_key_goes_to_no_relay_but_the_one_that_is_named_beside_it() {
    const KEY: &str = "an-access-key-of-alice-0123456789";
    let relay = Start::new()
        .env("RELAY_ACCESS_KEYS", format!("alice:{KEY}"))
        .run();
    let (own, other) = (format!("ws://{}", relay.addr()), "ws://127.0.0.1:9");
    let user = User::of(&relay);
    let tried = async |variables: [&str; 2], settings: &str, is_let_in: bool| {
        user.file(".config/distill/settings.toml", settings.as_bytes());
        let program = user.distill(["receive", "aaaaaa", "--relay", &own]);
        let program = program
            .env("DISTILL_PASSPHRASE", PASSPHRASE)
            .env("DISTILL_RELAY", variables[0])
            .env("DISTILL_KEY", variables[1]);
        let said = ended(program).await;
        // Who is let in hears that there is no such room.
        let status = if is_let_in { 3 } else { 5 };
        assert_eq!(
            said.status, status,
            "{variables:?} {settings}: {}",
            said.err
        );
    };
    let settings = |relay: &str| format!("relay = \"{relay}\"\nkey = \"{KEY}\"\n");
    tried(["", ""], &settings(&own), true).await;
    tried(["", ""], &settings(other), false).await;
    tried([&own, ""], &settings(other), false).await;
    tried(["", ""], &format!("key = \"{KEY}\"\n"), false).await;
    tried([&own, KEY], "", true).await;
    tried([other, KEY], "", false).await;
    tried(["", KEY], &format!("relay = \"{own}\"\n"), true).await;
    tried(["", KEY], "", false).await;
}

#[tokio::test]
async fn a_wrong_code_is_status_3_and_a_wrong_passphrase_status_4() {
    let relay = relay();
    let (alice, bob) = (User::of(&relay), User::of(&relay));
    let said = ended(
        bob.distill(["receive", "aaaaaa"])
            .env("DISTILL_PASSPHRASE", PASSPHRASE),
    )
    .await;
    assert_eq!(said.status, 3, "{}", said.err);

    alice.file("a.txt", b"a");
    let mut sender = alice.in_json(["share", "a.txt"]);
    let (code, passphrase) = sender.opened();
    let said = ended(
        bob.distill(["receive", &code])
            .env("DISTILL_PASSPHRASE", PASSPHRASE),
    )
    .await;
    assert_eq!(said.status, 4, "{}", said.err);
    // The share goes on for whoever knows better.
    let said = ended(
        bob.distill(["receive", &code])
            .env("DISTILL_PASSPHRASE", passphrase),
    )
    .await;
    assert_eq!(said.status, 0, "{}", said.err);
}

#[tokio::test]
async fn version_1_is_refused_by_a_flag_or_by_the_settings() {
    let relay = relay();
    let (alice, bob) = (User::of(&relay), User::of(&relay));
    bob.file(".config/distill/settings.toml", b"version_2_only = true\n");
    let sessions = bob.distill(["sessions", "a7f3k2", "--list"]);
    let said = ended(sessions.env("DISTILL_PASSPHRASE", PASSPHRASE)).await;
    assert_eq!(said.status, 2, "{}", said.err);
    assert!(said.err.contains("version 1 alone"), "{}", said.err);

    // Somebody who speaks version 1 alone is sent away, and whoever speaks version 2 is served.
    alice.file("a.txt", b"a");
    let mut sender = alice.in_json(["share", "a.txt", "--version-2-only"]);
    let (code, passphrase) = sender.opened();
    let mut old = relay.connect().await;
    old.join(&code).await;
    old.send(frame(TEXT, r#"{"type":"HELLO","version":1}"#))
        .await;
    let denied = old.next_json("DENIED").await;
    assert_eq!(denied["type"], "DENIED", "{denied}");
    let gone = sender.event("peer_gone");
    assert_eq!(gone["why"], "it speaks version 1, which is refused here");
    drop(old);
    let receiver = bob.distill(["receive", &code]);
    let said = ended(receiver.env("DISTILL_PASSPHRASE", passphrase)).await;
    assert_eq!(said.status, 0, "{}", said.err);
    assert_eq!(sender.status().await, 0);

    // A sender of version 1 gets no proof.
    let mut old = relay.connect().await;
    let code = old.create_room().await;
    let receiver = bob.distill(["receive", &code, "--json"]);
    let receiver = tokio::spawn(ended(receiver.env("DISTILL_PASSPHRASE", PASSPHRASE)));
    old.expect_peer().await;
    old.next_json("HELLO").await;
    let zeros = |bytes| "00".repeat(bytes);
    let challenge = format!(
        r#"{{"type":"CHALLENGE","salt":"{}","nonce":"{}"}}"#,
        zeros(32),
        zeros(16)
    );
    old.send(frame(TEXT, challenge)).await;
    old.expect_peer_gone().await;
    let said = receiver.await.unwrap();
    assert_eq!(said.status, 6, "{}", said.err);
    assert!(said.out.contains(r#""reason":"version_1""#), "{}", said.out);
}

#[tokio::test]
async fn what_the_disk_refuses_is_status_7() {
    let relay = relay();
    let (alice, bob) = (User::of(&relay), User::of(&relay));
    let said = ended(alice.distill(["share", "none.txt"])).await;
    assert_eq!(said.status, 7, "{}", said.err);
    assert!(said.err.contains("none.txt"), "{}", said.err);

    alice.file("a.txt", b"a");
    bob.file("file", b"no folder");
    let mut sender = alice.in_json(["share", "a.txt", "--stay"]);
    let (code, passphrase) = sender.opened();
    let receiver = bob.distill(["receive", &code, "-o", "file/a.txt"]);
    let said = ended(receiver.env("DISTILL_PASSPHRASE", passphrase)).await;
    assert_eq!(said.status, 7, "{}", said.err);
}

#[tokio::test]
async fn a_weak_passphrase_is_warned_of_and_an_own_one_is_not_shown() {
    let relay = relay();
    let user = User::of(&relay);
    user.file("a.txt", b"a");
    let program = user
        .distill(["share", "a.txt"])
        .env("DISTILL_PASSPHRASE", "sunflower2024");
    let mut sender = program.spawn().unwrap();
    sender.line_with("could be guessed");
    sender.line_with("Ctrl-C ends the share");
    sender.signal(Signal::SIGINT);
    sender.ended().await;
    assert_eq!(sender.lines_with("sunflower"), 0);
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_panic() {
    let relay = relay();
    let (alice, bob) = (User::of(&relay), User::of(&relay));
    let (writer, reader) = pipe();
    drop(reader);
    alice.file("a.txt", b"a");
    let sender = alice
        .distill(["share", "a.txt", "--json"])
        .env("DISTILL_PASSPHRASE", PASSPHRASE);
    let mut sender = sender.stdout(writer).spawn().unwrap();
    // It has nobody to tell its code, so it is only stopped.
    tokio::time::timeout(
        relay_testing::DEADLINE,
        relay.until("relay_rooms", |rooms| rooms == 1),
    )
    .await
    .unwrap();
    sender.signal(Signal::SIGTERM);
    assert_eq!(sender.ended().await.code(), Some(130));
    assert_eq!(sender.lines_with("panicked"), 0);
    let said = ended(bob.run("\"$0\" --help | true", [] as [&str; 0])).await;
    assert!(!said.err.contains("panicked"), "{}", said.err);
}
