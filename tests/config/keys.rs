//! Access keys that are read again while the relay runs.

use std::fs;

use relay_testing::{
    Client, frame,
    http::UPGRADE,
    wire::{BINARY, TEXT},
};
use tokio::io::AsyncWriteExt;

use super::reload::start;

const ALICE: &str = "alice-0123456789abcdef";
const BOB: &str = "bob-0123456789abcdef";

fn with_key(key: &str) -> String {
    UPGRADE.replace("GET / ", &format!("GET /?key={key} "))
}

#[tokio::test]
async fn a_key_that_is_withdrawn_ends_its_sessions_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    let write = |pairs: &str| fs::write(&keys, pairs).unwrap();
    write(&format!("# of the team\nalice:{ALICE}\nbob:{BOB}\n"));
    let file = format!("RELAY_WORKERS=2\nRELAY_ACCESS_KEYS={}", keys.display());
    let mut it = start(&file);
    let [alice, bob] = [ALICE, BOB].map(with_key);
    // Rooms of both workers.
    let (mut senders, mut receivers) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let mut sender = it.relay.connect_by(&alice).await;
        let code = sender.create_room().await;
        let mut receiver = it.relay.connect_by(&bob).await;
        receiver.join(&code).await;
        sender.expect_peer().await;
        senders.push(sender);
        receivers.push(receiver);
    }
    let mut asking = it.relay.connect_by(&alice).await;
    let mut room = it.relay.connect_by(&bob).await;
    let code = room.create_room().await;
    let mut guest = it.relay.connect_by(&alice).await;
    guest.join(&code).await;
    room.expect_peer().await;

    write(&format!("bob:{BOB}"));
    assert_eq!(
        it.reload(&file),
        "read again: RELAY_ACCESS_KEYS alice,bob -> bob"
    );
    for session in senders.iter_mut().chain([&mut asking, &mut guest]) {
        session
            .frames_until_close(1008, "access_key_withdrawn")
            .await;
    }
    for receiver in &mut receivers {
        receiver.frames_until_sender_gone().await;
    }
    // The room stays, and so does its key.
    room.expect_peer_gone().await;
    let mut next = it.relay.connect_by(&bob).await;
    next.join(&code).await;
    let mut stranger = it.relay.dial().await;
    stranger.write(format!("{alice}\r\n").as_bytes()).await;
    assert_eq!(stranger.response().await.status, 401);

    // A file that cannot be used, or is gone, lets nobody in or out.
    write(&format!("bob:{BOB}\ncarol:{ALICE}\nwhat-is-this"));
    let said = it.reload(&file);
    let why = format!(
        "stay as they were: RELAY_ACCESS_KEYS, from .env.relay, is \"{}\", a file with a line that \
         cannot be used: it must be name:key pairs",
        keys.display()
    );
    assert!(said.starts_with(&why), "{said}");
    fs::remove_file(&keys).unwrap();
    let gone = format!(
        "stay as they were: RELAY_ACCESS_KEYS: {} cannot be read: No such file",
        keys.display()
    );
    let said = it.reload(&file);
    assert!(said.starts_with(&gone), "{said}");
    drop(it.relay.connect_by(&bob).await);

    // Without the last key nobody gets in.
    write("# nobody\n");
    assert_eq!(
        it.reload(&file),
        "read again: RELAY_ACCESS_KEYS bob -> (nobody)"
    );
    room.frames_until_close(1008, "access_key_withdrawn").await;
    let mut stranger = it.relay.dial().await;
    stranger.write(format!("{UPGRADE}\r\n").as_bytes()).await;
    assert_eq!(stranger.response().await.status, 401);
    it.relay.stop().await;
    assert_eq!(it.relay.lines_with("0123456789abcdef"), 0);
}

#[tokio::test]
async fn nobody_waits_for_a_sender_whose_key_is_withdrawn_while_it_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    fs::write(&keys, format!("alice:{ALICE}\nbob:{BOB}\n")).unwrap();
    let file = format!("RELAY_WORKERS=2\nRELAY_ACCESS_KEYS={}", keys.display());
    let mut it = start(&file);
    let addr = it.relay.addr();
    let client = async |key| {
        let shown = format!("Bearer {key}");
        let opened = Client::open(addr, &[("authorization", &shown)]).await;
        opened.unwrap()
    };
    let mut sender = client(ALICE).await;
    let ticket = sender.create_lasting_room().await;
    sender.reset();
    let away = "relay_rooms_without_sender";
    it.relay.until(away, |rooms| rooms == 1).await;
    let mut queued = client(BOB).await;
    queued.join(&ticket.code).await;
    fs::write(&keys, format!("bob:{BOB}\n")).unwrap();
    it.reload(&file);
    queued
        .expect_close_after_error("sender_disconnected", 1001)
        .await;
    let mut again = client(BOB).await;
    assert_eq!(again.try_request(ticket.request()).await, "room_not_found");
}

#[tokio::test]
async fn keys_that_come_end_who_has_none_and_keys_that_go_end_nobody() {
    let mut it = start("RELAY_ACCESS_KEYS=");
    let (mut sender, mut receiver) = it.relay.pair().await;
    let with = format!("RELAY_ACCESS_KEYS=alice:{ALICE}");
    assert_eq!(
        it.reload(&with),
        "read again: RELAY_ACCESS_KEYS empty -> alice"
    );
    for session in [&mut sender, &mut receiver] {
        session
            .frames_until_close(1008, "access_key_withdrawn")
            .await;
    }
    let mut member = it.relay.connect_by(&with_key(ALICE)).await;
    let code = member.create_room().await;
    assert_eq!(
        it.reload("RELAY_ACCESS_KEYS="),
        "read again: RELAY_ACCESS_KEYS alice -> empty"
    );
    let mut stranger = it.relay.connect().await;
    stranger.join(&code).await;
    member.expect_peer().await;
    member.send(frame(TEXT, "hello")).await;
    assert_eq!(&stranger.data(5, "a message").await[..], b"hello");
    assert_eq!(
        it.relay.metric(r#"relay_key_sessions{key="alice"}"#).await,
        1
    );
    // And on again with her key: she stays.
    it.reload(&with);
    stranger
        .frames_until_close(1008, "access_key_withdrawn")
        .await;
    member.expect_peer_gone().await;
    drop((member, stranger));
    it.relay.stop().await;
}

/// It reads nothing, so that its Close stands behind much that waits.
#[tokio::test]
async fn whose_key_is_withdrawn_cannot_stay_by_reading_slowly() {
    let keys = format!("RELAY_ACCESS_KEYS=bob:{BOB}");
    let more = "RELAY_STALL_TIMEOUT=3600\nRELAY_PAIR_IDLE=3600";
    let mut it = start(&format!("{keys},alice:{ALICE}\n{more}"));
    let mut sender = it.relay.connect_by(&with_key(BOB)).await;
    let code = sender.create_room().await;
    let mut receiver = it.relay.connect_by(&with_key(ALICE)).await;
    receiver.join(&code).await;
    sender.expect_peer().await;
    let (_reader, mut writer) = sender.split();
    let pushing = tokio::spawn(async move {
        let message = frame(BINARY, vec![0; 1 << 20]).encode();
        while writer.write_all(&message).await.is_ok() {}
    });
    it.relay.until_still().await;
    it.reload(&format!("{keys}\n{more}"));
    let ended = r#"relay_sessions_ended_total{reason="access_key_withdrawn"}"#;
    it.relay.until(ended, |now| now == 1).await;
    drop(receiver);
    pushing.abort();
}
