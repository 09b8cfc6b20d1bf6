//! How log lines look: for a person, `time LEVEL message`; for systemd's journal, which keeps the
//! time itself, `<priority>message`. Messages quote strangers, so they are escaped here, once, for
//! all of them. What is logged is for `RUST_LOG` and the callers to say.

use std::{
    env,
    fmt::Display,
    fs::File,
    io::{self, Write},
    os::{fd::AsFd, unix::fs::MetadataExt},
};

use log::Level;
use relay_wire::text::escaped;

/// The HTTP library has an error to report for every stranger that talks nonsense to it.
const DEFAULT_FILTER: &str = "info,actix_http=off";

/// Starts logging to stderr: what `filter` lets through, in the syntax of `RUST_LOG`, or else
/// what the relay itself says from `info` on.
pub fn init(filter: Option<&str>) {
    let journal = stderr_is_the_journal();
    let started = env_logger::Builder::new()
        .parse_filters(filter.unwrap_or(DEFAULT_FILTER))
        .format(move |out, record| {
            let prefix = if journal {
                journal_prefix(record.level())
            } else {
                plain_prefix(&out.timestamp(), record.level())
            };
            writeln!(out, "{}", line(prefix, &record.args().to_string()))
        })
        .try_init();
    // Only a logger that is there already can stand in the way, and it is as good as ours.
    drop(started);
}

/// Prints an error to stderr before anything says how to log: the sentence is an error to the
/// journal, and has the program's name in front of it for a person.
pub fn print_error(sentence: &impl Display) {
    let prefix = if stderr_is_the_journal() {
        journal_prefix(Level::Error)
    } else {
        format!("{}: ", env!("CARGO_PKG_NAME"))
    };
    eprintln!("{}", line(prefix, &sentence.to_string()));
}

/// Severity as syslog counts it, which is how the journal takes it.
fn journal_prefix(level: Level) -> String {
    let priority = match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    };
    format!("<{priority}>")
}

fn plain_prefix(time: &impl Display, level: Level) -> String {
    format!("{time} {level:5} ")
}

/// The message behind its prefix, on one line whatever is in it.
fn line(prefix: String, message: &str) -> String {
    prefix + &escaped(message)
}

/// Systemd names the stream it gave us by device and inode; ours may have been redirected since.
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = env::var("JOURNAL_STREAM") else {
        return false;
    };
    let stderr = io::stderr().as_fd().try_clone_to_owned();
    stderr
        .and_then(|stderr| File::from(stderr).metadata())
        .is_ok_and(|stderr| stream == format!("{}:{}", stderr.dev(), stderr.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_a_person_has_time_level_and_message() {
        let prefix = plain_prefix(&"2026-01-02T03:04:05Z", Level::Info);
        assert_eq!(
            line(prefix, "listening"),
            "2026-01-02T03:04:05Z INFO  listening"
        );
    }

    #[test]
    fn a_line_for_the_journal_has_a_priority_only() {
        let lines = [
            Level::Error,
            Level::Warn,
            Level::Info,
            Level::Debug,
            Level::Trace,
        ]
        .map(|level| line(journal_prefix(level), "x"));
        assert_eq!(lines, ["<3>x", "<4>x", "<6>x", "<7>x", "<7>x"]);
    }

    #[test]
    fn nothing_in_a_message_can_break_its_line_or_steer_a_terminal() {
        let hostile = "a\n<3>b\r\t\0\u{1b}[2J\u{7f}\u{9b}\u{2028}\u{202e}";
        let escaped = r"a\n<3>b\r\t\u{0}\u{1b}[2J\u{7f}\u{9b}\u{2028}\u{202e}";
        assert_eq!(line(String::new(), hostile), escaped);
    }

    #[test]
    fn other_text_is_left_as_it_is() {
        let text = "room “ä” → 日本 \\ \"quoted\" 👋";
        assert_eq!(line(String::new(), text), text);
    }
}
