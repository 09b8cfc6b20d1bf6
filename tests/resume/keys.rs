//! The file of keys in the state directory: how they change, and what a relay does with a file or a folder of no use.

use std::{fs, path::PathBuf};

use relay_testing::{
    Client,
    process::{Relay, Start},
    reply::Ticket,
};
use serde_json::Value;
use tempfile::TempDir;

const DAY: u64 = 24 * 3600;

/// A state directory.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn start(&self) -> Relay {
        let folder = self.0.path().display();
        Start::new().env("RELAY_STATE_DIR", folder).run()
    }

    /// Has all keys be so many seconds older.
    fn age(&self, seconds: u64) {
        let path = self.path("resume.keys");
        let mut file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        for key in file["keys"].as_array_mut().unwrap() {
            key["made"] = (key["made"].as_u64().unwrap() - seconds).into();
        }
        fs::write(&path, file.to_string()).unwrap();
    }
}

/// Opens a room whose sender's line is cut then.
async fn room(relay: &Relay) -> Ticket {
    Client::at(relay.addr()).await.create_lasting_room().await
}

/// Whether a room is taken up by this.
async fn is_good(relay: &Relay, ticket: &Ticket) -> bool {
    let mut sender = Client::at(relay.addr()).await;
    match sender.try_request(ticket.request()).await.as_str() {
        "ROOM_RESUMED" => true,
        "room_not_found" => false,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_key_counts_for_seven_days_after_the_next_and_what_it_signed_can_be_signed_anew() {
    let folder = Folder::new();
    let mut first = folder.start();
    let old = room(&first).await;
    first.stop().await;
    folder.age(DAY + 60);
    // It has a new key, by which it signs what it has verified by the old one.
    let mut second = folder.start();
    let mut sender = Client::at(second.addr()).await;
    let renewed = sender.take_up(&old).await;
    assert_ne!(renewed.token, old.token);
    second.stop().await;
    folder.age(7 * DAY - 60);
    let mut third = folder.start();
    assert!(is_good(&third, &old).await);
    third.stop().await;
    folder.age(120);
    let fourth = folder.start();
    assert!(!is_good(&fourth, &old).await, "its key has gone");
    assert!(is_good(&fourth, &renewed).await);
}

#[tokio::test]
async fn without_the_file_of_before_a_token_is_wrong() {
    let folder = Folder::new();
    let mut relay = folder.start();
    let ticket = room(&relay).await;
    relay.stop().await;
    fs::remove_file(folder.path("resume.keys")).unwrap();
    assert!(!is_good(&folder.start(), &ticket).await);
}

/// A relay serves in this folder, and says this of it in one line; returns a room that it has opened.
async fn assert_told(folder: &Folder, told: &str) -> Ticket {
    let mut relay = folder.start();
    let ticket = room(&relay).await;
    assert!(is_good(&relay, &ticket).await);
    relay.stop().await;
    let lines = [relay.lines_with("ERROR"), relay.lines_with(told)];
    assert_eq!(lines, [1, 1], "{:?}", relay.said());
    ticket
}

#[tokio::test]
async fn a_file_of_no_use_is_made_anew() {
    for text in [Vec::new(), vec![0x80; 100], vec![b' '; 10_000_000]] {
        let folder = Folder::new();
        fs::write(folder.path("resume.keys"), text).unwrap();
        let ticket = assert_told(&folder, "is made anew").await;
        assert!(is_good(&folder.start(), &ticket).await);
    }
}

#[tokio::test]
async fn a_relay_serves_where_its_file_cannot_be_written() {
    // Folders are in the way, whoever runs the test.
    for name in ["resume.keys", "resume.keys.new", "resume.keys.lock"] {
        let folder = Folder::new();
        fs::create_dir(folder.path(name)).unwrap();
        let ticket = assert_told(&folder, "cannot be written").await;
        assert!(!is_good(&folder.start(), &ticket).await, "{name}");
    }
}

#[tokio::test]
async fn a_folder_that_takes_nothing_any_more_leaves_the_keys_that_it_has() {
    let folder = Folder::new();
    let mut relay = folder.start();
    let ticket = room(&relay).await;
    relay.stop().await;
    fs::create_dir(folder.path("resume.keys.new")).unwrap();
    for _ in 0..2 {
        let mut relay = folder.start();
        assert!(is_good(&relay, &ticket).await);
        relay.stop().await;
        assert_eq!(relay.lines_with("ERROR"), 1, "{:?}", relay.said());
    }
}
