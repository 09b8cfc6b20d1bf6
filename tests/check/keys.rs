//! A check of a relay that asks for an access key: with one it does all of its steps, and shows it to nobody.

use std::{fs::Permissions, os::unix::fs::PermissionsExt};

use claude_distill_relay::config::AccessKeys;
use relay_testing::{TestRelay, proxy::Proxy};

use crate::doubles::{Double, command::Check};

const KEY: &str = "check-0123456789abcdef";
/// Of another key.
const HASHED: &str =
    "alice:sha256-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn relay(keys: &str) -> TestRelay {
    let keys = AccessKeys::parse(keys).unwrap();
    TestRelay::start(|config| config.access_keys = keys)
}

#[tokio::test]
async fn a_key_of_the_settings_is_used_on_all_ways() {
    let keys = format!("{HASHED},check:{KEY}");
    let relay = relay(&keys);
    let (port, site) = (
        relay.port().to_string(),
        Proxy::to(relay.port()).naming_clients().start(),
    );
    let public = format!("ws://127.0.0.1:{}", site.port);
    let check = Check::new(&["--port", &port, "check", "--public", &public]);
    let outcome = check.env("RELAY_ACCESS_KEYS", &keys).env("PATH", "").json();
    for step in ["relay", "room", "join", "data", "leave", "public"] {
        outcome.is(step, "ok", "");
    }
    assert!(!outcome.json.to_string().contains(KEY), "{}", outcome.json);
    relay.settled().await;
}

#[test]
fn a_relay_of_this_machine_whose_settings_have_hashes_alone_is_well() {
    let relay = relay(HASHED);
    let check = Check::local(relay.port(), &[]).env("RELAY_ACCESS_KEYS", HASHED);
    let outcome = check.json();
    assert_eq!(outcome.exit, 0, "{}", outcome.json);
    outcome.is("relay", "ok", "check:KEY");
    // It asks although the settings have no key.
    let check = Check::local(relay.port(), &[]);
    check.json().only_trouble("relay", "warn", "check:KEY");
}

/// A relay that runs has its keys from before, and would not start again.
#[test]
fn keys_that_cannot_be_had_are_a_warning_and_the_relay_is_looked_at() {
    let open = TestRelay::start(|_| {});
    let closed = relay(HASHED);
    for (relay, at_the_relay) in [(&open, "ok"), (&closed, "warn")] {
        for (value, why) in [
            ("alice:short", "it must be name:key pairs"),
            ("/nowhere/keys", "/nowhere/keys cannot be read"),
        ] {
            let check = || Check::local(relay.port(), &[]).env("RELAY_ACCESS_KEYS", value);
            let outcome = check().json();
            assert_eq!(outcome.exit, 1, "{}", outcome.json);
            outcome.is("config", "warn", why);
            outcome.is("config", "warn", "does not start again");
            outcome.is("relay", at_the_relay, "");
        }
    }
    // Before a relay is given them, it is a failure; and so is any other setting.
    let check = Check::new(&["check", "--settings"]).env("RELAY_ACCESS_KEYS", "alice:short");
    assert_eq!(check.json().exit, 2);
    let check = Check::local(open.port(), &[]).env("RELAY_ACCESS_KEYS", "alice:short");
    assert_eq!(check.env("RELAY_MAX_ROOMS", "many").json().exit, 2);
}

#[test]
fn a_file_of_keys_that_others_alone_may_read_is_a_warning() {
    let relay = TestRelay::start(|_| {});
    let check = Check::unprivileged(relay.port());
    let keys = check.directory().join("keys");
    std::fs::write(&keys, format!("check:{KEY}")).unwrap();
    std::fs::set_permissions(&keys, Permissions::from_mode(0o000)).unwrap();
    let outcome = check.env("RELAY_ACCESS_KEYS", keys.display()).json();
    assert_eq!(outcome.exit, 1, "{}", outcome.json);
    outcome.is("config", "warn", "cannot be read: Permission denied");
    outcome.is("data", "ok", "");
}

#[test]
fn keys_in_full_in_a_file_that_all_may_read_are_warned_of() {
    let relay = relay(&format!("alice:{KEY}"));
    let checked = |text: &str, mode, own_file| {
        let check = Check::local(relay.port(), &[]);
        let file = check
            .directory()
            .join(if own_file { "keys" } else { ".env.relay" });
        let line = match own_file {
            true => text.to_owned(),
            false => format!("RELAY_ACCESS_KEYS={text}"),
        };
        std::fs::write(&file, line).unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        match own_file {
            true => check.env("RELAY_ACCESS_KEYS", file.display()),
            false => check,
        }
        .json()
    };
    let plain = format!("{HASHED},bob:{KEY}");
    let (lines, of_checks) = (plain.replace(',', "\n"), format!("check:{KEY}"));
    for (text, own_file) in [(&plain, false), (&lines, true)] {
        let outcome = checked(text, 0o644, own_file);
        outcome.is("config", "warn", "in full: bob");
        outcome.is("config", "warn", "NAME:sha256-HEX");
        assert!(!outcome.json.to_string().contains(KEY), "{}", outcome.json);
        checked(text, 0o640, own_file).is("config", "ok", "");
    }
    checked(&of_checks, 0o644, false).is("config", "ok", "");
    checked(HASHED, 0o644, false).is("config", "ok", "");
}

#[test]
fn from_outside_it_is_in_the_url_and_not_in_the_report() {
    let relay = relay(&format!("check:{KEY}"));
    let port = relay.port();
    for url in [
        format!("ws://127.0.0.1:{port}/?key={KEY}"),
        format!("ws://check:{KEY}@127.0.0.1:{port}"),
    ] {
        let outcome = Check::new(&["check", &url]).json();
        assert_eq!(outcome.exit, 0, "{}", outcome.json);
        assert!(!outcome.json.to_string().contains(KEY), "{}", outcome.json);
    }
    // Who sends it elsewhere often repeats it.
    let site = Double::answering(&format!(
        "HTTP/1.1 301 Moved\r\nLocation: https://relay.example/?key={KEY}\r\nContent-Length: 0\r\n\r\n"
    ));
    let url = format!("ws://127.0.0.1:{}/?key={KEY}", site.port);
    let outcome = Check::new(&["check", &url]).json();
    outcome.is("relay", "fail", "https://relay.example/");
    assert!(!outcome.json.to_string().contains(KEY), "{}", outcome.json);
    let (_, table) = Check::new(&["check", &url]).text();
    assert!(!table.contains(KEY), "{table}");
    let url = format!("ws://127.0.0.1:{port}/?key={KEY}x");
    let outcome = Check::new(&["check", &url]).json();
    outcome.only_trouble("relay", "fail", "?key=KEY behind the URL");
    assert!(!outcome.json.to_string().contains(KEY), "{}", outcome.json);
}
