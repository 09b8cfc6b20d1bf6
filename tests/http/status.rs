//! The page at `/status` in a browser, while clients use the relay.

use std::time::Duration;

use relay_testing::{
    DEADLINE, Raw, TestRelay,
    browser::{Browser, Window},
    frame, raw_pair,
    wire::BINARY,
};
use serde_json::{Value, json};
use tokio::{
    task::{spawn_blocking, yield_now},
    time::{Instant, sleep},
};

/// Bytes in a message of the load.
const MESSAGE: usize = 64 << 10;
/// A phone, in CSS pixels.
const PHONE: (u64, u64) = (360, 640);
/// The least contrast of text (WCAG 2.2 §1.4.3).
const CONTRAST: f64 = 4.5;

/// What an expression is in the page, asked while everything else goes on.
async fn value(window: &Window, expression: &str) -> Value {
    let (window, body) = (window.clone(), format!("return {expression};"));
    spawn_blocking(move || window.run(&body, &[]))
        .await
        .unwrap()
}

/// Waits until an expression is true in the page.
async fn until(window: &Window, expression: &str) {
    let deadline = Instant::now() + DEADLINE;
    while value(window, expression).await != json!(true) {
        if Instant::now() > deadline {
            let shown = value(window, "document.querySelector('main').innerText").await;
            panic!("not {expression} in {shown}");
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// An expression for the text of an element.
fn text(id: &str) -> String {
    format!("document.getElementById('{id}').textContent")
}

/// As the page writes them.
fn with_commas(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().collect();
    let groups = groups.into_iter().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",")
}

/// Sends one message after the other through a pair until `looked` is done, and tells how many bytes they
/// had.
async fn load(pair: &mut (Raw, Raw), looked: impl Future<Output = ()>) -> usize {
    let mut sent = 0;
    let mut looked = std::pin::pin!(looked);
    loop {
        pair.0.send(frame(BINARY, vec![7; MESSAGE])).await;
        sent += pair.1.data(MESSAGE, "a message of the load").await.len();
        tokio::select! {
            biased;
            () = &mut looked => return sent,
            () = yield_now() => {}
        }
    }
}

#[tokio::test]
async fn the_page_shows_what_clients_have_sent() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let window = browser.window();
    // Who has asked for no room stays as long as anybody looks.
    let relay = TestRelay::start(|config| config.request_timeout = Duration::from_secs(3600));
    let mut pair = raw_pair(&relay).await;
    let mut stray = Raw::connect(&relay).await;
    for _ in 0..3 {
        stray
            .send(frame(
                BINARY,
                "{\"type\":\"JOIN_ROOM\",\"room_id\":\"222222\"}",
            ))
            .await;
        stray.expect_error("room_not_found").await;
    }
    window.go_to(&format!("http://{}/status", relay.addr()));
    let sent = load(&mut pair, async {
        until(
            window,
            &format!("{}.match(/[MG]iB.$/) !== null", text("given")),
        )
        .await;
        let throughput = "document.querySelector('svg[aria-label^=Throughput]').ariaLabel";
        until(
            window,
            &format!("{throughput}.match(/clients [1-9][^;]*[KMG]iB.s now/) !== null"),
        )
        .await;
    })
    .await;
    let shown = with_commas(sent);
    for (id, begins) in [
        ("taken", format!("{shown} bytes (")),
        ("given", format!("{shown} bytes (")),
        ("dropped", "0 bytes".to_owned()),
        ("held", "0 bytes".to_owned()),
        ("rooms", "1 of 1,000".to_owned()),
        ("sessions", "3 of 10,000".to_owned()),
        ("state", "Serving.".to_owned()),
        ("stop", "none".to_owned()),
        (
            "refusals",
            "Requests and handshakes that were refused".to_owned(),
        ),
    ] {
        until(window, &format!("{}.startsWith('{begins}')", text(id))).await;
    }
    until(
        window,
        "document.querySelector('#refusals tr:last-child').textContent === 'room_not_found33'",
    )
    .await;
    // Behind the plots are the same figures.
    window.run("document.getElementById('samples').open = true;", &[]);
    let newest = "document.querySelector('#samples tr + tr')";
    let row = format!("0.1.3.{shown}.{shown}.3.");
    let cells = format!("[...{newest}?.cells ?? []].map((cell) => cell.textContent).join('.')");
    until(window, &format!("{cells}.startsWith('{row}')")).await;
    assert_eq!(window.complaints(), [""; 0]);
    is_of_one_file(window, &relay);
    fits_a_phone(window);
    can_be_read(window);
    is_told_to_screen_readers(window);
    assert_eq!(window.complaints(), [""; 0]);
    nothing_else_runs(window);
}

/// The page has asked its own relay for figures, and nobody for anything else.
fn is_of_one_file(window: &Window, relay: &TestRelay) {
    let asked = window.run(
        "return [...new Set(performance.getEntriesByType('resource').map((entry) => entry.name))];",
        &[],
    );
    assert_eq!(asked, json!([format!("http://{}/status", relay.addr())]));
}

/// What slips into the page is not run, and asks nobody for anything.
fn nothing_else_runs(window: &Window) {
    let ran = window.run(
        "const script = document.createElement('script');
         try { script.text = 'window.ran = true'; } catch {}
         script.append('window.ran = true');
         document.body.append(script);
         const image = document.createElement('img');
         try { image.setAttribute('onerror', 'window.ran = true'); } catch {}
         image.src = '/healthz';
         document.body.append(image);
         return new Promise((resolve) => setTimeout(() => resolve(window.ran === true), 200));",
        &[],
    );
    assert_eq!(ran, json!(false));
    let complaints = window.complaints();
    for forbidden in ["TrustedScript", "/healthz"] {
        let complained = complaints.iter().any(|it| it.contains(forbidden));
        assert!(complained, "{forbidden}: {complaints:#?}");
    }
}

/// Nothing of it stands beside a narrow window.
fn fits_a_phone(window: &Window) {
    let (width, height) = PHONE;
    let phone = json!({"width": width, "height": height, "deviceScaleFactor": 2, "mobile": true});
    window.devtools("Emulation.setDeviceMetricsOverride", &phone);
    let widest = window.run(
        "return [innerWidth, document.documentElement.scrollWidth];",
        &[],
    );
    assert_eq!(widest, json!([width, width]));
    // Nothing to pinch for.
    let smallest = window.run(
        "return Math.min(...[...document.querySelectorAll('main *')]
             .filter((it) => it.checkVisibility() && it.textContent.trim() !== '' && !it.closest('svg'))
             .map((it) => parseFloat(getComputedStyle(it).fontSize)));",
        &[],
    );
    assert!(smallest.as_f64().unwrap() >= 14.0, "{smallest}");
    window.devtools("Emulation.clearDeviceMetricsOverride", &json!({}));
}

