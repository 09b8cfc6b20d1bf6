//! What may be written, what is made of it, and that the table and `.env.example` agree. No test
//! here looks at the environment or changes it.
#![allow(clippy::unwrap_used)]

mod values;

use std::{collections::BTreeSet, fs, time::Duration};

use super::*;

fn source<const N: usize>(origin: Origin, values: [(&str, &str); N]) -> Source {
    let owned = values.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Source {
        origin,
        values: owned.into(),
    }
}

fn with(variable: &str, value: &str) -> Result<Config, String> {
    let environment = source(Origin::Environment, [(variable, value)]);
    Config::read(&[environment]).map_err(|error| error.to_string())
}

/// What the settings become by the command line `flags`, over `environment`.
fn started<const N: usize>(
    flags: &[&str],
    environment: [(&str, &str); N],
) -> Result<Settings, Error> {
    let flags = command().get_matches_from([&["relay"], flags].concat());
    settings(&[
        flag_values(&flags),
        source(Origin::Environment, environment),
    ])
}

/// A directory with these files, and what is found in it.
fn file_in<const N: usize>(files: [(&str, &str); N]) -> Result<Option<Source>, Error> {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    Source::first_file(directory.path(), &FILES)
}

#[test]
fn every_default_is_in_its_range() {
    let config = Config::default();
    assert_eq!((config.host.as_str(), config.port), ("127.0.0.1", 9784));
    assert_eq!(config.room_ttl, Duration::from_secs(1800));
    assert_eq!(config.sender_message(), 64 << 20);
    assert_eq!(config.receiver_message(), 10 << 20);
    assert_eq!(config.trusted_proxies.len(), 2);
    assert_eq!(config.client_ip_header, None);
}

#[test]
fn both_ends_of_every_range_are_allowed_and_nothing_beyond() {
    for knob in KNOBS {
        let (Kind::Count(min, max) | Kind::Bytes(min, max) | Kind::Seconds(min, max)) = knob.kind
        else {
            continue;
        };
        for inside in [min, max] {
            assert!(
                with(knob.variable, &inside.to_string()).is_ok(),
                "{} {inside}",
                knob.variable
            );
        }
        let below = min
            .checked_sub(1)
            .map_or("-1".to_owned(), |below| below.to_string());
        for outside in [below, (max + 1).to_string(), "9".repeat(40)] {
            let refusal = with(knob.variable, &outside).unwrap_err();
            let range = format!("from {min} to {max}");
            for part in [knob.variable, &outside, &range] {
                assert!(refusal.contains(part), "{refusal}");
            }
        }
        for text in ["", " ", "ten", "1.5", "0x10", "1e3", "1_000", "10x", "१"] {
            assert!(
                with(knob.variable, text).is_err(),
                "{} {text:?}",
                knob.variable
            );
        }
    }
}

#[test]
fn half_of_all_codes_are_of_no_room() {
    let with = |rooms: &str, length| {
        started(
            &[],
            [
                ("RELAY_MAX_ROOMS", rooms),
                ("RELAY_ROOM_CODE_LENGTH", length),
            ],
        )
        .map(|settings| settings.config.max_rooms)
        .map_err(|error| error.to_string())
    };
    assert_eq!(with("195312", "4"), Ok(195_312));
    assert_eq!(with("1000000", "5"), Ok(1_000_000));
    assert_eq!(
        with("195313", "4").unwrap_err(),
        "RELAY_MAX_ROOMS is 195313, which is more than half of all codes of \
         RELAY_ROOM_CODE_LENGTH=4 characters: allow 195312 rooms at most, or longer codes"
    );
}

#[test]
fn a_refusal_is_one_sentence_with_the_place() {
    let refusal = |flags: &[&str], value| {
        started(flags, [("RELAY_ROOM_TTL", value)])
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refusal(&[], "0"),
        "RELAY_ROOM_TTL, from the environment, is \"0\": it must be a whole number of seconds from 1 to 604800, or as long as 90s or 1h30m"
    );
    assert_eq!(
        refusal(&["--room-ttl", "-5"], "60"),
        "RELAY_ROOM_TTL, from the flag --room-ttl, is \"-5\": it must be a whole number of seconds from 1 to 604800, or as long as 90s or 1h30m"
    );
    let file = file_in([(".env", "RELAY_ROOM_TTL=soon")]).unwrap().unwrap();
    assert_eq!(
        settings(&[file]).unwrap_err().to_string(),
        "RELAY_ROOM_TTL, from .env, is \"soon\": it must be a whole number of seconds from 1 to 604800, or as long as 90s or 1h30m"
    );
}

