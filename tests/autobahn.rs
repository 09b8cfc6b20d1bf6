//! WebSocket conformance, judged by the Autobahn Testsuite: its fuzzing client is a receiver in a
//! room whose sender echoes. `tests/autobahn/README.md` says how to repeat it and what came of it.
//!
//! The variable `AUTOBAHN_CASES` runs other cases, such as `6.*,7.*`; of lists with a blank between them the
//! first runs alone, and the others then side by side.
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
    thread,
};

use relay_testing::{
    TestRelay,
    skip::{find, is_too_long, skip},
};
use serde_json::{Value, json};

/// Cases in which a good message and a violation come together. What is wanted is the echo of the
/// one before the end for the other; here the echo comes from another client, and may come too
/// late. The relay may only be late: that it fails the connection, and with which code, is judged.
const ECHO_MAY_BE_LATE: [&str; 10] = [
    "3.2", "3.3", "3.4", "4.1.3", "4.1.4", "4.1.5", "4.2.3", "4.2.4", "4.2.5", "5.15",
];
/// Cases whose offer is declined: they want nothing compressed with more than 9 bits, which the relay could
/// not promise of others. They end there, as what is not implemented.
const DECLINED: [&str; 2] = ["13.3.", "13.5."];
/// What is run. The first ten groups run alone, as some of their cases give up after a second; the others then
/// side by side, as they take their time. Of the groups about compression, whose cases differ in the size of
/// what they send, those of up to 1 KiB, and one of 8 KiB in several frames. What the suite takes is the start
/// of a regular expression: without its `$`, `12.*.1` would have 12.1.10 too.
const CASES: &str = "1.*,2.*,3.*,4.*,5.*,6.*,7.*,9.*,10.* \
                     12.*.1$,12.*.2$,12.*.3$,12.*.4$,12.*.11$ \
                     13.*.1$,13.*.2$,13.*.3$,13.*.4$,13.*.11$";

#[test]
fn every_case_passes_or_is_explained() {
    let Some(wstest) = find_wstest() else {
        return skip("wstest");
    };
    if is_too_long() {
        return;
    }
    let relay = TestRelay::start(|config| config.max_msg_size = 64 << 20);
    let cases = env::var("AUTOBAHN_CASES").unwrap_or_else(|_| CASES.to_owned());
    let mut runs = cases.split_whitespace().enumerate().map(|(number, cases)| {
        let room = echo::spawn(relay.addr());
        let address = adapter::spawn(relay.addr(), room).unwrap();
        let (wstest, cases) = (wstest.clone(), cases.to_owned());
        thread::spawn(move || run(&wstest, address, number, &cases))
    });
    let first = runs.next().map(|run| run.join().unwrap());
    let others: Vec<_> = runs.collect();
    let others = others.into_iter().map(|run| run.join().unwrap());
    let results: BTreeMap<_, _> = first.into_iter().chain(others).flatten().collect();

    assert!(!results.is_empty(), "no case was run");
    let mut counts = BTreeMap::new();
    let mut failures = Vec::new();
    for (case, result) in &results {
        let verdict = |key: &str| result[key].as_str().unwrap_or("none");
        let (behavior, close) = (verdict("behavior"), verdict("behaviorClose"));
        *counts.entry(behavior).or_insert(0) += 1;
        let passed = |verdict| matches!(verdict, "OK" | "INFORMATIONAL");
        let excused = behavior == "NON-STRICT" && ECHO_MAY_BE_LATE.contains(&case.as_str());
        let declined = DECLINED.iter().any(|group| case.starts_with(group));
        if declined {
            // Nothing more to be judged, but that it was.
            if behavior != "UNIMPLEMENTED" {
                failures.push(format!("{case}: {behavior}, and not declined"));
            }
        } else if !(passed(behavior) || excused) || !passed(close) {
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

/// Runs these cases against `address`; returns what the suite says of each.
fn run(wstest: &Path, address: SocketAddr, number: usize, cases: &str) -> BTreeMap<String, Value> {
    const AGENT: &str = "claude-distill-relay";
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("autobahn/{number}"));
    fs::create_dir_all(&directory).unwrap();
    let reports = directory.join("reports");
    // A report of an earlier run must not pass for this one's.
    let _ = fs::remove_dir_all(&reports);

    let spec = json!({
        "options": { "failByDrop": false },
        "outdir": reports,
        "servers": [{ "agent": AGENT, "url": format!("ws://{address}") }],
        "cases": cases.split(',').collect::<Vec<_>>(),
        "exclude-cases": [],
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
