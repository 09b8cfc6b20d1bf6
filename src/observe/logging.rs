//! How log lines look: for a person, `time LEVEL message`; for systemd's journal, which keeps the
//! time itself, `<priority>message`. Messages quote strangers, so they are escaped here, once, for
//! all of them. What is logged is for `RUST_LOG` and the callers to say; what a client can cause at
//! will goes through `log_client!`, which has a budget.

use std::{
    env,
    fmt::Display,
    fs::File,
    io::{self, Write},
    os::{fd::AsFd, unix::fs::MetadataExt},
    sync::{LazyLock, PoisonError, RwLock, RwLockReadGuard, mpsc},
    thread,
    time::{Duration, Instant},
};

use env_logger::{Logger, Target};
use jiff::Timestamp;
use log::{Level, Metadata, Record};
use relay_wire::text::escaped;

use super::{filter, metrics::LeftOut, writer::Queue};
use crate::limits::address::AddressKey;

/// How long the end of the process waits for whoever reads standard error.
const PATIENCE: Duration = Duration::from_secs(1);

static QUEUE: LazyLock<Queue> = LazyLock::new(Queue::new);
static LOG: LazyLock<Replaceable> = LazyLock::new(|| {
    let journal = stderr_is_the_journal();
    Replaceable {
        journal,
        logger: RwLock::new(logger(filter::read("").0, journal)),
    }
});

/// Logs a line that a client can cause at will: at a level, for a client's address (or `None` where
/// that is not known), with a message. Beyond what [`has_room`] allows, the line is not even put
/// together. A warning is for what clients cannot cause.
macro_rules! log_client {
    ($level:ident, $client:expr, $($message:tt)+) => {
        if log::log_enabled!(log::Level::$level) && $crate::observe::logging::has_room($client) {
            log::log!(log::Level::$level, $($message)+);
        }
    };
}
pub(crate) use log_client;

/// Whether the log has room for a line that this client causes. One that it has not is counted, and
/// the log tells of it within a second.
pub fn has_room(client: impl Into<Option<AddressKey>>) -> bool {
    QUEUE.has_room(client.into(), Instant::now())
}

/// The log. Where it ends, what was logged is written.
#[must_use]
pub struct Log(());

impl Drop for Log {
    fn drop(&mut self) {
        flush();
    }
}

/// Starts logging to stderr what [`set_filter`] lets through, which is nothing until that is called.
///
/// # Errors
///
/// Where the system has no thread for it.
pub fn init() -> io::Result<Log> {
    let journal = LOG.journal;
    let tell = move |why: LeftOut, lines| show(level_of(why), &sentence(why, lines), journal);
    let writer = thread::Builder::new().name("log".to_owned());
    writer.spawn(move || QUEUE.write_to(io::stderr(), tell))?;
    // Only a logger that is there already can stand in the way, and it is as good as ours.
    let _ = log::set_logger(&*LOG);
    Ok(Log(()))
}

/// Has the log take from here on what `filter` lets through, in the syntax of `RUST_LOG`, or else what
/// the relay itself says from `info` on. Returns what is to be warned of: what has no effect in it.
#[must_use]
pub fn set_filter(filter: Option<&str>) -> Option<String> {
    let (builder, complaint) = filter::read(filter.unwrap_or_default());
    let logger = logger(builder, LOG.journal);
    log::set_max_level(logger.filter());
    *LOG.logger.write().unwrap_or_else(PoisonError::into_inner) = logger;
    complaint
}

/// Waits until what was logged is written, for no longer than a second. Whoever ends the process
/// does so first.
pub fn flush() {
    QUEUE.flush(PATIENCE);
}

/// Prints an error to stderr where there is no log: the sentence is an error to the journal, and has
/// the program's name in front of it for a person.
pub fn print_error(sentence: &impl Display) {
    let prefix = if stderr_is_the_journal() {
        journal_prefix(Level::Error)
    } else {
        format!("{}: ", env!("CARGO_PKG_NAME"))
    };
    let line = line(prefix, &sentence.to_string()) + "\n";
    print_to_stderr(move || io::stderr().write_all(line.as_bytes()));
}

/// Has `print` write to stderr, and waits for that no longer than a second, as nobody may be reading
/// it. Where it cannot be printed there is nobody to be told.
pub fn print_to_stderr(print: impl FnOnce() -> io::Result<()> + Send + 'static) {
    let (printed, wait) = mpsc::channel();
    let printing = thread::Builder::new().spawn(move || {
        drop(print());
        drop(printed);
    });
    if printing.is_ok() {
        // An error at once, when it is done.
        let _ = wait.recv_timeout(PATIENCE) as Result<(), _>;
    }
}

/// A logger that puts what it lets through into the queue.
fn logger(mut builder: env_logger::Builder, journal: bool) -> Logger {
    builder
        .target(Target::Pipe(Box::new(Lines)))
        .format(move |out, record| {
            let message = record.args().to_string();
            out.write_all(show(record.level(), &message, journal).as_bytes())
        })
        .build()
}

/// Where a logger puts its lines, each in one write.
struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        QUEUE.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The logger of the process, in whose place another may come while it runs.
struct Replaceable {
    /// Whether the journal reads its lines.
    journal: bool,
    /// Asked for a line that its level lets through, and never for a frame, so a lock will do.
    logger: RwLock<Logger>,
}

impl Replaceable {
    fn logger(&self) -> RwLockReadGuard<'_, Logger> {
        self.logger.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl log::Log for Replaceable {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.logger().enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        self.logger().log(record);
    }

    fn flush(&self) {}
}

/// That so many lines are not there, and why.
fn sentence(why: LeftOut, lines: u64) -> String {
    match why {
        LeftOut::Full => format!("{lines} lines were left out: standard error took no more"),
        LeftOut::OverBudget => {
            format!("{lines} lines were left out: clients cause more than the log has room for")
        }
    }
}

/// How much it says: what is left out over the budget are no warnings.
fn level_of(why: LeftOut) -> Level {
    match why {
        LeftOut::Full => Level::Warn,
        LeftOut::OverBudget => Level::Info,
    }
}

/// A whole line.
fn show(level: Level, message: &str, journal: bool) -> String {
    line(prefix(level, journal), message) + "\n"
}

fn prefix(level: Level, journal: bool) -> String {
    if journal {
        journal_prefix(level)
    } else {
        plain_prefix(Timestamp::now(), level)
    }
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

/// The time in whole seconds (RFC 3339, UTC), and the level.
fn plain_prefix(time: Timestamp, level: Level) -> String {
    format!("{time:.0} {level:5} ")
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
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_a_person_has_time_level_and_message() {
        let time = "2026-01-02T03:04:05.678Z".parse().unwrap();
        let prefix = plain_prefix(time, Level::Info);
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
