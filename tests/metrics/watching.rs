//! What watches the relay: the dashboard and the alerts of `deploy/`, by themselves and with a real
//! Prometheus that scrapes a relay under load.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use claude_distill_relay::config::{Config, NatsServers, Secret};
use relay_client::url::Url;
use relay_testing::{
    Client, DEADLINE, Raw, TestRelay,
    cluster::{Nats, SECRET, nats_url, until_settled},
    frame,
    http::get,
    metrics::Metrics,
    pair,
    port::Port,
    program::{Process, Program},
    skip,
    skip::{find, is_too_long},
    wire::TEXT,
    within,
};
use serde_json::Value;
use tempfile::TempDir;

/// How often to ask again for what is bound to come.
const ASK_AGAIN: Duration = Duration::from_millis(100);

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(file)
}

/// All that the dashboard asks Prometheus for, with what Grafana puts in place of its variables.
fn expressions() -> Vec<(String, String)> {
    let text = fs::read_to_string(deploy("grafana-dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut expressions = Vec::new();
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap();
            let expression = expression.replace("$__rate_interval", "10s");
            let expression = expression.replace("$instance", ".*");
            assert!(!expression.contains('$'), "{title}: {expression}");
            expressions.push((title.to_owned(), expression));
        }
    }
    assert!(expressions.len() > 40, "{expressions:#?}");
    expressions
}

/// The metrics that a text names.
fn named_in(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("relay_") || word.starts_with("process_"));
    ours.collect()
}

/// What a text asks for by name and label: `name{label="value"}` for each value, if it names several.
fn labelled_in(text: &str) -> BTreeSet<String> {
    let mut asked = BTreeSet::new();
    for (before, after) in text.match_indices('{').map(|(at, _)| text.split_at(at)) {
        let starts = before.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let name = &before[starts.map_or(0, |at| at + 1)..];
        let Some((labels, _)) = after[1..].split_once('}') else {
            continue;
        };
        if !name.starts_with("relay_") {
            continue;
        }
        for label in labels.split(", ") {
            let (label, values) = label.split_once('"').unwrap();
            let label = label.trim_end_matches(['=', '!', '~']);
            let values = values.trim_end_matches('"').split('|');
            if label != "instance" {
                asked.extend(values.map(|value| format!("{name}{{{label}=\"{value}\"}}")));
            }
        }
    }
    asked
}

/// Makes this relay a node of a cluster.
fn node(config: &mut Config, nats: &str) {
    config.cluster_nats = NatsServers::parse(nats).unwrap();
    config.cluster_address = Some(Url::parse("ws://127.0.0.1:9").unwrap());
    config.cluster_secret = Secret::parse(SECRET).unwrap();
}

/// What a check of this relay tells, and what it tells of a certificate as well.
fn figures_of_a_check(relay: &TestRelay) -> Metrics {
    let check = Command::new(env!("CARGO_BIN_EXE_claude-distill-relay"))
        .args(["check", "--metrics", &relay.url()])
        .output()
        .unwrap();
    let page = String::from_utf8(check.stdout).unwrap();
    Metrics::parse(&(page + "relay_check_certificate_expiry_timestamp_seconds 1\n"))
}

