//! What a relay refuses, has no place for, or loses: waited for where that helps, and said in a sentence where it
//! does not.

use std::{fs, io::Write};

use nix::sys::signal::Signal;
use relay_testing::{
    certificate::Certificate,
    process::{Relay, Start},
    proxy::Proxy,
    raw::Raw,
};
use serde_json::Value;

use super::setup::{PASSPHRASE, User, ended, pipe, relay};

/// The `failed` of a program that has ended, which has to be its last line.
fn failed(out: &str) -> Value {
    let last = out.lines().last().unwrap_or_default();
    let last: Value = serde_json::from_str(last).unwrap_or_else(|why| panic!("{out}: {why}"));
    assert_eq!(last["event"], "failed", "{out}");
    last
}

/// A user at a relay that has this certificate, and the file of the authorities that are trusted.
fn behind(relay: &Relay, certificate: &Certificate) -> (User, String) {
    let proxy = Proxy::to(relay.addr().port()).with(certificate.clone());
    let user = User::at(&format!("wss://127.0.0.1:{}", proxy.start().port));
    let roots = user.file("roots.pem", certificate.roots.as_bytes());
    (user, roots.display().to_string())
}

#[tokio::test]
async fn by_tls_with_an_authority_that_is_trusted_it_arrives() {
    let relay = relay();
    let (alice, roots) = behind(&relay, &Certificate::for_name("127.0.0.1"));
    let content = vec![b'a'; 3 << 20];
    alice.file("a.txt", &content);
    let sender = alice.distill(["share", "a.txt"]);
    let sender = sender.env("DISTILL_PASSPHRASE", PASSPHRASE);
    let mut sender = sender.env("SSL_CERT_FILE", &roots).spawn().unwrap();
    let line = sender.line_with("distill receive");
    // The line as it is copied has the address of TLS.
    let arguments = line
        .split_whitespace()
        .skip(1)
        .chain(["-o", "there", "--json"]);
    let receiver = alice.distill(arguments).env("SSL_CERT_FILE", &roots);
    let said = ended(receiver.env("DISTILL_PASSPHRASE", PASSPHRASE)).await;
    assert_eq!(said.status, 0, "{}", said.err);
    assert!(alice.read("there") == content);
    assert!(sender.ended().await.success());
}

#[tokio::test]
async fn a_certificate_that_is_not_to_be_trusted_is_said_at_once() {
    let relay = relay();
    for (certificate, part) in [
        (Certificate::expired(), "its certificate's time is over"),
        (Certificate::not_yet(), "is not valid yet"),
        (
            Certificate::for_name("other.example"),
            "is for another name",
        ),
        (Certificate::of_nobody(), "this machine does not trust"),
        (Certificate::self_signed(), "is signed by itself"),
    ] {
        let (user, roots) = behind(&relay, &certificate);
        let receiver = user.distill(["receive", "a7f3k2", "--json"]);
        let receiver = receiver.env("SSL_CERT_FILE", roots);
        let said = ended(receiver.env("DISTILL_PASSPHRASE", PASSPHRASE)).await;
        assert_eq!(said.status, 5, "{}", said.err);
        let failed = failed(&said.out);
        assert_eq!(
            (failed["reason"].as_str(), failed["side"].as_str()),
            (Some("unreachable"), Some("line"))
        );
        assert!(said.err.contains(part), "{}", said.err);
    }
}

#[tokio::test]
async fn who_has_no_key_or_a_wrong_one_is_told_to_ask_for_one() {
    const KEY: &str = "an-access-key-of-alice-0123456789";
    let relay = Start::new()
        .env("RELAY_ACCESS_KEYS", format!("alice:{KEY}"))
        .run();
    let user = User::of(&relay);
    for (key, status, reason) in [
        ("", 5, "key_refused"),
        ("another-key-of-nobody-0123456789", 5, "key_refused"),
        (KEY, 3, "room_not_found"),
    ] {
        let receiver = user.distill(["receive", "a7f3k2", "--json"]);
        let receiver = receiver.env("DISTILL_KEY", key);
        let said = ended(receiver.env("DISTILL_PASSPHRASE", PASSPHRASE)).await;
        assert_eq!(said.status, status, "{}", said.err);
        let failed = failed(&said.out);
        assert_eq!(failed["reason"], reason, "{failed}");
        assert!(!said.err.contains("-of-"), "a key is shown: {}", said.err);
    }
}

/// A relay of which this setting lets there be one of something, a sender that has it, and a user who wants one too.
async fn where_one_is(setting: &str) -> (Relay, Raw, User) {
    let relay = Relay::start(&[(setting, 1)]);
    let mut first = relay.connect().await;
    first.create_room().await;
    let user = User::of(&relay);
    user.file("a.txt", b"a");
    (relay, first, user)
}

