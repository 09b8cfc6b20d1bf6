//! The two formats, and what other programs make of them.

use std::{
    env,
    fs::File,
    io::Write,
    process::{Command, Stdio},
};

use relay_testing::{
    TestRelay,
    http::{Response, get, get_with},
    metrics::Metrics,
    pair, skip,
    skip::find,
};
use tempfile::TempDir;

const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Reads a page in each format with the parsers of Prometheus's own client library, and says how many
/// samples there were. In both they must be the same, as nothing has happened in between.
const PARSE: &str = r##"
import math, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as classic

def samples(parse, path):
    found = {}
    for family in parse(open(path, encoding="utf-8").read()):
        assert family.documentation, family.name
        assert family.type in ("counter", "gauge", "histogram", "info"), (family.name, family.type)
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, key
            assert math.isfinite(sample.value), key
            found[key] = sample.value
    return found

first, second = samples(classic, sys.argv[1]), samples(openmetrics, sys.argv[2])
assert first.keys() == second.keys(), first.keys() ^ second.keys()
# What the process itself takes differs from one page to the next.
for key, value in first.items():
    assert key[0].startswith("process_") or value == second[key], (key, value, second[key])
print(len(first))
"##;

/// A page in the format that this asks for.
fn page(relay: &TestRelay, accept: &str) -> Response {
    let line = format!("Accept: {accept}\r\n");
    let page = get_with(relay.addr(), "/metrics", &line).unwrap();
    assert_eq!(page.status, 200, "{page:?}");
    page
}

/// A relay that has had something to do.
async fn busy() -> TestRelay {
    let relay = TestRelay::start(|_| {});
    let (mut sender, mut receiver) = pair(&relay).await;
    for size in [3, 100_000] {
        sender.send(vec![1; size]).await;
        receiver.expect(vec![1; size]).await;
    }
    receiver.close().await;
    sender.expect_peer_gone().await;
    sender.close().await;
    relay.settled().await;
    relay
}

#[tokio::test]
async fn who_asks_gets_the_format_that_it_wants() {
    let relay = TestRelay::start(|_| {});
    for (accept, expected) in [
        ("*/*", CLASSIC),
        ("text/plain", CLASSIC),
        ("application/openmetrics-text", OPENMETRICS),
        (
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
            OPENMETRICS,
        ),
    ] {
        let page = page(&relay, accept);
        assert_eq!(page.header("content-type"), Some(expected), "{accept}");
        assert_eq!(page.header("vary"), Some("Accept"));
        let ends = page.body.ends_with("\n# EOF\n");
        assert_eq!(ends, expected == OPENMETRICS, "{accept}");
    }
    let page = get(relay.addr(), "/metrics").unwrap();
    assert_eq!(page.header("content-type"), Some(CLASSIC));
    let metrics = Metrics::parse(&page.body);
    assert_eq!(metrics.get("relay_rooms_opened_total"), 0);
    assert!(
        page.body
            .contains("# TYPE relay_rooms_opened_total counter\n")
    );
}

#[tokio::test]
async fn prometheuss_own_client_library_reads_both_formats() {
    let python = env::var("RELAY_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let probe = Command::new(&python)
        .args(["-c", "import prometheus_client"])
        .output();
    if !probe.is_ok_and(|output| output.status.success()) {
        return skip(&format!("{python} with prometheus_client"));
    }
    let relay = busy().await;
    let folder = TempDir::new().unwrap();
    let paths = [("classic", "text/plain"), ("open", OPENMETRICS)].map(|(name, accept)| {
        let path = folder.path().join(name);
        let page = page(&relay, accept).body;
        File::create(&path)
            .unwrap()
            .write_all(page.as_bytes())
            .unwrap();
        path
    });
    let read = Command::new(python)
        .args(["-c", PARSE])
        .args(&paths)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&read.stdout);
    let complaint = String::from_utf8_lossy(&read.stderr);
    assert!(read.status.success(), "{complaint}");
    let samples: usize = said.trim().parse().unwrap();
    let metrics = relay.metrics();
    assert_eq!(samples, metrics.names().count());
}

#[tokio::test]
async fn promtool_finds_nothing_to_better() {
    let Some(promtool) = find("promtool") else {
        return skip("promtool");
    };
    let relay = busy().await;
    let page = page(&relay, "text/plain").body;
    let mut check = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The page fits into the pipe, or is read meanwhile.
    let mut stdin = check.stdin.take().unwrap();
    stdin.write_all(page.as_bytes()).unwrap();
    drop(stdin);
    let checked = check.wait_with_output().unwrap();
    let said = [checked.stdout, checked.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(checked.status.success() && said.is_empty(), "{said}");
}

/// A quote would have to be escaped in one of the formats, and must not be in the other.
#[tokio::test]
async fn no_help_has_what_the_formats_write_differently() {
    let relay = TestRelay::start(|_| {});
    let page = page(&relay, OPENMETRICS).body;
    let help = page.lines().filter(|line| line.starts_with("# HELP"));
    for line in help {
        assert!(!line.contains(['"', '\\']), "{line}");
        assert!(line.split(' ').count() > 3, "{line}");
    }
}
