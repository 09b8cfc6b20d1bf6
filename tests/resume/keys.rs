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

/// A room, and how it is taken up; its sender's line is cut then.
async fn room(relay: &Relay) -> Ticket {
    Client::at(relay.addr()).await.create_lasting_room().await
}

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

/// What may be wrong with a folder, which is then told in one line; whether its next relay knows what this one has opened.
#[tokio::test]
async fn a_relay_serves_whatever_its_folder_has_and_says_in_one_line_what_is_wrong() {
    type Spoil = fn(&Folder);
    let faults: [(&str, Spoil, &str); 6] = [
        (
            "empty",
            |it| fs::write(it.path("resume.keys"), "").unwrap(),
            "is made anew",
        ),
        (
            "noise",
            |it| fs::write(it.path("resume.keys"), [0x80; 100]).unwrap(),
            "is made anew",
        ),
        (
            "10 MB",
            |it| fs::write(it.path("resume.keys"), vec![b' '; 10_000_000]).unwrap(),
            "is made anew",
        ),
        // These are in the way, whoever runs the test.
        (
            "no file",
            |it| fs::create_dir(it.path("resume.keys")).unwrap(),
            "cannot be written",
        ),
        (
            "no new file",
            |it| fs::create_dir(it.path("resume.keys.new")).unwrap(),
            "cannot be written",
        ),
        (
            "no lock",
            |it| fs::create_dir(it.path("resume.keys.lock")).unwrap(),
            "cannot be written",
        ),
    ];
    for (what, spoil, told) in faults {
        let folder = Folder::new();
        spoil(&folder);
        let mut relay = folder.start();
        let ticket = room(&relay).await;
        assert!(is_good(&relay, &ticket).await, "{what}");
        relay.stop().await;
        assert_eq!(relay.lines_with("ERROR"), 1, "{what}: {:?}", relay.said());
        assert_eq!(relay.lines_with(told), 1, "{what}: {:?}", relay.said());
        let is_kept = told == "is made anew";
        assert_eq!(is_good(&folder.start(), &ticket).await, is_kept, "{what}");
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
