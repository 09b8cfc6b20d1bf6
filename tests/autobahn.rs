//! WebSocket conformance, judged by the Autobahn Testsuite: its fuzzing client is a receiver in a
//! room whose sender echoes. `tests/autobahn/README.md` says how to repeat it and what came of it.
//!
//! The variable `AUTOBAHN_CASES` runs a part of it, such as `6.*,7.*`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "autobahn/adapter.rs"]
mod adapter;
#[path = "autobahn/echo.rs"]
mod echo;

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use relay_testing::{
    TestRelay,
    skip::{find, is_too_long, skip},
};
use serde_json::{Value, json};

/// Compression, which the relay does not offer.
const EXCLUDED: [&str; 2] = ["12.*", "13.*"];
/// Cases in which a good message and a violation come together. What is wanted is the echo of the
/// one before the end for the other; here the echo comes from another client, and may come too
/// late. The relay may only be late: that it fails the connection, and with which code, is judged.
const ECHO_MAY_BE_LATE: [&str; 10] = [
    "3.2", "3.3", "3.4", "4.1.3", "4.1.4", "4.1.5", "4.2.3", "4.2.4", "4.2.5", "5.15",
];

#[test]
fn every_case_passes_or_is_explained() {
    let Some(wstest) = find_wstest() else {
        return skip("wstest");
    };
    if is_too_long() {
        return;
    }
    let relay = TestRelay::start(|config| config.max_msg_size = 64 << 20);
    let room = echo::spawn(relay.addr());
    let results = run(&wstest, adapter::spawn(relay.addr(), room).unwrap());

    assert!(!results.is_empty(), "no case was run");
    let mut counts = BTreeMap::new();
    let mut failures = Vec::new();
    for (case, result) in &results {
        let verdict = |key: &str| result[key].as_str().unwrap_or("none");
        let (behavior, close) = (verdict("behavior"), verdict("behaviorClose"));
        *counts.entry(behavior).or_insert(0) += 1;
        let passed = |verdict| matches!(verdict, "OK" | "INFORMATIONAL");
        let excused = behavior == "NON-STRICT" && ECHO_MAY_BE_LATE.contains(&case.as_str());
        if !(passed(behavior) || excused) || !passed(close) {
            failures.push(format!("{case}: {behavior}, close {close}"));
        }
    }
    let _ = writeln!(io::stderr(), "autobahn: {counts:?}");
    assert!(failures.is_empty(), "{failures:#?}");
}

/// The suite's program: from `PATH`, or where `install.sh` puts it.
fn find_wstest() -> Option<PathBuf> {
    let installed = concat!(env!("CARGO_MANIFEST_DIR"), "/target/autobahn/bin/wstest");
    let installed = Some(PathBuf::from(installed)).filter(|program| program.is_file());
    find("wstest").or(installed)
}

/// Runs the suite against `address`; returns what it says of each case.
fn run(wstest: &Path, address: SocketAddr) -> BTreeMap<String, Value> {
    const AGENT: &str = "claude-distill-relay";
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("autobahn");
    fs::create_dir_all(&directory).unwrap();
    let reports = directory.join("reports");
    // A report of an earlier run must not pass for this one's.
    let _ = fs::remove_dir_all(&reports);

    let cases = env::var("AUTOBAHN_CASES").unwrap_or_else(|_| "*".to_owned());
    let spec = json!({
        "options": { "failByDrop": false },
        "outdir": reports,
        "servers": [{ "agent": AGENT, "url": format!("ws://{address}") }],
        "cases": cases.split(',').collect::<Vec<_>>(),
        "exclude-cases": EXCLUDED,
        "exclude-agent-cases": {},
    });
    let spec_file = directory.join("fuzzingclient.json");
    fs::write(&spec_file, spec.to_string()).unwrap();
    let status = Command::new(wstest)
        .args(["-m", "fuzzingclient", "-s"])
        .arg(&spec_file)
        .current_dir(&directory)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "wstest: {status}");
    let index = fs::read(reports.join("index.json")).unwrap();
    let mut index: BTreeMap<String, BTreeMap<String, Value>> =
        serde_json::from_slice(&index).unwrap();
    index.remove(AGENT).unwrap_or_default()
}
