//! The page shares: in each browser, both ways, with itself in the next one and with clients that are no page.

use std::{fs, path::PathBuf};

use claude_distill_relay::config::AccessKeys;
use relay_testing::{TestRelay, browser::Kind, noise, prose, seeded};
use tempfile::TempDir;

use crate::{
    double::Double,
    peer::{PASSPHRASE, Peer, page_at},
};

/// Makes each of these tests one for each browser.
macro_rules! in_each_browser {
    ($($test:ident),+ $(,)?) => {
        mod chromium {
            $(#[test] fn $test() { super::$test(relay_testing::browser::Kind::Chromium); })+
        }
        mod webkit {
            $(#[test] fn $test() { super::$test(relay_testing::browser::Kind::WebKit); })+
        }
        mod firefox {
            $(#[test] fn $test() { super::$test(relay_testing::browser::Kind::Firefox); })+
        }
    };
}
pub(crate) use in_each_browser;

in_each_browser!(
    it_sends_a_file_to_itself_in_the_next_browser,
    clients_in_python_receive_what_it_sends,
    it_receives_what_clients_in_python_send,
    a_session_of_a_list_is_saved,
    a_wrong_code_is_told,
    a_wrong_passphrase_is_told_to_both,
    an_access_key_is_asked_for_and_shown,
    its_handshake_is_offered_no_compression,
    it_keeps_no_secret,
);

/// A file to be shared, in a folder of its own.
pub(crate) struct File {
    _folder: TempDir,
    path: PathBuf,
    pub(crate) content: Vec<u8>,
}

impl File {
    /// One of so many characters, as today's clients share.
    pub(crate) fn text(name: &str, size: usize) -> Self {
        Self::of(name, prose(&mut seeded(7), size).into())
    }

    /// One of so many bytes without a pattern.
    pub(crate) fn new(name: &str, size: usize) -> Self {
        Self::of(name, noise(&mut seeded(7), size).to_vec())
    }

    fn of(name: &str, content: Vec<u8>) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, &content).unwrap();
        Self {
            _folder: folder,
            path,
            content,
        }
    }

    pub(crate) fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }

    pub(crate) fn size(&self) -> u64 {
        self.content.len() as u64
    }
}

fn next(kind: Kind) -> Kind {
    match kind {
        Kind::Chromium => Kind::WebKit,
        Kind::WebKit => Kind::Firefox,
        Kind::Firefox => Kind::Chromium,
    }
}

fn it_sends_a_file_to_itself_in_the_next_browser(kind: Kind) {
    let relay = TestRelay::start(|_| {});
    let file = File::new("a photo.jpg", 3_000_000);
    let Some(sender) = Peer::open(kind, &page_at(relay.addr())) else {
        return;
    };
    // A proxy may have the relay under a path.
    let path = format!("{}under/a/path/", page_at(relay.addr()));
    let Some(receiver) = Peer::open(next(kind), &path) else {
        return;
    };
    let code = sender.share(file.path(), PASSPHRASE);
    receiver.receive(&code, PASSPHRASE);
    let (name, content) = receiver.saved(file.size());
    assert_eq!(name, "a photo.jpg");
    assert!(content == file.content);
    // It stays for the next one.
    sender.until_delivered(1);
}

fn clients_in_python_receive_what_it_sends(kind: Kind) {
    let Some(python) = Double::python() else {
        return;
    };
    let relay = TestRelay::start(|_| {});
    let file = File::text("notes.txt", 1_000_000);
    let Some(sender) = Peer::open(kind, &page_at(relay.addr())) else {
        return;
    };
    let code = sender.share(file.path(), PASSPHRASE);
    for (count, double) in Double::ALL.into_iter().enumerate() {
        let received = double.receive(&python, &[&relay.url(), PASSPHRASE, &code]);
        assert!(
            received.as_ref() == Ok(&file.content),
            "{double:?}: {:?}",
            received.err()
        );
        sender.until_delivered(count + 1);
    }
}

fn it_receives_what_clients_in_python_send(kind: Kind) {
    let Some(python) = Double::python() else {
        return;
    };
    let relay = TestRelay::start(|_| {});
    let file = File::text("notes.txt", 1_000_000);
    for double in Double::ALL {
        let arguments = ["send", &relay.url(), PASSPHRASE, file.path()];
        let (mut sender, code) = double.send(&python, &arguments);
        let Some(receiver) = Peer::open(kind, &page_at(relay.addr())) else {
            return;
        };
        receiver.receive(&code, PASSPHRASE);
        let (_, content) = receiver.saved(file.size());
        assert!(content == file.content, "{double:?}");
        sender.line_with(if double == Double::Today {
            "done"
        } else {
            "delivered"
        });
    }
}

fn a_session_of_a_list_is_saved(kind: Kind) {
    let Some(python) = Double::python() else {
        return;
    };
    let relay = TestRelay::start(|_| {});
    let (first, second) = (File::text("first", 100_000), File::text("second", 200_000));
    let arguments = [
        "sessions",
        &relay.url(),
        PASSPHRASE,
        first.path(),
        second.path(),
    ];
    let (mut sender, code) = Double::Today.send(&python, &arguments);
    let Some(receiver) = Peer::open(kind, &page_at(relay.addr())) else {
        return;
    };
    receiver.receive(&code, PASSPHRASE);
    receiver.until_shows("#ways button");
    receiver.window().click("#ways button");
    let second_one = "#result li:nth-child(2) button";
    receiver.until_shows(second_one);
    let shown = receiver.text("#result");
    assert!(shown.contains("<b>Summary</b> of second"), "{shown}");
    receiver.window().click(second_one);
    sender.line_with("sent second");
    let (name, content) = receiver.saved(second.size());
    assert_eq!(name, "second.jsonl");
    assert!(content == second.content);
}

