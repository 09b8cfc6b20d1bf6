//! The built program, as an operator starts it: what it says about its settings, and with which
//! status it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "config/keys.rs"]
mod keys;
#[path = "config/listening.rs"]
mod listening;
#[path = "config/reload.rs"]
mod reload;

use std::net::TcpListener;

use claude_distill_relay::{config, version};
use relay_testing::{port::Port, process, program::Program};

/// The relay, with no setting.
fn relay() -> Program {
    Program::new(process::program())
}

/// Runs a relay that must end by itself with this status, and returns what it said on stderr.
#[track_caller]
fn ends_with(relay: Program, status: i32) -> String {
    let output = relay.output();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{said}");
    said
}

/// What a relay that must end well prints on stdout.
fn printed(relay: Program) -> String {
    let output = relay.output();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_bad_value_ends_the_start_with_status_2_and_one_sentence() {
    for (variable, value, allowed) in [
        ("RELAY_MAX_ROOMS", "0", "a whole number from 1 to 1000000"),
        ("RELAY_PORT", "65536", "a whole number from 0 to 65535"),
        (
            "RELAY_ROOM_TTL",
            "",
            "a whole number of seconds from 1 to 604800, or as long as 90s or 1h30m",
        ),
        (
            "RELAY_WINDOW",
            "64k",
            "a whole number of bytes from 16384 to 16777216, or as much as 64KiB or 10MB",
        ),
        (
            "RELAY_HOST",
            "127.0.0.1:9784",
            "an IP address or a host name, without a port",
        ),
        (
            "RELAY_TRUSTED_PROXIES",
            "proxy",
            "IP addresses and CIDR ranges, separated by commas",
        ),
        (
            "RELAY_CLIENT_IP_HEADER",
            "two words",
            "the name of an HTTP header, or empty",
        ),
        (
            "RELAY_ALLOWED_ORIGINS",
            "own, app.example.com",
            "own, *, or origins with a scheme and without a path or a slash at the end \
             (https://app.example.com, http://localhost:3000), separated by commas",
        ),
    ] {
        let sentence = format!(
            "claude-distill-relay: {variable}, from the environment, is {value:?}: it must be {allowed}\n"
        );
        assert_eq!(ends_with(relay().env(variable, value), 2), sentence);
    }
}

#[test]
fn a_key_that_cannot_be_used_is_not_shown() {
    for value in ["alice:secret", "secret", "alice:sha256-secret"] {
        let said = ends_with(relay().env("RELAY_ACCESS_KEYS", value), 2);
        let sentence = "claude-distill-relay: RELAY_ACCESS_KEYS, from the environment, is not shown: it \
                        must be name:key pairs";
        assert!(said.starts_with(sentence), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let file = || {
        relay()
            .file(".env.relay", "RELAY_MAX_ROOMS=file")
            .file(".env", "RELAY_MAX_ROOMS=other")
    };
    let environment = || file().env("RELAY_MAX_ROOMS", "environment");
    let flag = environment().args(["--max-rooms", "flag"]);
    let said = ends_with(file(), 2);
    assert!(said.contains("RELAY_MAX_ROOMS, from .env.relay, is \"file\""));
    let said = ends_with(environment(), 2);
    assert!(said.contains("from the environment, is \"environment\""));
    let said = ends_with(flag, 2);
    assert!(said.contains("from the flag --max-rooms, is \"flag\""));
}

#[test]
fn a_file_that_is_named_is_the_one_that_is_read() {
    let named = |value: &str| {
        relay()
            .file("named.env", &format!("RELAY_MAX_ROOMS={value}"))
            .file(".env.relay", "RELAY_MAX_ROOMS=other")
    };
    let path = named("").directory().join("named.env");
    let said = ends_with(named("file").args(["--env-file", "named.env"]), 2);
    assert!(
        said.contains("RELAY_MAX_ROOMS, from named.env, is \"file\""),
        "{said}"
    );
    let said = ends_with(
        named("file")
            .env("RELAY_MAX_ROOMS", "environment")
            .args(["--env-file", "named.env"]),
        2,
    );
    assert!(
        said.contains("from the environment, is \"environment\""),
        "{said}"
    );
    // The one before it is gone with its folder.
    let missing = ends_with(relay().args(["--env-file".as_ref(), path.as_os_str()]), 2);
    let sentence = format!("{} cannot be read: No such file", path.display());
    assert!(missing.contains(&sentence), "{missing}");
    assert_eq!(missing.lines().count(), 1, "{missing}");
}

#[test]
fn it_listens_where_the_winning_values_say() {
    let port = Port::reserve();
    let mut relay = relay()
        .file(".env", "RELAY_HOST=127.0.0.1\nRELAY_PORT=none")
        .env("RELAY_HOST", "192.0.2.1")
        .env("RELAY_PORT", "none")
        .args(["--host", "127.0.0.1", "--port", &port.number().to_string()])
        .spawn()
        .unwrap();
    relay.listens_at(port.addr()).unwrap();
}

#[test]
fn a_free_port_is_named_in_the_log() {
    let mut relay = relay().args(["--port", "0"]).spawn().unwrap();
    let line = relay.line_with("listening on ");
    let (_, address) = line.split_once("listening on 127.0.0.1:").unwrap();
    let port: String = address.chars().take_while(char::is_ascii_digit).collect();
    let port: u16 = port.parse().unwrap();
    relay.listens_at(([127, 0, 0, 1], port).into()).unwrap();
}

#[test]
fn an_unknown_variable_is_warned_of_and_does_not_stop_it() {
    let port = Port::reserve();
    let mut relay = relay()
        .env("RELAY_MAX_ROOM", "5")
        .env("RELAY_PORT", port.number())
        .spawn()
        .unwrap();
    let warning = relay.line_with("WARN");
    assert!(
        warning.contains("\"RELAY_MAX_ROOM\", from the environment"),
        "{warning}"
    );
    assert!(
        warning.ends_with("the nearest is RELAY_MAX_ROOMS"),
        "{warning}"
    );
    relay.listens_at(port.addr()).unwrap();
}

#[test]
fn the_file_may_say_what_to_log() {
    let relay = relay()
        .file(".env", "RUST_LOG=error\nRELAY_MAX_ROOM=5")
        .env("RELAY_HOST", "192.0.2.1");
    let said = ends_with(relay, 1);
    assert!(!said.contains("RELAY_MAX_ROOM"), "{said}");
}

#[test]
fn a_log_filter_that_says_nothing_of_the_relay_does_not_silence_it() {
    for (filter, lines) in [
        ("nonsense=x", ["INFO", "WARN", "ERROR"].as_slice()),
        ("nonsense", &["INFO", "WARN", "ERROR"]),
        ("a=b=c,warn", &["WARN", "ERROR"]),
        ("actix_http=trace", &["INFO", "ERROR"]),
        ("", &["INFO", "ERROR"]),
        ("error", &["ERROR"]),
        ("off", &[]),
    ] {
        let start = || relay().env("RELAY_HOST", "192.0.2.1");
        let file = format!("RUST_LOG={filter}");
        for relay in [
            start().env("RUST_LOG", filter),
            start().file(".env.relay", &file),
        ] {
            let said = ends_with(relay, 1);
            let levels: Vec<_> = said
                .lines()
                .filter_map(|line| line.split(' ').nth(1))
                .collect();
            assert_eq!(levels, lines, "{filter:?}: {said}");
            let told = said.contains(&format!("WARN  RUST_LOG is {filter:?}"));
            assert_eq!(told, lines.contains(&"WARN"), "{said}");
        }
    }
}

#[test]
fn a_file_that_makes_no_sense_is_one_sentence() {
    let said = ends_with(relay().file(".env", "RELAY_PORT 9784"), 2);
    assert!(
        said.starts_with("claude-distill-relay: .env has a line that is not NAME=value"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_port_in_use_is_one_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let said = ends_with(relay().env("RELAY_PORT", port), 1);
    assert!(
        said.contains(&format!("port {port} of 127.0.0.1 is in use")),
        "{said}"
    );
    assert_eq!(said.lines().count(), 2, "{said}");
}

#[test]
fn a_host_that_is_not_ours_is_one_sentence() {
    // An address that is reserved for documentation, so that no machine has it.
    let relay = relay().env("RELAY_HOST", "192.0.2.1").env("RELAY_PORT", 0);
    let said = ends_with(relay, 1);
    assert!(
        said.contains("RELAY_HOST 192.0.2.1 is not an address of this machine"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 2, "{said}");
}

#[test]
fn help_shows_every_flag_with_its_variable_and_default() {
    let help = printed(relay().args(["--help"]));
    for knob in config::KNOBS {
        for part in [
            format!("--{} <", knob.flag()),
            format!("[{}={}]", knob.variable, knob.default),
            format!("{}:\n", knob.group),
        ] {
            assert!(help.contains(&part), "{part} is not in {help}");
        }
    }
}

#[test]
fn the_version_is_named_with_its_commit_and_first_in_the_log() {
    let named = format!("claude-distill-relay {}", version::SHOWN);
    assert_eq!(printed(relay().args(["--version"])), format!("{named}\n"));
    let relay = relay()
        .env("RELAY_MAX_ROOM", "5")
        .env("RELAY_HOST", "192.0.2.1");
    let said = ends_with(relay, 1);
    let first = said.lines().next().unwrap();
    assert!(first.ends_with(&format!(" INFO  {named}")), "{said}");
}

#[test]
fn a_flag_nobody_knows_is_a_usage_error() {
    let said = ends_with(relay().args(["--max-room", "5"]), 2);
    assert!(said.contains("--max-rooms"), "{said}");
}
