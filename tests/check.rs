//! `claude-distill-relay check`, as an operator runs it, against relays and against what is mistaken
//! for one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod doubles;
#[path = "check/hostile.rs"]
mod hostile;
#[path = "check/keys.rs"]
mod keys;
#[path = "check/own_rooms.rs"]
mod own_rooms;
#[path = "check/tls.rs"]
mod tls;
#[path = "check/ways.rs"]
mod ways;

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use relay_testing::{Client, TestRelay, pair, port::Port, proxy::Proxy, reply};

use self::doubles::{Double, command::Check};

#[tokio::test]
async fn a_relay_that_works_is_well_in_every_step_and_keeps_no_room() {
    let relay = TestRelay::start(|config| config.max_rooms = 1);
    let outcome = Check::local(relay.port(), &["--idle=0.2"]).json();
    assert_eq!(outcome.exit, 0, "{}", outcome.json);
    let names: Vec<_> = outcome
        .steps()
        .map(|it| it["step"].as_str().unwrap())
        .collect();
    let steps = [
        "config",
        "listening",
        "relay",
        "room",
        "join",
        "data",
        "ping",
        "idle",
        "leave",
    ];
    assert_eq!(names, steps);
    for step in outcome.steps() {
        assert_eq!(step["status"], "ok", "{step}");
        assert!(
            step["detail"].is_string() && step["milliseconds"].is_u64(),
            "{step}"
        );
        assert!(
            step.get("means").is_none() && step.get("next").is_none(),
            "{step}"
        );
    }
    assert_eq!(outcome.json["status"], "ok");
    assert_eq!(
        outcome.json["target"],
        format!("ws://127.0.0.1:{}/", relay.port())
    );
    assert_eq!(
        outcome.json["version"],
        claude_distill_relay::version::SHOWN
    );
    outcome.is("data", "ok", "1 MiB each way");
    relay.settled().await;

    // From outside, and with the only room there is.
    let url = format!("ws://127.0.0.1:{}", relay.port());
    let outcome = Check::new(&["check", &url]).json();
    assert_eq!(outcome.exit, 0, "{}", outcome.json);
    outcome.is("dns", "skip", "");
    outcome.is("caller", "ok", "without a proxy");
    relay.settled().await;
}

#[test]
fn the_table_is_plain_text_without_the_rooms_code() {
    let relay = TestRelay::start(|config| config.room_code_length = 15);
    let (exit, text) = Check::local(relay.port(), &[]).text();
    assert_eq!(exit, 0, "{text}");
    assert!(text.starts_with("Checking ws://127.0.0.1:"), "{text}");
    assert!(
        text.contains("\n  ok    listening   connected to 127.0.0.1:"),
        "{text}"
    );
    assert!(text.ends_with("All is well.\n"), "{text}");
    assert!(!text.contains('\x1b'), "{text}");
    let mut words = text.split(|char: char| !char.is_ascii_alphanumeric());
    assert!(words.all(|word| word.len() != 15), "{text}");
}

