//! The page in a browser, as one of two who share: steered by what it shows, as a person would.

use std::{
    fs,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use relay_testing::{
    browser::{Browser, Kind, Window},
    wait::DEADLINE,
};
use serde_json::Value;

/// How often to look at what a browser shows or saves, which tells nobody when it is there.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long a whole transfer may take, in a browser that shares two cores with others.
const TRANSFER: Duration = Duration::from_secs(300);
/// Bytes a second that a browser moves at least, of which a long file takes its time beyond that.
const LEAST_RATE: u64 = 4_000_000;

/// What two who share have told each other.
pub(crate) const PASSPHRASE: &str = "correct horse battery staple relay";

/// Where the page is, of a relay or of a line to it.
pub(crate) fn page_at(addr: SocketAddr) -> String {
    format!("http://{addr}/")
}

/// A browser that shows the page.
pub(crate) struct Peer {
    browser: Browser,
}

impl Peer {
    /// One of this kind at this address, or says why there can be none here.
    pub(crate) fn open(kind: Kind, url: &str) -> Option<Self> {
        let peer = Self::idle(kind)?;
        peer.begin_at(url);
        Some(peer)
    }

    /// One that shows nothing yet.
    pub(crate) fn idle(kind: Kind) -> Option<Self> {
        let browser = Browser::of(kind)?;
        Some(Self { browser })
    }

    /// Begins at an address, which may be where it is.
    pub(crate) fn begin_at(&self, url: &str) {
        self.window().go_to(url);
        self.until_shows("#start");
        self.keeps_to_itself();
    }

    /// Takes away what asks in a window of the browser's own where to save, which nobody can steer.
    fn keeps_to_itself(&self) {
        self.window().run(
            "delete window.showSaveFilePicker; delete window.showDirectoryPicker; return 0;",
            &[],
        );
    }

    /// The browser.
    pub(crate) fn browser(&self) -> &Browser {
        &self.browser
    }

    /// Its window.
    pub(crate) fn window(&self) -> &Window {
        self.browser.window()
    }

    /// Shares files, whose paths stand in lines, and waits for the code.
    pub(crate) fn share(&self, files: &str, passphrase: &str) -> String {
        self.share_from("#files", files, passphrase)
    }

    /// The same, of what is typed or chosen in this field: `#files`, `#folder` or `#text`.
    pub(crate) fn share_from(&self, field: &str, content: &str, passphrase: &str) -> String {
        self.window().type_into(field, content);
        self.window().fill("#send-passphrase", passphrase);
        self.window().click("#send button.main");
        self.until("a code", DEADLINE, || {
            let code = self.text("#shared-code").replace('-', "");
            (!code.is_empty()).then_some(code)
        })
    }

    /// Waits until so many receivers have it all.
    pub(crate) fn until_delivered(&self, count: usize) {
        self.until_says("#delivered", &format!("Delivered: {count}"));
    }

    /// Waits until the browser keeps so much for a reload: two of a share whose files are copied, and none of
    /// one that has ended.
    pub(crate) fn until_kept(&self, number: u64) {
        let script = "return new Promise((found) => {
            const opening = indexedDB.open('distill', 1);
            opening.onsuccess = () => {
              const files = opening.result.transaction('files').objectStore('files').count();
              files.onsuccess = () => {
                opening.result.close();
                found(files.result + sessionStorage.length);
              };
            };
          });";
        self.until("what is kept", DEADLINE, || {
            (self.window().look(script, &[]) == number).then_some(())
        });
    }

    /// Waits until an element says this, and nothing else.
    pub(crate) fn until_says(&self, selector: &str, text: &str) {
        self.until(text, TRANSFER, || {
            (self.text(selector) == text).then_some(())
        });
    }

    /// Joins a room to receive.
    pub(crate) fn receive(&self, code: &str, passphrase: &str) {
        self.window().fill("#code", code);
        self.window().fill("#receive-passphrase", passphrase);
        self.window().click("#receive button.main");
    }

    /// Loads the page anew, and goes on with what it was doing.
    pub(crate) fn go_on_anew(&self, passphrase: &str) {
        self.window().reload();
        self.until_shows("#go-on");
        self.keeps_to_itself();
        self.window().fill("#go-on-passphrase", passphrase);
        self.window().click("#go-on-form button.main");
    }

    /// Leaves for another page, without a question. A driver may answer nothing until that is there.
    pub(crate) fn leaves_for(&self, url: &str) {
        let script =
            "addEventListener('beforeunload', (event) => event.stopImmediatePropagation(), true);
          setTimeout((url) => location.assign(url), 0, arguments[0]);
          return 0;";
        self.window().run(script, &[url]);
    }

    /// Waits until it has failed, and says with which words.
    pub(crate) fn fails(&self) -> String {
        self.until("a failure", TRANSFER, || {
            let said = self.text("#fault");
            (!said.is_empty()).then_some(said)
        })
    }

    /// Waits until a part of it has moved, from 0 to 1.
    pub(crate) fn until_moved(&self, part: f64) {
        let script = "return document.querySelector('#bar').value;";
        let moved = || self.window().look(script, &[]).as_f64();
        self.until("some progress", DEADLINE, || {
            moved().filter(|it| *it >= part)
        });
    }

    /// Waits until what a selector finds is to be seen.
    pub(crate) fn until_shows(&self, selector: &str) {
        self.until(selector, DEADLINE, || self.shows(selector).then_some(()));
    }

    fn shows(&self, selector: &str) -> bool {
        let script = "return document.querySelector(arguments[0])?.checkVisibility() ?? false;";
        self.window().look(script, &[selector]) == Value::Bool(true)
    }

    /// What stands in an element.
    pub(crate) fn text(&self, selector: &str) -> String {
        let script = "return document.querySelector(arguments[0])?.textContent ?? '';";
        let text = self.window().look(script, &[selector]);
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits for the file of this length that is received, and says its name and what is in it.
    pub(crate) fn saved(&self, length: u64) -> (String, Vec<u8>) {
        let name = self.saved_file(length);
        let content = fs::read(self.browser.downloads().join(&name)).unwrap();
        (name, content)
    }

    /// Waits for the one file of this length that the browser saves, and says its name.
    pub(crate) fn saved_file(&self, length: u64) -> String {
        let limit = TRANSFER + Duration::from_secs(length / LEAST_RATE);
        self.saved_within(limit, |it| it == length)
    }

    /// Waits for the one file that the browser saves and that is whole by its length, and says its name.
    pub(crate) fn saved_one(&self, is_whole: impl Fn(u64) -> bool) -> String {
        self.saved_within(TRANSFER, is_whole)
    }

    fn saved_within(&self, limit: Duration, is_whole: impl Fn(u64) -> bool) -> String {
        self.until("a file of that length", limit, || {
            let fault = self.text("#fault");
            assert_eq!(fault, "", "{}", self.text("#status"));
            let files = self.files();
            let length = |name: &String| fs::metadata(self.browser.downloads().join(name));
            match &files[..] {
                [file] if length(file).is_ok_and(|it| is_whole(it.len())) => Some(file.clone()),
                _ => None,
            }
        })
    }

    /// The names of all that the browser has saved. What it has not saved yet has another name.
    pub(crate) fn files(&self) -> Vec<String> {
        let folder = fs::read_dir(self.browser.downloads()).unwrap();
        let names = folder.map(|it| it.unwrap().file_name().to_string_lossy().into_owned());
        let is_saved = |name: &String| {
            let passing = [".crdownload", ".part", ".wkdownload"];
            !name.starts_with('.') && !passing.iter().any(|end| name.ends_with(end))
        };
        names.filter(is_saved).collect()
    }

    /// Looks until there is what is awaited.
    fn until<T>(&self, awaited: &str, limit: Duration, look: impl Fn() -> Option<T>) -> T {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(found) = look() {
                return found;
            }
            if Instant::now() > deadline {
                let shown = self.window().look("return document.body.innerText;", &[]);
                panic!("no {awaited}, {:?} saved, but {shown}", self.files());
            }
            thread::sleep(LOOK_AGAIN);
        }
    }
}
