//! The rooms of the house: imports go down only, nothing goes round in a circle, and what is said to
//! be pure is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "architecture/imports.rs"]
mod imports;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use self::imports::{File, Import};

/// The rooms of the relay, from top to bottom: each may import what stands below it. The map in
/// src/lib.rs has the same order.
const ROOMS: [&str; 15] = [
    "main", "cli", "check", "process", "admin", "http", "actors", "state", "cluster", "observe",
    "rooms", "limits", "flow", "config", "version",
];
/// Rooms without I/O, runtime or clock; `crates/wire` is one more.
const PURE: [&str; 3] = ["rooms", "limits", "flow"];
/// What these may not import, by how a path begins.
const IMPURE: [&str; 11] = [
    "actix",
    "tokio",
    "socket2",
    "std::fs",
    "std::io",
    "std::process",
    "std::thread",
    "std::env",
    "std::net::Tcp",
    "std::net::UdpSocket",
    "std::net::ToSocketAddrs",
];

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The root files of every package and target.
fn roots() -> Vec<PathBuf> {
    let mut roots = vec![
        top().join("build.rs"),
        top().join("src/lib.rs"),
        top().join("src/main.rs"),
        top().join("benches/frame_path.rs"),
        top().join("benches/relay/main.rs"),
        top().join("examples/cluster/main.rs"),
        top().join("examples/soak/main.rs"),
        top().join("examples/scaling/main.rs"),
    ];
    roots.extend(listed("tests").into_iter().filter(|path| is_rust(path)));
    roots.extend(
        listed("fuzz/fuzz_targets")
            .into_iter()
            .filter(|path| is_rust(path)),
    );
    for package in listed("crates") {
        let files = ["build.rs", "src/lib.rs", "src/main.rs"].map(|name| package.join(name));
        roots.extend(files.into_iter().filter(|path| path.exists()));
        let tests = package.join("tests");
        if tests.exists() {
            roots.extend(listed(tests).into_iter().filter(|path| is_rust(path)));
        }
    }
    roots
}

/// What is in a folder of the checkout.
fn listed(folder: impl AsRef<Path>) -> Vec<PathBuf> {
    let entries = fs::read_dir(top().join(folder)).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|it| it == "rs")
}

fn shown(path: &Path) -> String {
    path.strip_prefix(top())
        .unwrap_or(path)
        .display()
        .to_string()
}

fn complaint(file: &File, import: &Import, why: &str) -> String {
    let path = import.path.join("::");
    format!("{}:{}: {path} {why}", shown(&file.path), import.line)
}

/// The files of the relay's own library and program.
fn relay() -> Vec<File> {
    let mut files = imports::read(&top().join("src/lib.rs"));
    files.extend(
        imports::read(&top().join("src/main.rs"))
            .into_iter()
            .map(|file| File {
                module: vec!["crate".to_owned(), "main".to_owned()],
                ..file
            }),
    );
    files
}

fn room(path: &[String]) -> Option<usize> {
    let own = matches!(path[0].as_str(), "crate" | "claude_distill_relay");
    let name = path.get(1).filter(|_| own)?;
    ROOMS.iter().position(|room| room == name)
}

#[test]
fn nothing_goes_round_in_a_circle() {
    let mut found = Vec::new();
    for root in roots() {
        for circle in imports::circles(&imports::read(&root)) {
            let files: Vec<_> = circle.iter().map(|path| shown(path)).collect();
            found.push(format!("{}: {}", shown(&root), files.join(" <-> ")));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_file_is_of_a_package() {
    let files = roots().into_iter().flat_map(|root| imports::read(&root));
    let mut known: BTreeSet<_> = files
        .map(|file| file.path.canonicalize().unwrap())
        .collect();
    let folders = ["src", "crates", "benches", "examples", "tests", "fuzz"];
    let mut unread: Vec<_> = folders.map(|folder| top().join(folder)).into();
    let mut found = Vec::new();
    while let Some(folder) = unread.pop() {
        for path in listed(folder) {
            if path.is_dir() && !path.ends_with("target") {
                unread.push(path);
            } else if is_rust(&path) && !known.remove(&path.canonicalize().unwrap()) {
                found.push(shown(&path));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn imports_go_down_only() {
    let mut found = Vec::new();
    for file in relay() {
        let Some(here) = room(&file.module) else {
            assert_eq!(file.module, ["crate"], "no room: {}", shown(&file.path));
            continue;
        };
        for import in file.imports.iter().filter(|import| !import.test) {
            if room(&import.path).is_some_and(|there| there < here) {
                found.push(complaint(&file, import, "goes up"));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn what_is_said_to_be_pure_is() {
    let wire = imports::read(&top().join("crates/wire/src/lib.rs"));
    let rooms = relay().into_iter().filter(|file| {
        let room = file.module.get(1);
        room.is_some_and(|room| PURE.contains(&room.as_str()))
    });
    let mut found = Vec::new();
    for file in wire.into_iter().chain(rooms) {
        for import in file.imports.iter().filter(|import| !import.test) {
            let path = import.path.join("::");
            let clock = path.ends_with("Instant::now") || path.ends_with("SystemTime::now");
            // All of it may be addresses, and may be sockets.
            let net = path == "std::net";
            if clock || net || IMPURE.iter().any(|impure| path.starts_with(impure)) {
                found.push(complaint(&file, import, "is not pure"));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_map_of_the_library_has_the_same_order() {
    let library = fs::read_to_string(top().join("src/lib.rs")).unwrap();
    let rows = library.lines().filter_map(|line| {
        let name = line.strip_prefix("//! | [`")?;
        name.split_once('`').map(|(name, _)| name)
    });
    let rows: Vec<_> = rows.filter(|name| !name.contains("::")).collect();
    let packages = ["relay_client", "relay_wire"];
    assert_eq!(rows, [&ROOMS[1..], &packages].concat());
}

#[test]
fn the_summary_of_skipped_tests_is_the_last_that_is_printed() {
    let mut manifests = vec![top().join("Cargo.toml")];
    manifests.extend(listed("crates").iter().map(|it| it.join("Cargo.toml")));
    let mut names = BTreeSet::new();
    for path in &manifests {
        let manifest = fs::read_to_string(path).unwrap();
        let name = manifest.lines().find_map(|it| it.strip_prefix("name = "));
        names.insert(name.unwrap().to_owned());
        let library = path.with_file_name("src").join("lib.rs").exists();
        let quiet = !library || manifest.contains("[lib]\ndoctest = false");
        assert!(quiet, "{} has doc tests", shown(path));
    }
    // Packages are tested in the order of their names.
    assert_eq!(names.last().unwrap(), "\"summary-of-tests\"");
}

#[test]
fn no_example_in_the_docs_goes_untested() {
    for file in roots().iter().flat_map(|root| imports::read(root)) {
        let text = fs::read_to_string(&file.path).unwrap();
        let docs = text.lines().filter_map(|line| {
            let line = line.trim_start();
            line.strip_prefix("//!").or(line.strip_prefix("///"))
        });
        let fences = docs.map(str::trim).filter(|doc| doc.starts_with("```"));
        for opening in fences.step_by(2) {
            assert_eq!(opening, "```text", "{}", shown(&file.path));
        }
    }
}