/// Its text stands out from what is behind it, by day and by night, which are not the same.
fn can_be_read(window: &Window) {
    let mut backgrounds = Vec::new();
    for scheme in ["light", "dark"] {
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        window.devtools(
            "Emulation.setEmulatedMedia",
            &json!({"features": [feature]}),
        );
        let told = window.run(
            "const parts = (color) => color.match(/[0-9.]+/g).map(Number);
             const light = (color) => {
               const [r, g, b] = parts(color).map((it) => it / 255)
                 .map((it) => (it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4));
               return 0.2126 * r + 0.7152 * g + 0.0722 * b;
             };
             const behind = (it) => {
               const color = getComputedStyle(it).backgroundColor;
               return parts(color)[3] === 0 ? behind(it.parentElement) : color;
             };
             const contrast = (it) => {
               const pair = [light(getComputedStyle(it).color), light(behind(it))].sort((a, b) => b - a);
               return (pair[0] + 0.05) / (pair[1] + 0.05);
             };
             const texts = [...document.querySelectorAll('main *')]
               .filter((it) => it.checkVisibility() && !it.closest('svg'));
             const least = texts.sort((a, b) => contrast(a) - contrast(b))[0];
             return [contrast(least), least.outerHTML.slice(0, 200), behind(least)];",
            &[],
        );
        assert!(told[0].as_f64().unwrap() >= CONTRAST, "{scheme}: {told}");
        backgrounds.push(window.run(
            "return getComputedStyle(document.body).backgroundColor;",
            &[],
        ));
    }
    assert_ne!(backgrounds[0], backgrounds[1]);
    window.devtools("Emulation.setEmulatedMedia", &json!({"features": []}));
}

