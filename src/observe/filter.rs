//! What is logged: a text in the syntax of `RUST_LOG`, taken as far as it makes sense. One that says
//! nothing of the relay's own lines, or only what is no level, does not silence them.

use env_logger::Builder;
use log::LevelFilter;

/// What is logged where nobody says.
const DEFAULT: &str = "info";
/// The HTTP library has an error to report for every stranger that talks nonsense to it, and that of NATS for
/// every try to reach it again: they are heard only where a filter names them.
const SILENT: [&str; 2] = ["actix_http", "async_nats"];
/// What the relay's own lines come from.
const OURS: &str = env!("CARGO_CRATE_NAME");
/// How the names begin of all that logs anything here.
const SPEAKERS: [&str; 6] = [
    OURS,
    "actix",
    "async_nats",
    "mio",
    "tokio_tungstenite",
    "tungstenite",
];

/// A logger's beginning that lets through what a text says, and what to tell of the parts of the text that
/// have no effect.
pub(super) fn read(text: &str) -> (Builder, Option<String>) {
    let (directives, pattern) = match text.split_once('/') {
        Some((directives, pattern)) => (directives, format!("/{pattern}")),
        None => (text, String::new()),
    };
    let (mut taken, mut without_effect, mut says_of_ours) = (Vec::new(), Vec::new(), false);
    for directive in directives.split(',').map(str::trim) {
        let name = directive.split('=').next().unwrap_or_default().trim_end();
        let is_level = name.parse::<LevelFilter>().is_ok();
        let speaks = |speaker: &&str| name.starts_with(speaker) || speaker.starts_with(name);
        if directive.is_empty() {
            continue;
        }
        let valid = is_valid(directive);
        if valid {
            says_of_ours |= is_level || OURS.starts_with(name);
            taken.push(directive);
        }
        if !valid || !is_level && !SPEAKERS.iter().any(speaks) {
            without_effect.push(directive);
        }
    }
    if !says_of_ours {
        taken.push(DEFAULT);
    }
    let mut filters = taken.join(",");
    if is_valid(&pattern) {
        filters += &pattern;
    } else {
        without_effect.push(&pattern);
    }
    let told = (!without_effect.is_empty()).then(|| {
        format!(
            "RUST_LOG is {text:?}, in which {:?} has no effect: it takes off, error, warn, info, debug or \
             trace, for all or as TARGET=LEVEL (the relay's own lines are {OURS})",
            without_effect.join(",")
        )
    });
    let mut builder = Builder::new();
    for silent in SILENT {
        builder.filter_module(silent, LevelFilter::Off);
    }
    builder.parse_filters(&filters);
    (builder, told)
}

/// Whether a logger would take it; it would complain on stderr itself, and wait there.
fn is_valid(filters: &str) -> bool {
    env_filter::Builder::new().try_parse(filters).is_ok()
}

#[cfg(test)]
mod tests {
    use log::{Level, Log, Metadata};

    use super::*;

    /// The most that is let through of this target.
    fn level(logger: &impl Log, target: &str) -> Option<Level> {
        let enabled = |&level: &Level| {
            let metadata = Metadata::builder().level(level).target(target).build();
            logger.enabled(&metadata)
        };
        Level::iter().filter(enabled).last()
    }

    #[test]
    fn what_says_nothing_of_the_relay_does_not_silence_it() {
        use Level::{Debug, Error, Info, Trace, Warn};
        for (text, ours, http, told) in [
            ("", Some(Info), None, None),
            (" , ", Some(Info), None, None),
            ("warn", Some(Warn), None, None),
            ("DEBUG", Some(Debug), None, None),
            ("off", None, None, None),
            ("claude_distill_relay=error", Some(Error), None, None),
            ("claude_distill_relay=off", None, None, None),
            ("actix_http=trace", Some(Info), Some(Trace), None),
            ("warn,actix_http=debug", Some(Warn), Some(Debug), None),
            ("nonsense=x", Some(Info), None, Some("nonsense=x")),
            ("foo", Some(Info), None, Some("foo")),
            ("foo=debug", Some(Info), None, Some("foo=debug")),
            ("debg", Some(Info), None, Some("debg")),
            ("error,nonsense=x", Some(Error), None, Some("nonsense=x")),
            ("a=b=c,debug,foo", Some(Debug), None, Some("a=b=c,foo")),
            (
                "claude_distill_relay=x",
                Some(Info),
                None,
                Some("claude_distill_relay=x"),
            ),
            ("/[", Some(Info), None, Some("/[")),
            ("warn/a/b", Some(Warn), None, Some("/a/b")),
            ("/room", Some(Info), None, None),
        ] {
            let (mut builder, complaint) = read(text);
            let filter = builder.build();
            assert_eq!(level(&filter, "claude_distill_relay::http"), ours, "{text}");
            assert_eq!(level(&filter, "actix_http::h1"), http, "{text}");
            let part = told.map(|part| format!("in which {part:?} has no effect"));
            assert_eq!(complaint.is_some(), part.is_some(), "{text}: {complaint:?}");
            let (complaint, part) = (complaint.unwrap_or_default(), part.unwrap_or_default());
            assert!(complaint.contains(&part), "{text}: {complaint}");
        }
    }

    #[test]
    fn libraries_that_say_too_much_are_heard_where_they_are_named() {
        for silent in SILENT {
            let (mut all, _) = read("debug");
            let (mut named, complaint) = read(&format!("{silent}=info"));
            assert_eq!(level(&all.build(), silent), None, "{silent}");
            assert_eq!(level(&named.build(), silent), Some(Level::Info), "{silent}");
            assert_eq!(complaint, None);
        }
    }

    #[test]
    fn a_part_of_the_relay_may_say_more_than_the_rest() {
        let (mut builder, complaint) = read("claude_distill_relay::http=debug");
        let filter = builder.build();
        assert_eq!(
            level(&filter, "claude_distill_relay::http"),
            Some(Level::Debug)
        );
        assert_eq!(level(&filter, "claude_distill_relay"), Some(Level::Info));
        assert_eq!(complaint, None);
    }
}