#[test]
fn a_refused_value_is_shown_escaped_and_not_all_of_it() {
    let refusal = with("RELAY_PORT", &format!("\n\u{1b}[2J{}", "x".repeat(10_000))).unwrap_err();
    assert!(refusal.contains(r#""\n\u{1b}[2Jxxx"#), "{refusal}");
    assert!(refusal.contains("xxx\"…: it must be"), "{refusal}");
    assert!(refusal.len() < 250, "{refusal}");
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let file = file_in([(".env", "RELAY_PORT=1\nRELAY_WORKERS=2\nRELAY_MAX_QUEUE=3")]);
    let environment = source(
        Origin::Environment,
        [("RELAY_PORT", "10"), ("RELAY_WORKERS", "20")],
    );
    let flags = flag_values(&command().get_matches_from(["relay", "--port", "100"]));
    let config = settings(&[flags, environment, file.unwrap().unwrap()])
        .unwrap()
        .config;
    assert_eq!(
        (config.port, config.workers, config.max_queue),
        (100, 20, 3)
    );
    assert_eq!(config.max_rooms, Config::default().max_rooms);
}

#[test]
fn a_value_that_loses_is_not_looked_at() {
    let settings = started(&["--port", "1"], [("RELAY_PORT", "none")]).unwrap();
    assert_eq!(settings.config.port, 1);
}

#[test]
fn every_flag_is_its_variable() {
    for knob in KNOBS {
        let flag = format!("--{}", knob.flag());
        let flags = command().get_matches_from(["relay", &flag, "value"]);
        assert_eq!(
            flag_values(&flags).values,
            source(Origin::Flags, [(knob.variable, "value")]).values
        );
    }
    command().debug_assert();
}

#[test]
fn a_host_is_an_address_or_a_name() {
    for (text, host) in [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("::", "::"),
        (" localhost ", "localhost"),
        ("relay-1.example.com.", "relay-1.example.com."),
    ] {
        assert_eq!(with("RELAY_HOST", text).unwrap().host, host);
    }
    for text in [
        "",
        "127.0.0.1:9784",
        "[::1",
        "::1]",
        "[::1]:9784",
        "[localhost]",
        "ws://localhost",
        "a b",
    ] {
        let refusal = with("RELAY_HOST", text).unwrap_err();
        assert!(
            refusal.ends_with("it must be an IP address or a host name, without a port"),
            "{refusal}"
        );
    }
}

#[test]
fn trusted_proxies_are_addresses_and_ranges() {
    let networks = |text| with("RELAY_TRUSTED_PROXIES", text).map(|config| config.trusted_proxies);
    let expected = ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32", "::1/128"];
    assert_eq!(
        networks(" 10.0.0.0/8 ,192.0.2.7,2001:db8::/32, ::1,").unwrap(),
        expected.map(|network| network.parse().unwrap())
    );
    assert_eq!(
        networks("::ffff:192.0.2.7,::ffff:10.0.0.0/104").unwrap(),
        ["192.0.2.7/32", "10.0.0.0/8"].map(|network| network.parse().unwrap())
    );
    assert_eq!(networks("").unwrap(), []);
    for text in [
        "localhost",
        "10.0.0.0/33",
        "10.0.0.0/8 ::1",
        "10.0.0.0/8;::1",
        "10.0.0",
    ] {
        assert!(networks(text).unwrap_err().contains("CIDR"), "{text:?}");
    }
}

#[test]
fn a_client_address_header_has_a_headers_name() {
    let header = |text| with("RELAY_CLIENT_IP_HEADER", text).map(|config| config.client_ip_header);
    assert_eq!(
        header("CF-Connecting-IP").unwrap().as_deref(),
        Some("CF-Connecting-IP")
    );
    assert_eq!(header("").unwrap(), None);
    for text in ["X Y", "X-Ip:", "X\r\nY", "ä"] {
        assert!(header(text).is_err(), "{text:?}");
    }
}

#[test]
fn a_comment_behind_a_value_is_no_part_of_it() {
    let text = "RELAY_MAX_ROOMS = 12 # a dozen\nRELAY_ROOM_TTL='7'\t#days\nexport RELAY_PORT=1 #x\n\
        RELAY_CLIENT_IP_HEADER=\"a#b\"\n";
    let file = file_in([(".env.relay", text)]).unwrap().unwrap();
    let settings = settings(&[file]).unwrap();
    assert_eq!(settings.warnings, [""; 0]);
    assert_eq!(settings.config.max_rooms, 12);
    assert_eq!(settings.config.room_ttl, Duration::from_secs(7));
    assert_eq!(settings.config.port, 1);
    assert_eq!(settings.config.client_ip_header.as_deref(), Some("a#b"));
}

#[test]
fn an_unknown_variable_is_warned_of_with_the_nearest_name() {
    let environment = [
        ("RELAY_MAX_ROOM", "5"),
        ("RELAY_PORT", "1"),
        ("RELAYED", "x"),
        ("MAX_ROOMS", "x"),
    ];
    assert_eq!(
        started(&[], environment).unwrap().warnings,
        [
            "\"RELAY_MAX_ROOM\", from the environment, is no setting of this relay; the nearest is RELAY_MAX_ROOMS"
        ]
    );
    let file = file_in([(".env", "RELAY_PROT=1")]).unwrap().unwrap();
    assert_eq!(
        settings(&[file]).unwrap().warnings,
        ["\"RELAY_PROT\", from .env, is no setting of this relay; the nearest is RELAY_PORT"]
    );
}

#[test]
fn the_log_filter_may_be_in_the_file_and_the_environment_wins() {
    let file = || file_in([(".env", "RUST_LOG=debug")]).unwrap().unwrap();
    let filter = |sources: &[Source]| settings(sources).unwrap().log_filter;
    assert_eq!(filter(&[]), None);
    assert_eq!(filter(&[file()]).as_deref(), Some("debug"));
    let environment = source(Origin::Environment, [("RUST_LOG", "warn")]);
    assert_eq!(filter(&[environment, file()]).as_deref(), Some("warn"));
    assert_eq!(
        filter(&[source(Origin::Environment, [("RUST_LOG", "")])]),
        None
    );
}

#[test]
fn only_the_first_file_that_exists_is_read() {
    assert!(file_in([]).unwrap().is_none());
    let both = file_in([(".env", "RELAY_PORT=1"), (".env.relay", "RELAY_WORKERS=2")])
        .unwrap()
        .unwrap();
    assert_eq!(
        both.values,
        source(Origin::Flags, [("RELAY_WORKERS", "2")]).values
    );
}

#[test]
fn a_file_is_read_as_people_write_it() {
    let text = "\u{feff}# ours\r\n\r\nexport RELAY_PORT=1 # one\r\nRELAY_HOST=\"::1\"\r\n\
                RELAY_CLIENT_IP_HEADER=\r\nRELAY_WORKERS=1\r\nRELAY_WORKERS=2  ";
    let expected = [
        ("RELAY_PORT", "1"),
        ("RELAY_HOST", "::1"),
        ("RELAY_CLIENT_IP_HEADER", ""),
        ("RELAY_WORKERS", "2"),
    ];
    let file = file_in([(".env.relay", text)]).unwrap().unwrap();
    assert_eq!(file.values, source(Origin::Flags, expected).values);
}

#[test]
fn a_file_that_makes_no_sense_is_refused_without_telling_its_secrets() {
    let refusal = |text: &str| file_in([(".env", text)]).unwrap_err().to_string();
    for line in [
        "T=not quoted secret",
        "T=\"secret",
        "secret",
        "T secret",
        "T: secret",
        "=secret",
    ] {
        let first = refusal(line);
        assert!(
            first.starts_with(".env has a line that is not NAME=value"),
            "{first}"
        );
        assert!(first.ends_with(": the first one"), "{first}");
        assert!(!first.contains("secret"), "{first}");
        let second = refusal(&format!("RELAY_PORT=1\n\n# text\n{line}\nA=2"));
        assert!(
            second.ends_with(": the one after \"RELAY_PORT\""),
            "{second}"
        );
    }
}

#[test]
fn a_file_that_cannot_be_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join(".env.relay")).unwrap();
    let refusal = Source::first_file(directory.path(), &FILES)
        .unwrap_err()
        .to_string();
    assert!(
        refusal.starts_with(".env.relay cannot be read: "),
        "{refusal}"
    );
}