#[test]
fn a_dead_port_is_refused_and_the_rest_not_tried() {
    let dead = Port::reserve();
    let port = dead.number();
    let (exit, text) = Check::local(port, &[]).text();
    assert_eq!(exit, 2, "{text}");
    for part in [
        format!("fail  listening   nothing listens on 127.0.0.1:{port}: connection refused\n")
            .as_str(),
        "        means: the relay does not run",
        // No advice that is of no use here.
        match Path::new("/run/systemd/system").is_dir() {
            true => "        next:  systemctl status claude-distill-relay",
            false => "        next:  its start, if it does not run: claude-distill-relay",
        },
        "skip  leave       not tried",
        "\n1 failure, 0 warnings.\n",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let of_systemd = ["systemctl", "journalctl"]
        .iter()
        .any(|it| text.contains(it));
    assert!(
        Path::new("/run/systemd/system").is_dir() || !of_systemd,
        "{text}"
    );
    let url = format!("ws://127.0.0.1:{port}/");
    let outcome = Check::new(&["check", &url]).json();
    outcome.only_trouble("listening", "fail", "nothing listens");
    for step in ["relay", "room", "join", "data", "ping", "leave"] {
        outcome.is(step, "skip", "not tried");
    }
}

#[test]
fn a_bad_setting_is_the_finding() {
    let outcome = Check::new(&["--max-rooms", "0", "check", "--relay-only"]).json();
    outcome.only_trouble(
        "config",
        "fail",
        "RELAY_MAX_ROOMS, from the flag --max-rooms",
    );
    outcome.is("relay", "skip", "not tried");
    let outcome = Check::new(&["--port", "0", "check", "--relay-only"]).json();
    outcome.only_trouble("config", "warn", "any free port");
}

#[test]
fn the_file_in_the_directory_says_where_the_relay_is() {
    let relay = TestRelay::start(|_| {});
    let check = Check::new(&["check", "--relay-only"]);
    let settings = format!(
        "RELAY_HOST=0.0.0.0\nRELAY_PORT={}\nRELAY_MAX_ROOM=3\n",
        relay.port()
    );
    fs::write(check.directory().join(".env.relay"), settings).unwrap();
    let outcome = check.json();
    outcome.only_trouble("config", "warn", "RELAY_MAX_ROOM");
    outcome.is("leave", "ok", "");
}

/// As on a machine without IPv6, where every address is every IPv4 one.
#[test]
fn a_relay_on_every_address_is_met_by_ipv4_where_ipv6_has_none() {
    let relay = TestRelay::start(|_| {});
    let port = relay.port().to_string();
    let arguments = ["--host=::", "--port", &port, "check", "--relay-only"];
    let outcome = Check::new(&arguments).json();
    assert_eq!(outcome.exit, 0, "{}", outcome.json);
    outcome.is("listening", "ok", &format!("127.0.0.1:{port}"));
    outcome.is("leave", "ok", "");
}

#[tokio::test]
async fn less_is_sent_where_the_relay_is_configured_for_less() {
    let relay = TestRelay::start(|config| {
        config.max_msg_size = 1000;
        config.session_bytes_per_sec = 5000;
    });
    let check = Check::new(&[
        "--port",
        &relay.port().to_string(),
        "--max-msg-size=1000",
        "--session-bytes-per-sec=5000",
        "check",
        "--relay-only",
    ]);
    let outcome = check.json();
    outcome.is("data", "ok", "10000 bytes each way");
    assert_eq!(outcome.exit, 0);
    let relay = TestRelay::start(|config| config.max_msg_size = 1000);
    // From outside nobody knows, and is told.
    let outcome = Check::new(&["check", &format!("ws://127.0.0.1:{}", relay.port())]).json();
    outcome.only_trouble("data", "warn", "RELAY_MAX_MSG_SIZE");
    relay.settled().await;
}

#[test]
fn a_proxys_error_page_is_known_for_one() {
    let page = "<html><head><title>502 Bad Gateway</title></head></html>";
    let double = Double::answering(&format!(
        "HTTP/1.1 502 Bad Gateway\r\nServer: nginx/1.22.1\r\nContent-Length: {}\r\n\r\n{page}",
        page.len()
    ));
    let outcome = Check::new(&["check", &format!("ws://127.0.0.1:{}", double.port)]).json();
    outcome.only_trouble(
        "relay",
        "fail",
        "HTTP 502 Bad Gateway from nginx/1.22.1, an HTML page",
    );
    outcome.is("relay", "fail", "the relay behind it does not answer");
    outcome.is("room", "skip", "not tried");
    // On this machine's own port it is no proxy, but another program.
    let outcome = Check::local(double.port, &[]).json();
    outcome.only_trouble("relay", "fail", "another program than the relay");
}

#[test]
fn a_strangers_page_steers_no_terminal() {
    let page = "<html><title>\u{9b}2J\u{202e}\u{200f}\u{feff}</title></html>";
    let double = Double::answering(&format!(
        "HTTP/1.1 502 Bad Gateway\r\nServer: \u{9b}31m\r\nContent-Length: {}\r\n\r\n{page}",
        page.len()
    ));
    let url = format!("ws://127.0.0.1:{}", double.port);
    for (arguments, server, title) in [
        (
            vec!["check", &url],
            r"from \u{9b}31m,",
            r#""\u{9b}2J\u{202e}\u{200f}\u{feff}""#,
        ),
        (
            vec!["check", &url, "--json"],
            r"from \u009b31m,",
            r#"\"\u009b2J\u202e\u200f\ufeff\""#,
        ),
    ] {
        let (exit, text) = Check::new(&arguments).text();
        assert_eq!(exit, 2, "{text}");
        assert!(text.contains(server) && text.contains(title), "{text}");
    }
    let outcome = Check::new(&["check", &url]).json();
    outcome.only_trouble("relay", "fail", "502");
    let detail = outcome.step("relay")["detail"].as_str().unwrap();
    assert!(detail.contains("\u{9b}2J\u{202e}"), "{detail:?}");
}

#[test]
fn something_that_speaks_no_http_is_said_to() {
    let double = Double::answering("SSH-2.0-OpenSSH_9.2\x1b[2J\r\n");
    let outcome = Check::new(&["check", &format!("ws://127.0.0.1:{}", double.port)]).json();
    outcome.only_trouble("relay", "fail", "does not speak HTTP");
}

#[test]
fn one_that_accepts_and_says_nothing_does_not_hold_us() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let outcome = Check::local(port, &["--timeout=0.3"]).json();
    outcome.only_trouble("relay", "fail", "nothing came of it in 0.3 s");
    outcome.is(
        "listener",
        "ok",
        &format!("(process {})", std::process::id()),
    );
    let outcome = Check::new(&["check", &format!("wss://127.0.0.1:{port}"), "--timeout=0.3"]);
    outcome
        .json()
        .only_trouble("tls", "fail", "nothing came of it");
}

