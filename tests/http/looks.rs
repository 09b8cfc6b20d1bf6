//! How the page at `/status` is to be seen, heard and worked: by eyes, on a phone, by screen readers, by keys.

use relay_testing::browser::Window;
use serde_json::{Value, json};

/// Phones, in CSS pixels, the narrowest at last (WCAG 2.2 §1.4.10).
const PHONES: [(u64, u64); 2] = [(360, 640), (320, 568)];
/// The least contrast of text (WCAG 2.2 §1.4.3).
const CONTRAST: f64 = 4.5;

/// Nothing of it stands beside a narrow window.
pub(crate) fn fits_a_phone(window: &Window) {
    for (width, height) in PHONES {
        let phone =
            json!({"width": width, "height": height, "deviceScaleFactor": 2, "mobile": true});
        window.devtools("Emulation.setDeviceMetricsOverride", &phone);
        let widest = window.run(
            "return [innerWidth, document.documentElement.scrollWidth];",
            &[],
        );
        assert_eq!(widest, json!([width, width]));
    }
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
pub(crate) fn can_be_read(window: &Window) {
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
pub(crate) fn is_told_to_screen_readers(window: &Window) {
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
            found.is_some_and(|name| name.contains(" now, ")),
            "{plot}: {plots:?}"
        );
    }
    let memory = plots.iter().find(|name| name.contains("memory"));
    assert!(
        memory.is_some_and(|name| name.contains(" % of ")),
        "{plots:?}"
    );
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

/// Opens and closes what can be opened, with nothing but a keyboard.
pub(crate) fn can_be_worked_by_keys(window: &Window) {
    window.devtools(
        "Emulation.setFocusEmulationEnabled",
        &json!({"enabled": true}),
    );
    let press = |key: &str, code: u64, text: &str| {
        for (kind, text) in [("keyDown", text), ("keyUp", "")] {
            let event = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
            window.devtools("Input.dispatchKeyEvent", &event);
        }
        window.run(
            "const { activeElement } = document;
             return [activeElement.tagName, document.getElementById('samples').open];",
            &[],
        )
    };
    let begin = "document.activeElement.blur(); document.getElementById('samples').open = false;";
    window.run(begin, &[]);
    assert_eq!(press("Tab", 9, ""), json!(["SUMMARY", false]));
    assert_eq!(press("Enter", 13, "\r"), json!(["SUMMARY", true]));
    // And what is too wide for the window can be moved.
    assert_eq!(press("Tab", 9, ""), json!(["DIV", true]));
}
