//! What people do with the page's forms before anything moves, and what they are told.

use claude_distill_relay::config::AccessKeys;
use relay_testing::{TestRelay, browser::Kind};
use serde_json::Value;

use crate::peer::{PASSPHRASE, Peer, page_at};

const KEY: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn files_are_chosen_or_a_text_and_files_can_be_given_up() {
    let relay = TestRelay::start(|_| {});
    let Some(sender) = Peer::open(Kind::Chromium, &page_at(relay.addr())) else {
        return;
    };
    let Some(receiver) = Peer::open(Kind::Chromium, &page_at(relay.addr())) else {
        return;
    };
    let is_open = |is: bool| {
        let script = "return !document.querySelector('#text').disabled;";
        assert_eq!(sender.window().run(script, &[]), Value::Bool(is));
    };
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("wrong.txt");
    std::fs::write(&file, "not this").unwrap();
    sender.window().type_into("#files", file.to_str().unwrap());
    sender.until_shows("#unpick");
    is_open(false);
    sender.window().click("#unpick");
    is_open(true);
    let code = sender.share_from("#text", "a note", PASSPHRASE);
    // Links that some will paste: to another relay, and to this one.
    receiver.receive(&format!("https://relay.example.com/#{code}"), PASSPHRASE);
    assert_eq!(
        receiver.text("#receive-error"),
        "This link leads to https://relay.example.com/, not to this page. Open it there; if that is the same relay, \
         its code alone will do."
    );
    receiver.receive(&format!("{}#{code}", page_at(relay.addr())), PASSPHRASE);
    let (name, content) = receiver.saved(6);
    assert_eq!((&name[..], &content[..]), ("text.txt", &b"a note"[..]));
}

#[test]
fn an_access_key_that_is_missing_is_asked_for_where_it_is_typed() {
    let relay = TestRelay::start(|config| {
        config.access_keys = AccessKeys::parse(&format!("alice:{KEY}")).unwrap();
    });
    let Some(sender) = Peer::open(Kind::Chromium, &page_at(relay.addr())) else {
        return;
    };
    sender.until_shows("#key");
    sender.window().type_into("#text", "a note");
    sender.window().click("#send button.main");
    assert_eq!(sender.text("#send-error"), "Type the access key first.");
    let script = "return document.activeElement.id;";
    assert_eq!(sender.window().run(script, &[]), "key-field");
    sender.receive("a7f3k2", PASSPHRASE);
    assert_eq!(sender.text("#receive-error"), "Type the access key first.");
    sender.window().fill("#key-field", KEY);
    let code = sender.share_from("#text", "s", PASSPHRASE);
    assert_eq!(code.len(), 6);
}

/// What it has kept for a reload goes with the share, however soon that is.
#[test]
fn a_share_that_is_stopped_leaves_nothing_in_the_browser() {
    let relay = TestRelay::start(|_| {});
    let Some(sender) = Peer::open(Kind::Chromium, &page_at(relay.addr())) else {
        return;
    };
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("film.mp4");
    std::fs::write(&file, vec![7; 60 << 20]).unwrap();
    for is_kept in [false, true] {
        sender.share(file.to_str().unwrap(), PASSPHRASE);
        if is_kept {
            sender.until_kept(2);
        }
        sender.window().click("#stop");
        sender.until_says("#stop", "Back to the start");
        // A copy that was under way would be there in a moment: behind it nothing else is asked of the store.
        sender.until_kept(0);
        sender.window().click("#stop");
        sender.window().click("#unpick");
    }
}
