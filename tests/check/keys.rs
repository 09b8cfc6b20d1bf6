//! A check of a relay that asks for an access key: with one it does all of its steps, and shows it to nobody.

use claude_distill_relay::config::AccessKeys;
use relay_testing::TestRelay;

use crate::doubles::{Proxy, command::Check};

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
fn without_one_a_relay_of_this_machine_is_not_said_to_be_ill() {
    let relay = relay(HASHED);
    let check = Check::local(relay.port(), &[]).env("RELAY_ACCESS_KEYS", HASHED);
    check.json().only_trouble("relay", "warn", "check:KEY");
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
    let url = format!("ws://127.0.0.1:{port}/?key={KEY}x");
    let outcome = Check::new(&["check", &url]).json();
    outcome.only_trouble("relay", "fail", "?key=KEY behind the URL");
    assert!(!outcome.json.to_string().contains(KEY), "{}", outcome.json);
}