/// With one place less than there has to be, a sender says so and waits; with it, it goes on by itself.
async fn is_waited_for(setting: &str, why: &str, least: f64) {
    let (_relay, first, user) = where_one_is(setting).await;
    let mut sender = user.in_json(["share", "a.txt"]);
    let waiting = sender.event("waiting");
    let again = waiting["again_in"].as_f64().unwrap();
    assert!(
        waiting["why"].as_str().unwrap().contains(why) && again >= least,
        "{waiting}"
    );
    drop(first);
    sender.opened();
    sender.0.signal(Signal::SIGINT);
    assert_eq!(sender.status().await, 130);
}

#[tokio::test]
async fn a_relay_without_a_place_for_a_room_is_waited_for() {
    is_waited_for("RELAY_MAX_ROOMS", "all of its rooms are taken", 0.2).await;
    is_waited_for("RELAY_ADDRESS_ROOMS", "too many rooms", 0.2).await;
}

/// As long as its `Retry-After` says.
#[tokio::test]
async fn a_relay_that_is_full_is_waited_for() {
    is_waited_for("RELAY_MAX_SESSIONS", "it is full", 10.0).await;
}

#[tokio::test]
async fn a_relay_at_which_the_address_has_too_many_is_waited_for() {
    is_waited_for("RELAY_ADDRESS_SESSIONS", "too many connections", 10.0).await;
}

#[tokio::test]
async fn patience_with_a_relay_without_a_place_has_an_end() {
    let (_relay, _first, user) = where_one_is("RELAY_MAX_ROOMS").await;
    let sender = user.distill(["share", "a.txt", "--patience", "1s", "--json"]);
    let said = ended(sender).await;
    let failed = failed(&said.out);
    assert_eq!(
        (said.status, failed["reason"].as_str()),
        (5, Some("busy")),
        "{failed}"
    );
    assert!(
        said.err.contains("all of its rooms are taken"),
        "{}",
        said.err
    );
}

#[tokio::test]
async fn who_asks_too_often_waits_as_long_as_the_relay_says() {
    let (_relay, _first, user) = where_one_is("RELAY_ADDRESS_RATE_LIMIT_MAX").await;
    let mut sender = user.in_json(["share", "a.txt"]);
    let waiting = sender.event("waiting");
    assert!(waiting["again_in"].as_f64().unwrap() >= 1.0, "{waiting}");
    assert_eq!(
        waiting["why"], "too much was asked of it from this address",
        "{waiting}"
    );
    sender.0.signal(Signal::SIGINT);
    assert_eq!(sender.status().await, 130);
}

#[tokio::test]
async fn a_sender_that_is_gone_for_longer_than_its_room_waits_is_told_in_a_sentence() {
    let relay = Relay::start(&[("RELAY_ROOM_GRACE", 6)]);
    let (alice, bob) = (User::of(&relay), User::of(&relay));
    let (mut writer, reader) = pipe();
    let sender = alice.distill(["share", "-"]).stdin(reader);
    let sender = sender.env("DISTILL_PASSPHRASE", PASSPHRASE);
    let mut sender = sender.spawn().unwrap();
    let line = sender.line_with("distill receive");
    let code = line.split_whitespace().nth(2).unwrap();
    writer.write_all(b"the beginning").unwrap();
    let mut receiver = bob.in_json_under(PASSPHRASE, ["receive", code, "-o", "out"]);
    receiver.event("progress");
    sender.signal(Signal::SIGKILL);
    // It waits first, and says for what.
    assert_eq!(
        receiver.event("waiting")["why"],
        "the sender's line is lost"
    );
    let failed = receiver.event("failed");
    assert_eq!(
        (failed["reason"].as_str(), failed["status"].as_u64()),
        (Some("sender_gone"), Some(6)),
        "{failed}"
    );
    assert_eq!(failed["sentence"], "The sender has left.");
    assert_eq!(receiver.status().await, 6);
    assert!(bob.home().join("out.part").exists());
}

#[tokio::test]
async fn a_room_whose_time_is_up_is_over_on_both_sides() {
    let relay = relay();
    let (alice, bob) = (User::of(&relay), User::of(&relay));
    alice.file("a.txt", b"a");
    let mut sender = alice.in_json(["share", "a.txt", "--expires-in", "1s"]);
    let (code, passphrase) = sender.opened();
    let failed = sender.event("failed");
    assert_eq!(
        (failed["reason"].as_str(), failed["status"].as_u64()),
        (Some("room_expired"), Some(3)),
        "{failed}"
    );
    assert_eq!(sender.status().await, 3);
    let left = fs::read_dir(alice.home().join(".local/state/distill")).unwrap();
    assert_eq!(left.count(), 0, "a state is left behind");
    let receiver = bob.distill(["receive", &code]);
    let said = ended(receiver.env("DISTILL_PASSPHRASE", passphrase)).await;
    assert_eq!(said.status, 3, "{}", said.err);
}
