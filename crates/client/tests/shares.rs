//! Two ends of our own, through a relay: what arrives, and how it ends.
#![cfg(feature = "distill")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code, reason = "other tests use the rest of it")]
mod ends;

use std::fs;

use relay_client::engine::{
    event::{Event, Warning},
    fault::Fault,
    options::{Secret, Shared, Where},
};
use relay_testing::{
    client::{Client, text},
    process::Relay,
};

use self::ends::{Folders, noise, receiving, sharing, start_receive, start_share};

fn url(relay: &Relay) -> String {
    format!("ws://{}/", relay.addr())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_arrives() {
    let (relay, folders) = (Relay::start(&[]), Folders::new());
    for (name, content) in [
        ("empty", Vec::new()),
        ("small", b"a few bytes".to_vec()),
        ("text", b"the same again and again ".repeat(200_000)),
        ("noise", noise(5 << 20)),
    ] {
        let share = start_share(sharing(&url(&relay), &folders.file(name, &content)));
        let code = share.code().await;
        let received = start_receive(receiving(&url(&relay), &code, &folders.there))
            .end()
            .await;
        let received = received.unwrap();
        assert_eq!(received.path, Some(folders.there.join(name)));
        assert_eq!(received.bytes, content.len() as u64);
        assert!(
            fs::read(folders.there.join(name)).unwrap() == content,
            "{name}"
        );
        let shared = share.end().await.unwrap();
        let sent = content.len() as u64;
        assert_eq!(shared, Shared { receivers: 1, sent });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_arrives_and_links_are_left_out() {
    let (relay, folders) = (Relay::start(&[]), Folders::new());
    let folder = folders.here.join("folder");
    fs::create_dir_all(folder.join("a/b")).unwrap();
    fs::create_dir(folder.join("empty")).unwrap();
    fs::write(folder.join("a/b/deep.txt"), "deep").unwrap();
    fs::write(folder.join("big"), noise(3 << 20)).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.join("link")).unwrap();
    let share = start_share(sharing(&url(&relay), &folder));
    let code = share.code().await;
    let received = start_receive(receiving(&url(&relay), &code, &folders.there))
        .end()
        .await;
    let there = received.unwrap().path.unwrap();
    assert_eq!(
        fs::read_to_string(there.join("a/b/deep.txt")).unwrap(),
        "deep"
    );
    let big = |path: &std::path::Path| fs::read(path.join("big")).unwrap();
    assert!(big(&there) == big(&folder));
    assert!(there.join("empty").is_dir());
    assert!(fs::symlink_metadata(there.join("link")).is_err());
    let left_out = Event::Warning(Warning::LeftOut(1));
    assert!(share.told.so_far().contains(&left_out));
    share.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_receiver_after_another_is_served_until_it_is_stopped() {
    let (relay, folders) = (Relay::start(&[]), Folders::new());
    let mut options = sharing(&url(&relay), &folders.file("a", &noise(100_000)));
    options.stay = true;
    let share = start_share(options);
    let code = share.code().await;
    let receivers = [(); 3].map(|()| start_receive(receiving(&url(&relay), &code, &folders.there)));
    for receiver in receivers {
        receiver.end().await.unwrap();
    }
    for name in ["a", "a (2)", "a (3)"] {
        assert!(
            fs::read(folders.there.join(name)).unwrap()
                == fs::read(folders.here.join("a")).unwrap()
        );
    }
    assert_eq!(share.stop().await, Err(Fault::Interrupted));
    let late = start_receive(receiving(&url(&relay), &code, &folders.there))
        .end()
        .await;
    assert_eq!(late, Err(Fault::NoSuchRoom));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_passphrase_is_refused_and_the_tenth_ends_the_share() {
    let (relay, folders) = (Relay::start(&[]), Folders::new());
    let share = start_share(sharing(&url(&relay), &folders.file("a", b"secret")));
    let code = share.code().await;
    for _ in 0..10 {
        let mut options = receiving(&url(&relay), &code, &folders.there);
        options.passphrase = Secret::new("wrong");
        let end = start_receive(options).end().await;
        assert_eq!(end, Err(Fault::WrongPassphrase));
    }
    assert_eq!(share.end().await, Err(Fault::TooManyWrongPassphrases));
    assert_eq!(fs::read_dir(&folders.there).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_leaves_is_told_apart_from_a_wrong_code() {
    let (relay, folders) = (Relay::start(&[]), Folders::new());
    let share = start_share(sharing(&url(&relay), &folders.file("a", b"secret")));
    let code = share.code().await;
    let wrong = start_receive(receiving(&url(&relay), "wrong1", &folders.there))
        .end()
        .await;
    assert_eq!(wrong, Err(Fault::NoSuchRoom));
    // A pair in front, so that the receiver waits.
    let mut first = relay.connect().await;
    first.join(&code).await;
    let queued = start_receive(receiving(&url(&relay), &code, &folders.there));
    queued
        .told
        .until("place in the queue", |it| {
            (*it == Event::Joined).then_some(())
        })
        .await;
    assert_eq!(share.stop().await, Err(Fault::Interrupted));
    assert_eq!(queued.end().await, Err(Fault::SenderGone));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_code_no_file_or_no_relay_is_said_at_once() {
    let (relay, folders) = (Relay::start(&[]), Folders::new());
    let none = start_receive(receiving(&url(&relay), "-", &folders.there))
        .end()
        .await;
    assert_eq!(none, Err(Fault::NotACode));
    let missing = start_share(sharing(&url(&relay), &folders.here.join("missing")))
        .end()
        .await;
    assert_eq!(missing.unwrap_err().exit_status(), 7);
    let mut options = sharing(&url(&relay), &folders.file("a", b""));
    options.passphrase = None;
    assert_eq!(
        start_share(options).end().await,
        Err(Fault::NothingToTakeUp)
    );
    let page = relay_testing::port::Port::reserve();
    let mut options = receiving(&format!("ws://{}/", page.addr()), "a7f3k2", &folders.there);
    options.patience = std::time::Duration::from_millis(100);
    let unreached = start_receive(options).end().await;
    assert!(
        matches!(unreached, Err(Fault::Unreachable(_))),
        "{unreached:?}"
    );
    let mut options = receiving(&url(&relay), "a7f3k2", &folders.there);
    options.to = Where::Stdout;
    assert_eq!(start_receive(options).end().await, Err(Fault::NoSuchRoom));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_hears_why_a_receiver_gives_up() {
    let (relay, folders) = (Relay::start(&[]), Folders::new());
    let mut options = sharing(&url(&relay), &folders.file("a", &noise(100_000)));
    options.stay = true;
    let share = start_share(options);
    let code = share.code().await;
    fs::write(folders.there.join("file"), "").unwrap();
    let mut options = receiving(&url(&relay), &code, &folders.there);
    options.to = Where::Path(folders.there.join("file/in it"));
    let fault = start_receive(options).end().await.unwrap_err();
    assert_eq!(fault.exit_status(), 7, "{fault}");
    let why = share
        .told
        .until("end of the receiver", |event| match event {
            Event::PeerGone { why } => Some(why.clone()),
            _ => None,
        });
    assert!(why.await.contains("the receiver's disk"));
    let again = start_receive(receiving(&url(&relay), &code, &folders.there));
    again.end().await.unwrap();
    share.stop().await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_with_the_code_ends_no_share() {
    let (relay, folders) = (Relay::start(&[]), Folders::new());
    let share = start_share(sharing(&url(&relay), &folders.file("a", b"secret")));
    let code = share.code().await;
    let mut stranger = Client::at(relay.addr()).await;
    stranger.join(&code).await;
    stranger.send(text("a".repeat(300_000))).await;
    // The share comes back on another line, and the stranger is sent away.
    let reason = stranger.expect_close(1013).await;
    assert_eq!(reason, "sender_away");
    let received = start_receive(receiving(&url(&relay), &code, &folders.there));
    assert_eq!(received.end().await.unwrap().bytes, 6);
    share.end().await.unwrap();
}
