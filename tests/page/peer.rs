//! The page in a browser, as one of two who share: steered by what it shows, as a person would.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use relay_testing::{
    browser::{Browser, Kind, Window},
    wait::DEADLINE,
};
use serde_json::Value;

/// The two halves of the page.
pub(crate) const SHARE: &str = "#share";
pub(crate) const RECEIVE: &str = "#receive";
/// How often to look for a file that a browser saves, which tells nobody when it is there.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long the page is asked to wait at once, in milliseconds: less than a driver lets a script take.
const AT_ONCE: &str = "10000";

/// A browser that shows the page.
pub(crate) struct Peer {
    browser: Browser,
}

impl Peer {
    /// One of this kind at this address, or says why there can be none here.
    pub(crate) fn open(kind: Kind, url: &str) -> Option<Self> {
        let peer = Self {
            browser: Browser::of(kind)?,
        };
        peer.window().go_to(url);
        peer.is_loaded();
        Some(peer)
    }

    /// Loads the page anew.
    pub(crate) fn reload(&self) {
        self.window().reload();
        self.is_loaded();
    }

    fn is_loaded(&self) {
        self.until(RECEIVE, "idle");
        // Nobody can steer what asks in a window of the browser's own where to save.
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
        self.window().type_into("#share-files", files);
        self.window().fill("#share-passphrase", passphrase);
        self.window().click("#share-start");
        self.until(SHARE, "waiting");
        let code = "return document.querySelector('#share-code').dataset.code;";
        let code = self.window().run(code, &[]);
        code.as_str().expect("a code").to_owned()
    }

    /// Joins a room to receive.
    pub(crate) fn receive(&self, code: &str, passphrase: &str) {
        self.window().fill("#receive-code", code);
        self.window().fill("#receive-passphrase", passphrase);
        self.window().click("#receive-start");
    }

    /// Waits until half of the page is in a state; another one at which it would end fails the test.
    pub(crate) fn until(&self, half: &str, state: &str) {
        let deadline = Instant::now() + 2 * DEADLINE;
        loop {
            let now = self.after(half, state);
            if now == state {
                return;
            }
            let over = now == "failed" || Instant::now() > deadline;
            assert!(
                !over,
                "{half} is {now} and not {state}: {:?}",
                self.fault(half)
            );
        }
    }

    /// The state of half of the page, at once where it is this one or the last, otherwise after a while.
    fn after(&self, half: &str, state: &str) -> String {
        let script = "const [half, state, most] = arguments;
            const look = () => document.querySelector(half)?.dataset.state;
            const over = () => [state, 'failed'].includes(look());
            if (over()) return look();
            return new Promise((resolve) => {
              const done = () => { watcher.disconnect(); resolve(look()); };
              const watcher = new MutationObserver(() => over() && done());
              watcher.observe(document, {subtree: true, childList: true, attributes: true});
              setTimeout(done, Number(most));
            });";
        let now = self.window().run(script, &[half, state, AT_ONCE]);
        now.as_str().unwrap_or("not there").to_owned()
    }

    /// Waits until half of the page has failed, and says with which word.
    pub(crate) fn fails(&self, half: &str) -> String {
        assert_eq!(self.ends(half), "failed", "{half}");
        self.fault(half).unwrap_or_default()
    }

    /// Waits until half of the page has come to an end, and says to which.
    pub(crate) fn ends(&self, half: &str) -> String {
        let deadline = Instant::now() + 2 * DEADLINE;
        loop {
            let now = self.after(half, "done");
            if ["done", "failed"].contains(&now.as_str()) {
                return now;
            }
            assert!(Instant::now() < deadline, "{half} is {now} for ever");
        }
    }

    fn fault(&self, half: &str) -> Option<String> {
        self.data(half, "fault")
    }

    /// The state of half of the page.
    pub(crate) fn state(&self, half: &str) -> String {
        self.data(half, "state").unwrap_or_default()
    }

    fn data(&self, half: &str, name: &str) -> Option<String> {
        let script = "return document.querySelector(arguments[0])?.dataset[arguments[1]] ?? null;";
        let value = self.window().run(script, &[half, name]);
        value.as_str().map(str::to_owned)
    }

    /// Waits until so many bytes have moved.
    pub(crate) fn until_bytes(&self, half: &str, least: u64) {
        let deadline = Instant::now() + DEADLINE;
        let moved = || {
            self.data(half, "bytes")
                .and_then(|it| it.parse::<u64>().ok())
        };
        while moved().unwrap_or(0) < least {
            assert!(Instant::now() < deadline, "{:?} of {least} bytes", moved());
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Waits until what a selector finds is to be seen.
    pub(crate) fn until_shows(&self, selector: &str) {
        let deadline = Instant::now() + DEADLINE;
        while !self.shows(selector) {
            assert!(Instant::now() < deadline, "no {selector}");
            thread::sleep(LOOK_AGAIN);
        }
    }

    fn shows(&self, selector: &str) -> bool {
        let script = "return document.querySelector(arguments[0])?.checkVisibility() ?? false;";
        self.window().run(script, &[selector]) == Value::Bool(true)
    }

    /// What stands in an element.
    pub(crate) fn text(&self, selector: &str) -> String {
        let script = "return document.querySelector(arguments[0]).textContent;";
        let text = self.window().run(script, &[selector]);
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the receiver is done, and for the file of this name and length that it saves.
    pub(crate) fn saved(&self, name: &str, length: u64) -> Vec<u8> {
        let file = self.saved_file(length);
        assert_eq!(file, name);
        fs::read(self.browser.downloads().join(file)).unwrap()
    }

    /// The same, whatever its name.
    pub(crate) fn saved_alone(&self, length: u64) -> Vec<u8> {
        let file = self.saved_file(length);
        fs::read(self.browser.downloads().join(file)).unwrap()
    }

    /// Waits for the one file of this length, and says its name.
    pub(crate) fn saved_file(&self, length: u64) -> String {
        self.until(RECEIVE, "done");
        if self.shows("#receive-save") {
            self.window().click("#receive-save");
        }
        let deadline = Instant::now() + DEADLINE;
        let is_whole = |name: &String| {
            let file = self.browser.downloads().join(name);
            fs::metadata(file).is_ok_and(|it| it.len() == length)
        };
        loop {
            let files = self.files();
            if let [file] = &files[..]
                && is_whole(file)
            {
                return file.clone();
            }
            assert!(
                Instant::now() < deadline,
                "no file of {length} bytes but {files:?}"
            );
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// The names of all that the browser has saved.
    pub(crate) fn files(&self) -> Vec<String> {
        let folder = fs::read_dir(self.browser.downloads()).unwrap();
        let names = folder.map(|it| it.unwrap().file_name().to_string_lossy().into_owned());
        names.collect()
    }
}