fn a_wrong_code_is_told(kind: Kind) {
    let relay = TestRelay::start(|_| {});
    let Some(receiver) = Peer::open(kind, &page_at(relay.addr())) else {
        return;
    };
    receiver.receive("222222", PASSPHRASE);
    assert!(receiver.fails().starts_with("There is no such code."));
}

fn a_wrong_passphrase_is_told_to_both(kind: Kind) {
    let Some(python) = Double::python() else {
        return;
    };
    let relay = TestRelay::start(|_| {});
    let file = File::text("notes.txt", 1000);
    let (Some(sender), Some(receiver)) = (
        Peer::open(kind, &page_at(relay.addr())),
        Peer::open(kind, &page_at(relay.addr())),
    ) else {
        return;
    };
    let code = sender.share(file.path(), PASSPHRASE);
    for double in Double::ALL {
        let heard = double.receive(&python, &[&relay.url(), "another passphrase", &code]);
        assert!(heard.unwrap_err().contains("invalid_proof"));
    }
    let arguments = ["send", &relay.url(), PASSPHRASE, file.path()];
    let (_sender, code) = Double::Today.send(&python, &arguments);
    receiver.receive(&code, "another passphrase");
    assert!(receiver.fails().starts_with("The passphrase is wrong."));
}

fn an_access_key_is_asked_for_and_shown(kind: Kind) {
    const KEY: &str = "0123456789abcdef0123456789abcdef";
    let relay = TestRelay::start(|config| {
        config.access_keys = AccessKeys::parse(&format!("alice:{KEY}")).unwrap();
    });
    let file = File::text("notes.txt", 1000);
    let Some(sender) = Peer::open(kind, &page_at(relay.addr())) else {
        return;
    };
    sender.until_shows("#key-field");
    sender.window().fill("#key-field", "another-key-0123456789");
    sender.receive("222222", PASSPHRASE);
    let said = sender.fails();
    assert!(said.contains("does not take this access key"), "{said}");
    sender.begin_at(&page_at(relay.addr()));
    sender.until_shows("#key-field");
    sender.window().fill("#key-field", KEY);
    assert_eq!(sender.share(file.path(), PASSPHRASE).len(), 6);
}

fn its_handshake_is_offered_no_compression(kind: Kind) {
    let relay = TestRelay::start(|_| {});
    let Some(peer) = Peer::open(kind, &page_at(relay.addr())) else {
        return;
    };
    let script = "const line = new WebSocket(arguments[0]);
        return new Promise((resolve) => {
          line.onopen = () => resolve(`open ${line.extensions}`);
          line.onerror = () => resolve('refused');
        });";
    let opened = peer.window().run(script, &[&relay.url()]);
    assert_eq!(opened, "open ");
}

/// What a browser keeps of the page, and where it is: of all that outlives the page.
const KEPT: &str = "return (async () => {
    const kept = [location.href, document.cookie, JSON.stringify(history.state)];
    for (const area of [sessionStorage, localStorage]) kept.push(JSON.stringify({...area}));
    for (const {name} of await indexedDB.databases()) {
      const database = await new Promise((go) => { const it = indexedDB.open(name); it.onsuccess = () => go(it.result); });
      for (const store of database.objectStoreNames) {
        const asked = database.transaction(store).objectStore(store).getAll();
        kept.push(JSON.stringify(await new Promise((go) => { asked.onsuccess = () => go(asked.result); })));
      }
      database.close();
    }
    return kept.join(' ');
  })();";

fn it_keeps_no_secret(kind: Kind) {
    const KEY: &str = "0123456789abcdef0123456789abcdef";
    let relay = TestRelay::start(|config| {
        config.access_keys = AccessKeys::parse(&format!("alice:{KEY}")).unwrap();
    });
    let file = File::new("a photo.jpg", 1_000_000);
    let (Some(sender), Some(receiver)) = (
        Peer::open(kind, &page_at(relay.addr())),
        Peer::open(kind, &page_at(relay.addr())),
    ) else {
        return;
    };
    for peer in [&sender, &receiver] {
        peer.until_shows("#key-field");
        peer.window().fill("#key-field", KEY);
    }
    let code = sender.share(file.path(), PASSPHRASE);
    receiver.receive(&code, PASSPHRASE);
    receiver.saved(file.size());
    sender.until_delivered(1);
    let kept = [&sender, &receiver].map(|it| it.window().run(KEPT, &[]).to_string());
    for kept in &kept {
        assert!(!kept.contains(PASSPHRASE) && !kept.contains(KEY), "{kept}");
    }
    let [shares, has_received] = kept;
    // What it takes to go on after a reload, and nothing once all is there.
    assert!(shares.contains(&code), "{shares}");
    assert!(!has_received.contains(&code), "{has_received}");
}
