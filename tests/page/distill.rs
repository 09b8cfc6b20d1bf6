//! The page shares with `distill`, in each browser and both ways: a file, a folder and a text, and over lines that
//! are cut in the midst.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use relay_testing::{
    TestRelay,
    browser::Kind,
    distill::{Distill, PASSPHRASE, is_built},
    line::{Forwarder, Line},
    noise, python, seeded,
};
use tempfile::TempDir;

use crate::{
    peer::{Peer, page_at},
    sharing::{File, in_each_browser},
};

/// How long a transfer may take, in a browser that shares two cores with others.
const LIMIT: Duration = Duration::from_secs(300);
/// Bytes of a file that takes some seconds over a line of this rate.
const SIZE: usize = 8_000_000;
const RATE: u64 = 4_000_000;
const TEXT: &str = "Meet at 7, gate 3. 일곱 시, 3번 문.";

in_each_browser!(
    distill_receives_a_file,
    distill_receives_a_folder,
    distill_receives_a_text,
    distill_sends_a_file,
    distill_sends_a_folder,
    distill_sends_a_text,
    distill_receives_over_lines_that_are_cut,
    distill_sends_over_lines_that_are_cut,
);

/// A relay, the page in a browser, and a home for the program; each side has a line of its own.
struct Scene {
    page: Peer,
    lines: [Forwarder; 2],
    home: TempDir,
    _relay: TestRelay,
}

impl Scene {
    /// One on lines that are as fast as it goes, or says why there can be none here.
    fn set(kind: Kind) -> Option<Self> {
        Self::on(Line::default(), kind)
    }

    /// One on such lines.
    fn on(line: Line, kind: Kind) -> Option<Self> {
        if !is_built() {
            return None;
        }
        let relay = TestRelay::start(|_| {});
        let lines = [(); 2].map(|()| line.lay(relay.addr()));
        Some(Self {
            page: Peer::open(kind, &page_at(lines[0].addr()))?,
            lines,
            home: TempDir::new().unwrap(),
            _relay: relay,
        })
    }

    /// Where the program saves what it receives.
    fn there(&self) -> PathBuf {
        let there = self.home.path().join("there");
        fs::create_dir_all(&there).unwrap();
        there
    }

    fn distill(&self, arguments: &[&str]) -> Distill {
        Distill::start(self.lines[1].addr(), self.home.path(), arguments)
    }

    /// The program receives what the page shares.
    fn receive(&self, code: &str) -> Distill {
        let there = self.there();
        self.distill(&["receive", code, "-o", there.to_str().unwrap()])
    }

    /// The program shares, and the page receives.
    fn send(&self, path: &Path) -> Distill {
        let mut sender = self.distill(&["share", path.to_str().unwrap()]);
        let code = sender.event("opened", LIMIT)["code"].clone();
        self.page.receive(code.as_str().unwrap(), PASSPHRASE);
        sender
    }

    /// Waits until the program has all of it, by version 2, and says where.
    fn received(&self, mut receiver: Distill) -> PathBuf {
        assert_eq!(receiver.event("begun", LIMIT)["version"], 2);
        let delivered = receiver.event("delivered", LIMIT);
        self.page.until_delivered(1);
        delivered["path"].as_str().unwrap().into()
    }

    /// Cuts the page's line, and then the program's, while content moves.
    fn cut_both(&self) {
        self.page.until_moved(0.1);
        self.lines[0].cut();
        self.page.until_moved(0.5);
        self.lines[1].cut();
    }
}

/// A folder with folders in it.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let inner = folder.path().join("holiday");
    fs::create_dir_all(inner.join("a/b")).unwrap();
    fs::write(inner.join("a/b/deep.txt"), "deep").unwrap();
    fs::write(inner.join("a/메모.txt"), "memo").unwrap();
    fs::write(inner.join("empty"), "").unwrap();
    fs::write(inner.join("big"), noise(&mut seeded(7), 3_000_000)).unwrap();
    folder
}

/// The files of a folder by their paths in it.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_owned();
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

fn distill_receives_a_file(kind: Kind) {
    let Some(scene) = Scene::set(kind) else {
        return;
    };
    let file = File::new("a photo.jpg", 3_000_000);
    let code = scene.page.share(file.path(), PASSPHRASE);
    let path = scene.received(scene.receive(&code));
    assert_eq!(path, scene.there().join("a photo.jpg"));
    assert!(fs::read(path).unwrap() == file.content);
}

