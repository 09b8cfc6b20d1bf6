//! The page receives from somebody who says what the page does not expect: it says so in plain words, saves
//! nothing under a name that leads elsewhere, and runs nothing.

use relay_testing::{TestRelay, browser::Kind, program::Process};

use crate::{
    double::Double,
    peer::{PASSPHRASE, Peer, page_at},
    sharing::{File, in_each_browser},
};

in_each_browser!(
    markup_in_a_name_stays_text,
    a_path_that_leads_elsewhere_is_refused,
    what_breaks_the_rules_ends_the_transfer,
);

/// The page in a browser, and somebody who is about to send it something.
struct Scene {
    python: String,
    page: Peer,
    relay: TestRelay,
    file: File,
}

impl Scene {
    /// One in this browser, or says why there can be none here.
    fn set(kind: Kind) -> Option<Self> {
        let python = Double::python()?;
        let relay = TestRelay::start(|_| {});
        Some(Self {
            python,
            page: Peer::open(kind, &page_at(relay.addr()))?,
            relay,
            file: File::text("notes.txt", 100_000),
        })
    }

    /// The page receives the file from the second implementation, which says something else in it.
    fn receive(&self, twist: &str) -> Process {
        self.page.begin_at(&page_at(self.relay.addr()));
        let (url, path) = (self.relay.url(), self.file.path());
        let arguments = ["send", &url, PASSPHRASE, path, twist];
        let (sender, code) = Double::Second.send(&self.python, &arguments);
        self.page.receive(&code, PASSPHRASE);
        sender
    }

    /// The browser has saved no file.
    fn saved_nothing(&self, why: &str) {
        assert_eq!(self.page.files(), [""; 0], "{why}");
    }
}

/// Nothing of a stranger's has become a part of the page.
fn is_clean(page: &Peer) {
    let strange =
        "return document.querySelectorAll('img[src=x], script:not([src]), b, iframe').length;";
    assert_eq!(page.window().run(strange, &[]), 0);
    let title = page.window().run("return document.title;", &[]);
    assert_ne!(title, "taken over");
}

fn markup_in_a_name_stays_text(kind: Kind) {
    let Some(scene) = Scene::set(kind) else {
        return;
    };
    let name = "<img src=x onerror=\\\"document.title='taken over'\\\"><b>.txt";
    let _sender = scene.receive(&format!(r#"{{"name": "{name}"}}"#));
    let (saved, content) = scene.page.saved(scene.file.size());
    assert!(content == scene.file.content);
    assert!(!saved.contains(['<', '>', '"']), "{saved}");
    is_clean(&scene.page);
}

fn a_path_that_leads_elsewhere_is_refused(kind: Kind) {
    let Some(scene) = Scene::set(kind) else {
        return;
    };
    for path in [
        r#"["..", "up.txt"]"#,
        r#"["/etc/passwd"]"#,
        r#"["a", "", "b"]"#,
        "[]",
    ] {
        let _sender = scene.receive(&format!(r#"{{"kind": "folder", "path": {path}}}"#));
        scene.page.fails();
        scene.saved_nothing(path);
    }
}

fn what_breaks_the_rules_ends_the_transfer(kind: Kind) {
    let Some(scene) = Scene::set(kind) else {
        return;
    };
    for twist in [
        r#"{"say": "data_first"}"#,
        r#"{"say": "end_first"}"#,
        r#"{"say": "manifest_again"}"#,
        r#"{"say": "delivered"}"#,
        r#"{"say": "big_record"}"#,
        r#"{"say": "big_note"}"#,
        r#"{"say": "garbage"}"#,
        r#"{"say": "text"}"#,
        r#"{"size": 50000}"#,
        r#"{"size": 9007199254740991}"#,
        r#"{"size": 1e300}"#,
        r#"{"size": -1}"#,
        r#"{"size": "<b>"}"#,
        r#"{"digest": "0000000000000000000000000000000000000000000000000000000000000000"}"#,
    ] {
        // What fits into no private folder goes to the browser's downloads, where a part of it stays.
        if twist.contains("9007199254740991") && kind != Kind::Chromium {
            continue;
        }
        let _sender = scene.receive(twist);
        scene.page.fails();
        is_clean(&scene.page);
        scene.saved_nothing(twist);
    }
}