/// A panel or an alert that asks for what is not there would be silent for ever.
#[tokio::test]
async fn the_dashboard_and_the_alerts_ask_for_what_there_is() {
    let nobody = Port::reserve();
    let relay = TestRelay::start(|config| node(config, &nats_url(nobody.addr())));
    let pages = [relay.metrics(), figures_of_a_check(&relay)];
    let labelled: BTreeSet<_> = pages.iter().flat_map(Metrics::names).collect();
    let names: BTreeSet<_> = labelled
        .iter()
        .map(|name| name.split('{').next().unwrap())
        .collect();
    let alerts = fs::read_to_string(deploy("prometheus-alerts.yml")).unwrap();
    let texts: Vec<_> = expressions()
        .into_iter()
        .map(|(_, expression)| expression)
        .chain([alerts])
        .collect();
    let asked = texts.iter().flat_map(|text| named_in(text));
    let missing: BTreeSet<_> = asked.filter(|name| !names.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?} of {names:#?}");
    let asked: BTreeSet<_> = texts.iter().flat_map(|text| labelled_in(text)).collect();
    assert!(asked.len() > 10, "{asked:#?}");
    let missing: Vec<_> = asked
        .iter()
        .filter(|name| !labelled.contains(name.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?} of {labelled:#?}");
}

/// The line of the guides that writes the figures of a check down each hour.
#[test]
fn a_check_that_cannot_run_leaves_the_figures_of_the_last_one() {
    for guide in ["README.md", "README.ko.md"] {
        let text = fs::read_to_string(deploy(guide)).unwrap();
        let line = text.lines().find(|line| line.contains("check --metrics >"));
        let (_, command) = line.unwrap().split_once("&& {").unwrap();
        let folder = TempDir::new().unwrap();
        let (figures, program) = (
            folder.path().join("relay.prom"),
            folder.path().join("claude-distill-relay"),
        );
        fs::write(&figures, "the last\n").unwrap();
        let after = || {
            let path = format!("{}:/usr/bin:/bin", folder.path().display());
            Command::new("sh")
                .args(["-c", &format!("{{{command}")])
                .current_dir(folder.path())
                .env("PATH", path)
                .output()
                .unwrap();
            fs::read_to_string(&figures).unwrap()
        };
        assert_eq!(after(), "the last\n", "{guide}: there is no program");
        let script = |text: &str| {
            fs::write(&program, format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        };
        script("exit 101");
        assert_eq!(after(), "the last\n", "{guide}: it dies");
        script("echo news; exit 2");
        assert_eq!(after(), "news\n", "{guide}");
    }
}

#[test]
fn the_alerts_are_raised_when_they_should_be() {
    let Some(promtool) = find("promtool") else {
        return skip("promtool");
    };
    for arguments in [
        ["check", "rules", "prometheus-alerts.yml"],
        ["test", "rules", "prometheus-alerts.test.yml"],
    ] {
        let ended = Command::new(&promtool)
            .current_dir(deploy(""))
            .args(arguments)
            .output()
            .unwrap();
        let said = [ended.stdout, ended.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(ended.status.success(), "{arguments:?}: {said}");
    }
}

/// A Prometheus that scrapes one relay each second.
struct Prometheus {
    addr: SocketAddr,
    _process: Process,
}

impl Prometheus {
    async fn scraping(program: PathBuf, relay: &TestRelay) -> Self {
        let port = Port::reserve();
        let addr = port.addr();
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: [{:?}]\n\
             scrape_configs:\n\
             - job_name: claude-distill-relay\n  \
               static_configs: [{{targets: [{:?}]}}]\n",
            deploy("prometheus-alerts.yml"),
            relay.addr().to_string(),
        );
        let mut process = Program::new(program)
            .file("prometheus.yml", &config)
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .args([format!("--web.listen-address={addr}")])
            .spawn()
            .unwrap();
        process.listens_at(addr).unwrap();
        let prometheus = Self {
            addr,
            _process: process,
        };
        let ready = async {
            while !prometheus.ask("/-/ready").0.contains(" 200 ") {
                tokio::time::sleep(ASK_AGAIN).await;
            }
        };
        within("a Prometheus that is ready", ready).await;
        prometheus
    }

    /// The head and the body of an answer. Of HTTP/1.0, so that a body comes in one piece.
    fn ask(&self, target: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(stream, "GET {target} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    fn json(&self, target: &str) -> Value {
        let (head, body) = self.ask(target);
        let answer: Value = serde_json::from_str(&body).unwrap_or_default();
        assert_eq!(answer["status"], "success", "{target}: {head}\n{body}");
        answer["data"].clone()
    }

    /// What an expression comes to now: one value for each set of labels.
    fn query(&self, expression: &str) -> Vec<f64> {
        let mut target = "/api/v1/query?query=".to_owned();
        for byte in expression.bytes() {
            write!(target, "%{byte:02X}").unwrap();
        }
        let data = self.json(&target);
        let results = data["result"].as_array().unwrap();
        let value = |result: &Value| result["value"][1].as_str().unwrap().parse().unwrap();
        results.iter().map(value).collect()
    }

    /// Waits until an expression comes to something that holds.
    async fn until(&self, expression: &str, holds: impl Fn(&[f64]) -> bool) {
        let mut last = Vec::new();
        let asking = async {
            loop {
                last = self.query(expression);
                if holds(&last) {
                    return;
                }
                tokio::time::sleep(ASK_AGAIN).await;
            }
        };
        let came = tokio::time::timeout(DEADLINE, asking).await;
        assert!(came.is_ok(), "{expression}: {last:?}");
    }
}

/// Transfers one after another, and what is refused; returns the bytes of payload that were sent.
async fn load(relay: &TestRelay) -> u64 {
    const SIZE: usize = 300_000;
    let (mut sender, mut receiver) = pair(relay).await;
    for _ in 0..3 {
        sender.send(vec![1; SIZE]).await;
        receiver.expect(vec![1; SIZE]).await;
    }
    receiver.send("thanks".to_owned()).await;
    sender.expect("thanks".to_owned()).await;
    receiver.round_trip().await;
    receiver.close().await;
    sender.expect_peer_gone().await;
    sender.close().await;
    let mut guesser = Client::connect(relay).await;
    guesser
        .send(r#"{"type":"JOIN_ROOM","room_id":"aaaaaa"}"#.to_owned())
        .await;
    guesser.expect_error("room_not_found").await;
    guesser.vanish();
    let mut alone = Raw::connect(relay).await;
    alone.create_room().await;
    alone.send(frame(TEXT, "to nobody")).await;
    alone.expect_error("no_peer").await;
    alone.vanish();
    Raw::ask(relay, "GET / HTTP/1.1\r\nHost: relay\r\n\r\n").await;
    (3 * SIZE + "thanks".len() + "to nobody".len()) as u64
}

#[tokio::test]
async fn a_real_prometheus_answers_every_panel_of_the_dashboard() {
    let Some(program) = find("prometheus") else {
        return skip("prometheus");
    };
    if is_too_long() {
        return;
    }
    let Some(nats) = Nats::start() else {
        return;
    };
    let relay = TestRelay::start(|config| node(config, &nats.url()));
    until_settled(relay.addr()).await;
    let prometheus = Prometheus::scraping(program, &relay).await;
    let up = r#"up{job="claude-distill-relay"}"#;
    prometheus.until(up, |up| up == [1.0]).await;

    let mut sent = 0;
    for _ in 0..3 {
        sent += load(&relay).await;
    }
    relay.settled().await;
    for (direction, bytes) in [("in", sent), ("out", sent - 27)] {
        let payload = format!("relay_payload_bytes_total{{direction=\"{direction}\"}}");
        prometheus
            .until(&payload, |taken| taken == [bytes as f64])
            .await;
    }
    let uneven = r#"sum(relay_payload_bytes_total{direction="in"})
        - sum(relay_payload_bytes_total{direction="out"})
        - sum(relay_dropped_bytes_total) - sum(relay_held_bytes)"#;
    assert_eq!(prometheus.query(uneven), [0.0]);
    assert_eq!(
        prometheus.query("relay_transfer_bytes_sum"),
        [(sent - 3 * (6 + 9)) as f64]
    );
    assert_eq!(
        prometheus.query(r#"relay_transfers_total{outcome="finished"}"#),
        [3.0]
    );

    // Rates want two scrapes.
    for (title, expression) in expressions() {
        prometheus
            .until(&expression, |answer| !answer.is_empty())
            .await;
        println!("{title}: {expression}");
    }
    // As often as it is asked, the figures of the relay are those that Prometheus has.
    let rooms = Metrics::parse(&get(relay.addr(), "/metrics").unwrap().body);
    let opened = prometheus.query("relay_rooms_opened_total");
    assert_eq!(opened, [rooms.get("relay_rooms_opened_total") as f64]);

    // Once each, before which nothing is known of an alert.
    let judged = async {
        loop {
            let rules = prometheus.json("/api/v1/rules");
            let rules = rules["groups"][0]["rules"].as_array().unwrap().clone();
            if rules.iter().all(|rule| rule["health"] != "unknown") {
                return rules;
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    };
    let rules = within("a look at each alert", judged).await;
    assert!(rules.len() > 10, "{rules:#?}");
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule:#}");
        assert_eq!(rule["state"], "inactive", "{rule:#}");
    }
}
