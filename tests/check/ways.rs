//! The ways that clients come to a relay by: a check of the machine goes them all, and says which hop is
//! broken. nginx is played by a script that prints its configuration and by a proxy of ours; the real one
//! is in tests/deploy.rs.

use std::{fs, os::unix::fs::PermissionsExt, sync::Arc};

use relay_testing::{TestRelay, certificate::Certificate, port::Port, proxy::Proxy};

use crate::doubles::{
    Double,
    command::{Check, Outcome},
};

/// What a check of the machine comes to whose nginx has one site, at `site`, and whose relay is at `relay`.
fn check(relay: u16, site: u16, arguments: &[&str]) -> Outcome {
    prepared(relay, site, arguments).json()
}

fn prepared(relay: u16, site: u16, arguments: &[&str]) -> Check {
    let port = relay.to_string();
    let check = Check::new(&[&["--port", &port, "check"], arguments].concat());
    let script = format!(
        "#!/bin/sh\ncat <<END\n# configuration file /etc/nginx/nginx.conf:\nhttp {{ server {{\n\
         listen 127.0.0.1:{site}; server_name relay.example.com;\n\
         location / {{ proxy_pass http://127.0.0.1:{relay}; }} }} }}\nEND\n"
    );
    let nginx = check.directory().join("nginx");
    fs::write(&nginx, script).unwrap();
    fs::set_permissions(&nginx, fs::Permissions::from_mode(0o755)).unwrap();
    let tools = format!("{}:/usr/bin:/bin", check.directory().display());
    check.env("PATH", tools)
}

fn proxy(relay: &TestRelay) -> Arc<Proxy> {
    Proxy::to(relay.port()).naming_clients().start()
}

#[tokio::test]
async fn the_relay_is_met_through_nginx_by_the_name_of_its_site() {
    let relay = TestRelay::start(|_| {});
    let outcome = check(relay.port(), proxy(&relay).port, &[]);
    assert_eq!(outcome.exit, 0, "{}", outcome.json);
    outcome.is(
        "site",
        "ok",
        "relay.example.com through nginx at 127.0.0.1:",
    );
    outcome.is("address", "ok", "only this machine");
    outcome.is("public", "skip", "no public name");
    relay.settled().await;
}

#[tokio::test]
async fn whatever_is_broken_in_nginx_is_named() {
    let relay = TestRelay::start(|_| {});
    let (dead, other) = (Port::reserve(), TestRelay::start(|_| {}));
    let page = |status: &str| {
        let head =
            format!("HTTP/1.1 {status}\r\nServer: nginx/1.22.1\r\nContent-Length: 0\r\n\r\n");
        Double::answering(&head).port
    };
    for (site, part) in [
        (dead.number(), "nginx is stopped"),
        (
            page("502 Bad Gateway"),
            "finds nobody on the port that it passes on to",
        ),
        (
            page("404 Not Found"),
            "another site of nginx's answers to relay.example.com",
        ),
        (page("200 OK"), "another site of nginx's answers"),
        (page("403 Forbidden"), "auth_basic"),
        (proxy(&other).port, "another relay answers there"),
    ] {
        let outcome = check(relay.port(), site, &[]);
        outcome.only_trouble("site", "fail", part);
    }
    relay.settled().await;
    other.settled().await;
}

#[tokio::test]
async fn the_public_name_is_gone_to_where_it_is_given() {
    let relay = TestRelay::start(|_| {});
    let site = proxy(&relay).port;
    let public = |port: u16| {
        let url = format!("ws://127.0.0.1:{port}");
        check(relay.port(), site, &["--public", &url])
    };
    let outcome = public(proxy(&relay).port);
    assert_eq!(outcome.exit, 0, "{}", outcome.json);
    outcome.is("public", "ok", "leads to the relay");

    let other = TestRelay::start(|_| {});
    public(proxy(&other).port).only_trouble("public", "fail", "another relay answers there");
    // Not to reach oneself by it is no proof that others do not.
    let dead = Port::reserve();
    public(dead.number()).only_trouble("public", "warn", "from another machine");
    relay.settled().await;
    other.settled().await;
}

#[tokio::test]
async fn a_way_that_fails_behind_its_certificate_tells_when_that_ends() {
    let (relay, other) = (TestRelay::start(|_| {}), TestRelay::start(|_| {}));
    let certificate = Certificate::ending_in(13);
    let roots = certificate.roots.clone();
    let astray = Proxy::to(other.port()).with(certificate).start();
    let url = format!("wss://127.0.0.1:{}", astray.port);
    let check = prepared(relay.port(), proxy(&relay).port, &["--public", &url]);
    let outcome = check.trusting(&roots).json();
    outcome.only_trouble("public", "fail", "another relay answers there");
    let public = outcome.steps().find(|step| step["step"] == "public");
    assert!(public.unwrap()["expires"].is_u64(), "{}", outcome.json);
    relay.settled().await;
    other.settled().await;
}

/// Behind what passes on bytes, strangers look like the operator, and see his pages.
#[tokio::test]
async fn a_way_by_which_everybody_sees_the_relays_pages_is_a_failure() {
    let relay = TestRelay::start(|_| {});
    let (silent, named) = (Proxy::to(relay.port()).start(), proxy(&relay));
    let outcome = check(relay.port(), silent.port, &[]);
    outcome.only_trouble("site", "fail", "everybody sees /metrics");
    outcome.is("site", "fail", "RELAY_METRICS_ALLOW= (empty)");
    let url = format!("ws://127.0.0.1:{}", silent.port);
    let outcome = check(relay.port(), named.port, &["--public", &url]);
    outcome.only_trouble("public", "fail", "everybody sees /metrics");
    relay.settled().await;

    // With the advice followed: from here on nobody sees them.
    let relay = TestRelay::start(|config| config.metrics_allow = Vec::new());
    let silent = Proxy::to(relay.port()).start();
    check(relay.port(), silent.port, &[]).is("site", "ok", "leads to the relay");
}

#[test]
fn a_relay_that_is_broken_itself_is_not_looked_for_elsewhere() {
    let relay = TestRelay::start(|_| {});
    let dead = Port::reserve();
    let outcome = check(dead.number(), proxy(&relay).port, &[]);
    outcome.only_trouble("listening", "fail", "nothing listens");
    outcome.is("site", "skip", "not tried");
}

#[test]
fn a_relay_that_others_reach_past_its_proxy_is_a_warning() {
    let relay = TestRelay::start(|config| config.host = "0.0.0.0".to_owned());
    let check = Check::new(&[
        "--host=0.0.0.0",
        "--port",
        &relay.port().to_string(),
        "check",
    ]);
    let outcome = check.env("PATH", "/nowhere").json();
    outcome.is("address", "warn", "RELAY_HOST=127.0.0.1");
    assert_eq!(outcome.exit, 1, "{}", outcome.json);
}

/// As with a `ListenStream=` of systemd's, of which the settings know nothing.
#[test]
fn what_really_listens_is_what_others_may_reach() {
    for (address, status) in [("0.0.0.0", "warn"), ("127.0.0.1", "ok")] {
        let listener = std::net::TcpListener::bind((address, 0)).unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let arguments = ["--port", &port, "check", "--timeout=0.3"];
        let outcome = Check::new(&arguments).json();
        outcome.is("address", status, address);
    }
    let arguments = ["--host=relay.invalid", "--port=1", "check", "--timeout=0.3"];
    Check::new(&arguments)
        .json()
        .is("address", "skip", "does not resolve");
}