/// What a screen reader finds: each plot in words, the tables with their heads, and the state as what is
/// said by itself when it changes.
fn is_told_to_screen_readers(window: &Window) {
    window.devtools("Accessibility.enable", &json!({}));
    let tree = window.devtools("Accessibility.getFullAXTree", &json!({}));
    let nodes: Vec<_> = tree["nodes"].as_array().unwrap().iter().collect();
    let names = |role: &str| -> Vec<&str> {
        let of_role = nodes.iter().filter(|node| node["role"]["value"] == role);
        of_role
            .map(|node| node["name"]["value"].as_str().unwrap_or(""))
            .collect()
    };
    assert_eq!(names("main").len(), 1);
    let headings = [
        "Relay status",
        "Now",
        "Payload since the start",
        "The last hour",
        "Refusals",
    ];
    assert_eq!(names("heading"), headings);
    // Chromium's own names for an SVG with a role, and for a table.
    let plots = names("image");
    assert_eq!(plots.len(), 5, "{plots:?}");
    for plot in ["Rooms", "Sessions", "Throughput", "Refusals", "Memory"] {
        let begins = format!("{plot} over the last hour: ");
        let found = plots.iter().find(|name| name.starts_with(&begins));
        assert!(
            found.is_some_and(|name| name.contains(" now, between ")),
            "{plot}: {plots:?}"
        );
    }
    assert_eq!(names("table").len(), 2);
    let columns = names("columnheader");
    for column in ["Reason", "Last hour", "Since the start", "Bytes taken"] {
        assert!(columns.contains(&column), "{columns:?}");
    }
    assert!(names("rowheader").contains(&"room_not_found"));
    let state = nodes.iter().find(|node| node["role"]["value"] == "status");
    assert!(
        state.is_some_and(|node| says(node, "live", "polite")),
        "{state:?}"
    );
    assert_eq!(names("DisclosureTriangle"), ["The figures of the plots"]);
}

/// Whether a node of the accessibility tree has a property of this value.
fn says(node: &Value, property: &str, value: &str) -> bool {
    let all = node["properties"].as_array().map_or(&[][..], Vec::as_slice);
    all.iter()
        .any(|it| it["name"] == property && it["value"]["value"] == value)
}

#[tokio::test]
async fn the_page_says_that_the_relay_stops_and_that_it_is_gone() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let window = browser.window();
    let mut relay = TestRelay::start(|config| {
        config.drain_timeout = Duration::from_secs(3600);
        config.max_rooms = 1;
    });
    let (sender, receiver) = raw_pair(&relay).await;
    window.go_to(&format!("http://{}/status", relay.addr()));
    let full = "Not ready: the relay is full of rooms.";
    until(window, &format!("{} === '{full}'", text("state"))).await;
    relay.stop();
    until(
        window,
        &format!("{}.startsWith('pairs have 59 min ')", text("stop")),
    )
    .await;
    until(window, &format!("{}.startsWith('Stopping')", text("state"))).await;
    drop((sender, receiver));
    relay.join().await.unwrap();
    until(
        window,
        &format!("{}.includes('has not answered since')", text("state")),
    )
    .await;
    until(window, &format!("{}.startsWith('0 bytes')", text("taken"))).await;
}