/// To bring the file up to date, copy what the failed assertion shows.
#[test]
fn the_example_file_is_the_table() {
    let mut expected = "\
# Every setting of the relay at its default, with its range. Copy this file to .env.relay in the
# working directory of the relay, and keep the lines you change. The environment wins over the
# file, and a flag over both. A line for RUST_LOG (such as RUST_LOG=debug) counts here as well, and
# one for RELAY_ALERT_COMMAND, which the health check of deploy/ runs. Sizes are bytes and times seconds,
# or have a unit: 64KiB, 10MB, 90s, 1h30m. SIGHUP has a running relay read its file again.
"
    .to_owned();
    let mut group = "";
    for knob in KNOBS {
        if knob.group != group {
            group = knob.group;
            expected += &format!("\n## {group}\n");
        }
        expected += &format!("# {}\n{}={}\n", knob.summary(), knob.variable, knob.default);
    }
    let example = include_str!("../../.env.example");
    assert_eq!(example, expected, "{expected}");

    let file = file_in([(".env", example)]).unwrap().unwrap();
    let names: BTreeSet<_> = file.values.keys().map(String::as_str).collect();
    assert_eq!(names, KNOBS.iter().map(|knob| knob.variable).collect());
    assert_eq!(Config::read(&[file]).unwrap(), Config::default());
}

#[test]
fn the_readme_lists_every_setting_with_its_default() {
    let readme = include_str!("../../README.md");
    for knob in KNOBS {
        let default = match knob.default {
            "" => "empty".to_owned(),
            default => format!("`{default}`"),
        };
        let row = format!("| `{}` | {default} |", knob.variable);
        assert!(readme.contains(&row), "{row}");
    }
}
