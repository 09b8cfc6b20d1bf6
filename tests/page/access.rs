//! The page for everybody: axe-core finds nothing in it, in no state, by day and by night.

use std::fs;

use relay_testing::{TestRelay, browser::Kind, skip::skip};
use serde_json::{Value, json};

use crate::{
    peer::{Peer, page_at},
    sharing::File,
};

const AXE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/web/node_modules/axe-core/axe.min.js"
);
/// Phones and a desktop, in CSS pixels.
const WINDOWS: [(u64, u64); 3] = [(320, 568), (360, 740), (1280, 900)];

/// What axe-core has to complain of in the page as it is.
fn complaints(page: &Peer, axe: &str) -> Vec<String> {
    let script = format!(
        "{axe}
        const found = await window.axe.run(document, {{resultTypes: ['violations']}});
        return found.violations.map((it) => it.id + ': ' + it.nodes.map((node) => node.html).join(' '));"
    );
    let script = format!("return (async () => {{ {script} }})();");
    let found = page.window().run(&script, &[]);
    let found = found.as_array().expect("a list").iter();
    found
        .map(|it| it.as_str().unwrap_or_default().to_owned())
        .collect()
}

/// By day and by night, on each window: nothing to complain of, and nothing beside the window.
fn is_well(page: &Peer, axe: &str, state: &str) {
    let window = page.window();
    for scheme in ["light", "dark"] {
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        window.devtools(
            "Emulation.setEmulatedMedia",
            &json!({"features": [feature]}),
        );
        for (width, height) in WINDOWS {
            let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 1000});
            window.devtools("Emulation.setDeviceMetricsOverride", &size);
            let what = format!("{state}, {scheme}, {width} wide");
            assert_eq!(complaints(page, axe), [""; 0], "{what}");
            let beside = "return document.documentElement.scrollWidth - innerWidth;";
            let beside = window.run(beside, &[]).as_i64().expect("a number");
            assert!(beside <= 0, "{what}: {beside}");
        }
    }
    window.devtools(
        "Emulation.clearDeviceMetricsOverride",
        &Value::Object(Default::default()),
    );
}

#[test]
fn over_plain_http_from_another_machine_it_says_why_it_cannot_work() {
    let relay = TestRelay::start(|_| {});
    let Some(page) = Peer::idle(Kind::Chromium) else {
        return;
    };
    page.window().go_to(&format!(
        "http://relay.test:{}/#222222",
        relay.addr().port()
    ));
    page.until_shows("#insecure");
    let said = page.text("#insecure");
    assert!(said.contains("https") && said.contains("distill"), "{said}");
    let asked =
        "return [...document.querySelectorAll('input')].some((it) => it.checkVisibility());";
    assert_eq!(page.window().run(asked, &[]), false);
}

#[test]
fn axe_finds_nothing_in_any_state() {
    let Ok(axe) = fs::read_to_string(AXE) else {
        return skip("axe-core (npm ci in web/)");
    };
    let relay = TestRelay::start(|_| {});
    let page = page_at(relay.addr());
    let file = File::new("notes.txt", 100_000);
    let Some(sender) = Peer::open(Kind::Chromium, &page) else {
        return;
    };
    is_well(&sender, &axe, "idle");
    let code = sender.share(file.path(), "correct horse battery staple relay");
    is_well(&sender, &axe, "waiting for a receiver");
    let Some(receiver) = Peer::open(Kind::Chromium, &format!("{page}#{code}")) else {
        return;
    };
    is_well(&receiver, &axe, "by a link");
    receiver.receive(&code, "correct horse battery staple relay");
    receiver.saved(file.size());
    is_well(&receiver, &axe, "received");
    let Some(stranger) = Peer::open(Kind::Chromium, &page) else {
        return;
    };
    stranger.receive("222222", "another");
    stranger.fails();
    is_well(&stranger, &axe, "a wrong code");
    stranger
        .window()
        .go_to(&format!("http://relay.test:{}/", relay.addr().port()));
    stranger.until_shows("#insecure");
    is_well(&stranger, &axe, "over plain http");
    // Nor has its browser anything to complain of, such as of what the policy forbids.
    assert_eq!(sender.browser().window().complaints(), [""; 0]);
    assert_eq!(receiver.browser().window().complaints(), [""; 0]);
}
