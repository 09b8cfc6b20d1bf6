//! Who is stopped leaves well, and who is killed goes on.

use std::{fs, io::Write};

use nix::sys::signal::Signal;

use super::setup::{PASSPHRASE, User, ended, pipe, relay};

#[tokio::test]
async fn a_sender_that_is_stopped_ends_its_share() {
    let relay = relay();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let user = User::of(&relay);
        user.file("a.txt", b"a");
        let mut sender = user.in_json(["share", "a.txt"]);
        let (code, passphrase) = sender.opened();
        sender.0.signal(signal);
        let failed = sender.event("failed");
        assert_eq!(
            (failed["reason"].as_str(), failed["status"].as_u64()),
            (Some("interrupted"), Some(130))
        );
        assert_eq!(sender.status().await, 130);
        relay.until("relay_rooms", |rooms| rooms == 0).await;
        // Nothing is left to take up.
        let state = user.home().join(".local/state/distill");
        let left = fs::read_dir(state).map_or(0, |files| files.count());
        assert_eq!(left, 0, "a state is left behind");
        let said = ended(
            user.distill(["receive", &code])
                .env("DISTILL_PASSPHRASE", passphrase),
        )
        .await;
        assert_eq!(said.status, 3, "{}", said.err);
    }
}

#[tokio::test]
async fn a_receiver_that_is_stopped_keeps_what_has_come() {
    let relay = relay();
    let (alice, bob) = (User::of(&relay), User::of(&relay));
    let (mut writer, reader) = pipe();
    let sender = alice
        .distill(["share", "-"])
        .env("DISTILL_PASSPHRASE", PASSPHRASE)
        .stdin(reader);
    let mut sender = sender.spawn().unwrap();
    let line = sender.line_with("distill receive");
    let code = line.split_whitespace().nth(2).unwrap().to_owned();
    // As much as a pipe takes while nobody reads.
    writer.write_all(&[b'a'; 50_000]).unwrap();

    let receiver = bob
        .distill(["receive", &code, "-o", "out"])
        .env("DISTILL_PASSPHRASE", PASSPHRASE);
    let mut receiver = receiver.spawn().unwrap();
    receiver.line_with("Receiving ");
    let part = bob.home().join("out.part");
    while fs::metadata(&part).map_or(0, |it| it.len()) < 32 << 10 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    receiver.signal(Signal::SIGINT);
    assert_eq!(receiver.ended().await.code(), Some(130));
    assert_eq!(receiver.lines_with("goes on from there"), 1);
    sender.line_with("The other side has left: somebody has stopped it there.");
    assert!(part.exists() && bob.home().join("out.part.journal").exists());

    // The same command goes on from there.
    let again = bob
        .distill(["receive", &code, "-o", "out"])
        .env("DISTILL_PASSPHRASE", PASSPHRASE);
    let rest = async {
        writer.write_all(b"the end").unwrap();
        drop(writer);
    };
    let (said, ()) = tokio::join!(ended(again), rest);
    assert_eq!(said.status, 0, "{}", said.err);
    assert_eq!(bob.read("out").len(), 50_007);
    assert!(bob.read("out").ends_with(b"athe end"));
    assert!(!part.exists());
    assert!(sender.ended().await.success());
}

#[tokio::test]
async fn a_receiver_whose_sender_is_stopped_is_told() {
    let relay = relay();
    let (alice, bob) = (User::of(&relay), User::of(&relay));
    let (mut writer, reader) = pipe();
    let sender = alice
        .distill(["share", "-"])
        .env("DISTILL_PASSPHRASE", PASSPHRASE)
        .stdin(reader);
    let mut sender = sender.spawn().unwrap();
    let code = sender
        .line_with("distill receive")
        .split_whitespace()
        .nth(2)
        .unwrap()
        .to_owned();
    writer.write_all(b"and more to come").unwrap();
    let receiver = bob
        .distill(["receive", &code])
        .env("DISTILL_PASSPHRASE", PASSPHRASE);
    let mut receiver = receiver.spawn().unwrap();
    receiver.line_with("Receiving ");
    sender.signal(Signal::SIGINT);
    receiver.line_with("The other side has given up: somebody has stopped it there.");
    assert_eq!(receiver.ended().await.code(), Some(6));
    assert_eq!(sender.ended().await.code(), Some(130));
}

#[tokio::test]
async fn a_share_that_was_killed_is_taken_up_by_the_same_command() {
    let relay = relay();
    let (alice, bob) = (User::of(&relay), User::of(&relay));
    alice.file("a.txt", b"still there");
    let mut killed = alice.in_json(["share", "a.txt"]);
    let (code, passphrase) = killed.opened();
    killed.0.signal(Signal::SIGKILL);
    killed.0.ended().await;

    let mut again = alice.in_json(["share", "a.txt"]);
    let resumed = again.event("resumed");
    assert_eq!(resumed["code"], code);
    assert!(
        resumed.get("passphrase").is_none(),
        "it is kept nowhere: {resumed}"
    );
    let said = ended(
        bob.distill(["receive", &code])
            .env("DISTILL_PASSPHRASE", passphrase),
    )
    .await;
    assert_eq!(said.status, 0, "{}", said.err);
    assert_eq!(again.status().await, 0);

    let mut killed = alice.in_json(["share", "a.txt"]);
    let (code, _) = killed.opened();
    killed.0.signal(Signal::SIGKILL);
    killed.0.ended().await;
    let mut anew = alice.in_json(["share", "a.txt", "--new"]);
    assert_ne!(anew.opened().0, code);
}

#[tokio::test]
async fn a_second_signal_ends_what_waits_for_a_reader() {
    let relay = relay();
    let user = User::of(&relay);
    user.file("a.txt", b"a");
    let (mut writer, reader) = pipe();
    // As much as a pipe takes, so that the first line that it prints has to wait.
    writer.write_all(&[b' '; 64 << 10]).unwrap();
    let sender = user.distill(["share", "a.txt", "--json"]);
    let mut sender = sender.stdout(writer).spawn().unwrap();
    relay.until("relay_rooms", |rooms| rooms == 1).await;
    sender.signal(Signal::SIGINT);
    relay.until("relay_rooms", |rooms| rooms == 0).await;
    sender.signal(Signal::SIGINT);
    assert_eq!(sender.ended().await.code(), Some(130));
    drop(reader);
}

#[tokio::test]
async fn what_nohup_ignores_is_ignored() {
    let relay = relay();
    let user = User::of(&relay);
    user.file("a.txt", b"a");
    let program = user.run("cd; trap '' HUP; exec \"$0\" \"$@\"", ["share", "a.txt"]);
    let mut sender = program.spawn().unwrap();
    sender.line_with("Ctrl-C ends the share");
    sender.signal(Signal::SIGHUP);
    sender.signal(Signal::SIGINT);
    assert_eq!(sender.ended().await.code(), Some(130));
    // Both would have been the first and the second signal, and the second ends it without a word.
    assert_eq!(sender.lines_with("the share has ended"), 1);
}