fn distill_receives_a_folder(kind: Kind) {
    let Some(scene) = Scene::set(kind) else {
        return;
    };
    let folder = folder();
    let holiday = folder.path().join("holiday");
    let path = |name: &str| holiday.join(name).to_str().unwrap().to_owned();
    let mut expected = files(&holiday);
    // Only Chromium's driver chooses a folder. In the others several files are chosen, which go as one.
    let (field, chosen, name) = match kind {
        Kind::Chromium => ("#folder", path(""), "holiday"),
        Kind::WebKit | Kind::Firefox => {
            expected.retain(|path, _| path.components().count() == 1);
            let files = [path("big"), path("empty")].join("\n");
            ("#files", files, "files")
        }
    };
    let code = scene.page.share_from(field, &chosen, PASSPHRASE);
    let there = scene.received(scene.receive(&code));
    assert_eq!(there, scene.there().join(name));
    assert!(files(&there) == expected, "{:?}", files(&there).keys());
}

fn distill_receives_a_text(kind: Kind) {
    let Some(scene) = Scene::set(kind) else {
        return;
    };
    let code = scene.page.share_from("#text", TEXT, PASSPHRASE);
    let path = scene.received(scene.receive(&code));
    assert_eq!(path, scene.there().join("text.txt"));
    assert_eq!(fs::read_to_string(path).unwrap(), TEXT);
}

fn distill_sends_a_file(kind: Kind) {
    let Some(scene) = Scene::set(kind) else {
        return;
    };
    let file = File::new("a photo.jpg", 3_000_000);
    let mut sender = scene.send(Path::new(file.path()));
    let (name, content) = scene.page.saved(file.size());
    assert_eq!(name, "a photo.jpg");
    assert!(content == file.content);
    sender.event("delivered", LIMIT);
}

fn distill_sends_a_folder(kind: Kind) {
    let Some(python) = python::with(&["zipfile"]) else {
        return;
    };
    let Some(scene) = Scene::set(kind) else {
        return;
    };
    let folder = folder();
    let mut sender = scene.send(&folder.path().join("holiday"));
    sender.event("delivered", LIMIT);
    let name = scene.page.saved_one(|it| it > 3_000_000);
    assert_eq!(name, "holiday.zip");
    // It also compares the sums.
    let zip = scene.page.browser().downloads().join(name);
    let unpacked = Command::new(python)
        .args(["-m", "zipfile", "-e"])
        .args([&zip, &scene.there()])
        .status();
    assert!(unpacked.unwrap().success());
    assert!(
        files(&scene.there()) == files(folder.path()),
        "{:?}",
        files(&scene.there()).keys()
    );
}

fn distill_sends_a_text(kind: Kind) {
    let Some(scene) = Scene::set(kind) else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("note.txt");
    fs::write(&path, TEXT).unwrap();
    let mut sender = scene.send(&path);
    sender.event("delivered", LIMIT);
    let (name, content) = scene.page.saved(TEXT.len() as u64);
    assert_eq!((name.as_str(), content), ("note.txt", TEXT.into()));
    // It is there to read, too.
    scene.page.until_shows("#received-text");
    let shown = "return document.querySelector('#received-text').value;";
    assert_eq!(scene.page.window().run(shown, &[]), TEXT);
}

fn distill_receives_over_lines_that_are_cut(kind: Kind) {
    let Some(scene) = Scene::on(Line::of(RATE), kind) else {
        return;
    };
    let file = File::new("film.mp4", SIZE);
    let code = scene.page.share(file.path(), PASSPHRASE);
    let receiver = scene.receive(&code);
    scene.cut_both();
    let path = scene.received(receiver);
    assert!(fs::read(path).unwrap() == file.content);
    assert!(
        scene.lines[0].up() < 2 * file.size(),
        "{} bytes",
        scene.lines[0].up()
    );
}

fn distill_sends_over_lines_that_are_cut(kind: Kind) {
    let Some(scene) = Scene::on(Line::of(RATE), kind) else {
        return;
    };
    let file = File::new("film.mp4", SIZE);
    let mut sender = scene.send(Path::new(file.path()));
    scene.cut_both();
    assert!(scene.page.saved(file.size()).1 == file.content);
    assert!(
        scene.lines[0].down() < 2 * file.size(),
        "{} bytes",
        scene.lines[0].down()
    );
    sender.event("delivered", LIMIT);
}
