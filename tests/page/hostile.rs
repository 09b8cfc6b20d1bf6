//! The page receives from somebody who says what the page does not expect: it says so in plain words, saves
//! nothing under a name that leads elsewhere, and runs nothing.

use relay_testing::{TestRelay, browser::Kind, program::Process};

use crate::{
    double::Double,
    peer::Peer,
    sharing::{File, in_each_browser},
};

const PASSPHRASE: &str = "correct horse battery staple relay";

in_each_browser!(
    markup_in_a_name_stays_text,
    a_path_that_leads_elsewhere_is_refused,
    what_breaks_the_rules_ends_the_transfer,
);

/// The page receives a file from the second implementation, which says something else in it.
///
/// What it takes to go on stays with the page.
fn receive(kind: Kind, twist: &str) -> Option<(Peer, File, (TestRelay, Process))> {
    let python = Double::python()?;
    let relay = TestRelay::start(|_| {});
    let file = File::new("notes.txt", 100_000);
    let receiver = Peer::open(kind, &format!("http://{}/", relay.addr()))?;
    let arguments = ["send", &relay.url(), PASSPHRASE, file.path(), twist];
    let (sender, code) = Double::Second.send(&python, &arguments);
    receiver.receive(&code, PASSPHRASE);
    Some((receiver, file, (relay, sender)))
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
    let name = "<img src=x onerror=\\\"document.title='taken over'\\\"><b>.txt";
    let Some((page, file, _others)) = receive(kind, &format!(r#"{{"name": "{name}"}}"#)) else {
        return;
    };
    let (saved, content) = page.saved(file.size());
    assert!(content == file.content);
    assert!(!saved.contains(['<', '>', '"']), "{saved}");
    is_clean(&page);
}

fn a_path_that_leads_elsewhere_is_refused(kind: Kind) {
    for path in [
        r#"["..", "up.txt"]"#,
        r#"["/etc/passwd"]"#,
        r#"["a", "", "b"]"#,
        "[]",
    ] {
        let Some((page, _, _others)) = receive(kind, &format!(r#"{{"path": {path}}}"#)) else {
            return;
        };
        let said = page.fails();
        assert!(
            said.contains("not safe") || said.contains("rules"),
            "{path}: {said}"
        );
        assert_eq!(page.files(), [""; 0], "{path}");
    }
}

fn what_breaks_the_rules_ends_the_transfer(kind: Kind) {
    for twist in [
        r#"{"say": "data_first"}"#,
        r#"{"say": "big_record"}"#,
        r#"{"say": "big_note"}"#,
        r#"{"say": "garbage"}"#,
        r#"{"say": "text"}"#,
        r#"{"size": 50000}"#,
        r#"{"digest": "0000000000000000000000000000000000000000000000000000000000000000"}"#,
    ] {
        let Some((page, _, _others)) = receive(kind, twist) else {
            return;
        };
        page.fails();
        assert_eq!(page.files(), [""; 0], "{twist}");
        is_clean(&page);
    }
}