#[tokio::test]
async fn a_full_relay_is_a_warning() {
    let relay = TestRelay::start(|config| config.max_rooms = 1);
    let mut sender = Client::connect(&relay).await;
    sender.create_room().await;
    let outcome = Check::local(relay.port(), &[]).json();
    outcome.only_trouble("room", "warn", "RELAY_MAX_ROOMS");
    drop(sender);
    relay.settled().await;

    let relay = TestRelay::start(|config| config.max_sessions = 1);
    let outcome = Check::local(relay.port(), &[]).json();
    outcome.only_trouble("join", "warn", "RELAY_MAX_SESSIONS");
    outcome.is("leave", "skip", "no room is left");
    relay.settled().await;
}

#[tokio::test]
async fn a_rate_limited_relay_is_a_warning() {
    let relay = TestRelay::start(|config| config.address_rate_limit_max = 3);
    assert_eq!(Check::local(relay.port(), &[]).json().exit, 0);
    let outcome = Check::local(relay.port(), &[]).json();
    outcome.only_trouble("join", "warn", "wants us to wait for");
    relay.settled().await;
    let outcome = Check::local(relay.port(), &[]).json();
    outcome.only_trouble("room", "warn", "rate_limited");
    relay.settled().await;
}

#[tokio::test]
async fn a_relay_that_is_stopping_says_so() {
    let mut relay = TestRelay::start(|config| config.drain_timeout = Duration::from_secs(20));
    let pair = pair(&relay).await;
    relay.stop();
    let outcome = Check::local(relay.port(), &[]).json();
    outcome.only_trouble("relay", "warn", "stopping or restarting");
    drop(pair);
}

#[test]
fn a_proxy_that_drops_the_upgrade_is_told_from_the_relay() {
    let relay = TestRelay::start(|_| {});
    let proxy = Proxy::to(relay.port())
        .rewriting("Upgrade: websocket\r\n", "")
        .start();
    let outcome = Check::new(&["check", &format!("ws://127.0.0.1:{}", proxy.port)]).json();
    outcome.only_trouble("relay", "fail", "the relay is reached, but as plain HTTP");
}

