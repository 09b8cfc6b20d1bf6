//! Values with units, and what has changed from some values to others.

use super::*;

#[test]
fn sizes_and_times_may_have_units() {
    let window = |text| with("RELAY_WINDOW", text).map(|config| config.window);
    for (text, bytes) in [
        ("65536", 65_536),
        ("65536B", 65_536),
        ("64KiB", 65_536),
        ("64kib", 65_536),
        ("64kB", 64_000),
        ("1MiB", 1_048_576),
        ("10MB", 10_000_000),
        ("1MiB512KiB", 1_572_864),
    ] {
        assert_eq!(window(text), Ok(bytes), "{text}");
    }
    let most = with("RELAY_MAX_BUFFERED", "1TiB").unwrap().max_buffered;
    assert_eq!(most, 1 << 40);
    assert_eq!(
        with("RELAY_MAX_BUFFERED", "1TB").unwrap().max_buffered,
        10_usize.pow(12)
    );
    assert_eq!(
        with("RELAY_MAX_MSG_SIZE", "4GiB").unwrap().max_msg_size,
        1 << 32
    );
    assert_eq!(
        with("RELAY_MAX_MSG_SIZE", "1GB").unwrap().max_msg_size,
        1_000_000_000
    );

    let ttl = |text| with("RELAY_ROOM_TTL", text).map(|config| config.room_ttl.as_secs());
    for (text, seconds) in [
        ("90", 90),
        ("90s", 90),
        ("30m", 1800),
        ("1h30m", 5400),
        ("1H30M5S", 5405),
        ("7d", 604_800),
        ("08m", 480),
    ] {
        assert_eq!(ttl(text), Ok(seconds), "{text}");
    }

    for text in [
        "64k",
        "64K",
        "64M",
        "64 KiB",
        "KiB",
        "1KiB2",
        "1.5MiB",
        "-1KiB",
        "64KiBs",
        "32m",
        "17MiB",
        "99999999999999999999B",
        "99999999999TiB",
        "16777216TiB",
    ] {
        let refusal = window(text).unwrap_err();
        assert!(
            refusal.ends_with("or as much as 64KiB or 10MB"),
            "{refusal}"
        );
    }
    for text in [
        "+60",
        "1 h",
        "h",
        "1h30",
        "1.5h",
        "-1m",
        "1ms",
        "2w",
        "8d",
        "0s",
        "1KiB",
        "99999999999999999999s",
        "999999999999999d",
        "213503982334602d",
    ] {
        let refusal = ttl(text).unwrap_err();
        assert!(refusal.ends_with("or as long as 90s or 1h30m"), "{refusal}");
    }
    // What is a number of things has no unit, and none has a sign.
    for text in ["1k", "10B", "+10"] {
        assert!(with("RELAY_MAX_ROOMS", text).is_err(), "{text}");
    }
}

#[test]
fn a_change_is_told_from_the_old_value_to_the_new() {
    let config = |variables: &[(&str, &str)]| {
        let source = Source {
            origin: Origin::Environment,
            values: variables
                .iter()
                .map(|&(name, value)| (name.into(), value.into()))
                .collect(),
        };
        Config::read(&[source]).unwrap()
    };
    let (old, new) = (
        Config::default(),
        config(&[
            ("RELAY_PORT", "1"),
            ("RELAY_ROOM_TTL", "1h"),
            ("RELAY_WINDOW", "64KiB"),
            ("RELAY_TRUSTED_PROXIES", "10.0.0.0/8, ::1"),
            ("RELAY_CLIENT_IP_HEADER", "X-Client"),
            ("RELAY_MAX_ROOMS", "1000"),
        ]),
    );
    let told: Vec<_> = old
        .changes(&new)
        .into_iter()
        .map(|it| (it.knob.variable, it.knob.needs_restart, it.old, it.new))
        .collect();
    let change =
        |name, restart, old: &str, new: &str| (name, restart, old.to_owned(), new.to_owned());
    assert_eq!(
        told,
        [
            change("RELAY_PORT", true, "9784", "1"),
            change("RELAY_ROOM_TTL", false, "1800", "3600"),
            change("RELAY_WINDOW", false, "262144", "65536"),
            change(
                "RELAY_TRUSTED_PROXIES",
                false,
                "127.0.0.0/8,::1/128",
                "10.0.0.0/8,::1/128"
            ),
            change("RELAY_CLIENT_IP_HEADER", false, "", "(not shown)"),
        ]
    );
    let taken = new.without_restart(&old);
    assert_eq!((taken.port, taken.window), (9784, 65_536));
    let restart: Vec<_> = KNOBS.iter().filter(|knob| knob.needs_restart).collect();
    assert_eq!(restart.len(), 9);
}

#[test]
fn a_switch_is_on_or_off() {
    let switch = |text| with("RELAY_COMPRESSION", text).map(|config| config.compression);
    for (text, on) in [("on", true), ("OFF", false), ("Off", false)] {
        assert_eq!(switch(text), Ok(on), "{text}");
    }
    for bad in ["", "yes", "1", "true", "o n"] {
        let error = switch(bad).unwrap_err();
        assert!(
            error.to_string().ends_with("it must be on or off"),
            "{error}"
        );
    }
}