#[test]
fn settings_can_be_checked_before_a_relay_has_them() {
    let check = |settings: &str| {
        let check = Check::new(&["check", "--settings"]);
        fs::write(check.directory().join(".env.relay"), settings).unwrap();
        check.json()
    };
    let outcome = check("RELAY_MAX_ROOMS=7\nRELAY_PORT=1\n");
    assert_eq!(outcome.exit, 0, "{}", outcome.json);
    assert_eq!(outcome.steps().count(), 1, "{}", outcome.json);
    outcome.is("config", "ok", ".env.relay");
    check("RELAY_MAX_ROOMS=many\n").only_trouble("config", "fail", "RELAY_MAX_ROOMS");
    check("RELAY_MAX_ROOM=7\n").only_trouble("config", "warn", "RELAY_MAX_ROOMS");
}

#[tokio::test]
async fn a_proxy_that_cuts_idle_connections_is_found_out() {
    let relay = TestRelay::start(|_| {});
    let proxy = Proxy::to(relay.port())
        .cutting_after(Duration::from_secs(3))
        .start();
    let url = format!("ws://127.0.0.1:{}", proxy.port);
    let outcome = Check::new(&["check", &url, "--idle=60"]).json();
    outcome.only_trouble("idle", "fail", "cut off after");
    outcome.is("idle", "fail", "proxy_read_timeout");
    relay.settled().await;
}

#[test]
fn a_name_that_does_not_exist_is_said_to() {
    let outcome = Check::new(&["check", "wss://relay.invalid"]).json();
    outcome.only_trouble("dns", "fail", "relay.invalid does not resolve");
    outcome.is("tls", "skip", "not tried");
}

#[test]
fn what_is_no_relays_url_is_a_usage_error() {
    for url in ["https://relay.example.com", "relay.example.com", "wss://"] {
        let (exit, _, said) = Check::new(&["check", url]).all();
        assert_eq!(exit, 2, "{url}");
        assert!(said.contains("invalid value"), "{said}");
    }
}

#[test]
fn what_stands_around_the_relay_is_asked_by_its_own_tools() {
    let relay = TestRelay::start(|_| {});
    let check = Check::new(&["--port", &relay.port().to_string(), "check"]);
    let nginx = check.directory().join("nginx");
    let script =
        "#!/bin/sh\necho 'nginx: [emerg] unknown directive \"x\" in /etc/y:1' >&2\nexit 1\n";
    fs::write(&nginx, script).unwrap();
    fs::set_permissions(&nginx, fs::Permissions::from_mode(0o755)).unwrap();
    let tools = format!("{}:/usr/bin:/bin", check.directory().display());
    let outcome = check.env("PATH", tools).json();
    outcome.is("nginx", "fail", "in /etc/y:1");
    assert_eq!(outcome.exit, 2);
    for step in ["unit", "tunnel"] {
        assert!(outcome.step(step)["detail"].is_string());
    }
}

#[tokio::test]
async fn a_relay_that_has_us_wait_for_our_turn_is_a_warning() {
    let relay = TestRelay::start(|config| {
        config.failed_join_max = 1;
        config.failed_join_window = Duration::from_secs(60);
    });
    let mut guesser = Client::connect(&relay).await;
    guesser.send(reply::join("wrong1")).await;
    guesser.expect_error("room_not_found").await;
    let outcome = Check::local(relay.port(), &["--timeout=2"]).json();
    outcome.only_trouble("join", "warn", "keeps a join waiting");
    drop(guesser);
    relay.settled().await;
}

#[tokio::test]
async fn an_address_that_has_its_share_is_a_warning() {
    let relay = TestRelay::start(|config| config.address_sessions = 1);
    let outcome = Check::local(relay.port(), &[]).json();
    outcome.only_trouble("join", "warn", "RELAY_ADDRESS_SESSIONS");
    relay.settled().await;

    let relay = TestRelay::start(|config| config.address_rooms = 1);
    let mut sender = Client::connect(&relay).await;
    sender.create_room().await;
    let outcome = Check::local(relay.port(), &[]).json();
    outcome.only_trouble("room", "warn", "RELAY_ADDRESS_ROOMS");
    drop(sender);
    relay.settled().await;
}
