//! The sentences for a person. Text of strangers in them is escaped by whoever made the news, and again
//! here, where everything passes.

use std::time::Duration;

use console::truncate_str;
use indicatif::{BinaryBytes, HumanDuration};
use relay_wire::text::escaped;

use super::super::{
    failure::Failure,
    news::{News, Role},
};
use crate::engine::{
    event::{Event, Slow},
    fault::Fault,
    sessions::Session,
};

/// What is said of news.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    /// A line to stay.
    Lasting(String),
    /// What is so for a while: a line for a log, and on a terminal until something else is so.
    Passing(String),
    /// What is so for a moment: for a terminal alone.
    Fleeting(String),
    /// Not a word: others show it.
    Nothing,
}

/// What is said of news by which nothing but words is changed.
pub(super) fn of(news: &News, role: Role) -> Said {
    match news {
        News::Event(event) => of_event(event, role),
        News::Warning(sentence) => lasting(format!("Note: {sentence}")),
        News::Received(received) => lasting(match &received.path {
            Some(path) => format!(
                "Saved as {} ({}).",
                path.display(),
                BinaryBytes(received.bytes)
            ),
            None => format!("Received {}.", BinaryBytes(received.bytes)),
        }),
        News::Failed(it) => lasting(failure(role, it)),
        News::Invitation(_) | News::Sessions { .. } | News::Settle(_) => Said::Nothing,
    }
}

fn of_event(event: &Event, role: Role) -> Said {
    match event {
        Event::Connecting => Said::Fleeting("Connecting to the relay.".to_owned()),
        Event::Joined => Said::Passing("In the room, waiting for the sender.".to_owned()),
        Event::PeerJoined => Said::Passing("A receiver is there.".to_owned()),
        Event::Proving => Said::Fleeting("Comparing the passphrases.".to_owned()),
        Event::Proved => Said::Fleeting(
            "The passphrase is right. The receiver is making room for it.".to_owned(),
        ),
        Event::Begun {
            name, size, from, ..
        } => {
            let verb = match role {
                Role::Sender => "Sending",
                Role::Receiver => "Receiving",
            };
            let size = size.map_or_else(String::new, |size| format!(" ({})", BinaryBytes(size)));
            match from {
                0 => lasting(format!("{verb} {name}{size}.")),
                from => passing(format!(
                    "{verb} {name}{size}, from {} on.",
                    BinaryBytes(*from)
                )),
            }
        }
        Event::PeerGone { why } => {
            passing(format!("The other side has left: {why}. Waiting for it."))
        }
        Event::LineLost { why, again_in } => passing(format!(
            "The line to the relay is lost: {why}. {}",
            again(*again_in)
        )),
        Event::Waiting { why, again_in } => {
            passing(format!("Waiting: {why}. {}", again(*again_in)))
        }
        Event::Delivered { bytes, .. } => lasting(format!(
            "The other side has it all ({}).",
            BinaryBytes(*bytes)
        )),
        Event::Warning(warning) => lasting(format!("Note: {}", warning.sentence())),
        Event::Resumed { .. } => Said::Passing("The room is taken up again.".to_owned()),
        Event::Opened { .. } | Event::Progress { .. } => Said::Nothing,
    }
}

fn lasting(text: String) -> Said {
    Said::Lasting(escaped(&text))
}

fn passing(text: String) -> Said {
    Said::Passing(escaped(&text))
}

fn again(wait: Duration) -> String {
    match wait.as_secs() {
        0 => "Trying again at once.".to_owned(),
        _ => format!("Trying again in {}.", HumanDuration(wait)),
    }
}

/// What to do about it, where the sentence has not said it.
pub(super) fn advice(role: Role, failure: &Failure) -> &'static str {
    match (failure, role) {
        (Failure::Usage(_), _) => "",
        // Its share has ended with it.
        (Failure::Fault(Fault::Interrupted), Role::Sender) => {
            "Share again, and give the other side the new code."
        }
        (Failure::Fault(Fault::Disk(_)), Role::Sender) => "Mend that, and share again.",
        (Failure::Fault(fault), _) => fault.advice(),
    }
}

/// Why it has failed, and what to do.
pub(super) fn failure(role: Role, failure: &Failure) -> String {
    let text = match (failure, role) {
        (Failure::Fault(Fault::Interrupted), Role::Sender) => {
            "stopped: the share has ended".to_owned()
        }
        (Failure::Fault(Fault::Interrupted), Role::Receiver) => {
            "stopped: what has come is kept, and the same command goes on from there".to_owned()
        }
        (failure, role) => format!("{} {}", failure.sentence(), advice(role, failure)),
    };
    escaped(&format!("distill: {}", text.trim_end()))
}

/// How far it is. The most important comes first, as a narrow terminal cuts the rest off.
pub(super) fn progress(
    confirmed: u64,
    total: Option<u64>,
    pace: Pace,
    slow: Slow,
    role: Role,
) -> String {
    let mut text = match total {
        Some(total) => format!(
            "{:>3} %  {} of {}",
            percent(confirmed, total),
            BinaryBytes(confirmed),
            BinaryBytes(total)
        ),
        None => BinaryBytes(confirmed).to_string(),
    };
    text += &format!("  {}/s", BinaryBytes(pace.rate));
    if let Some(left) = pace.left {
        text += &format!("  {} left", HumanDuration(left));
    }
    text += match (slow, role) {
        (Slow::Here, Role::Sender) => "  slow: reading here",
        (Slow::Here, Role::Receiver) => "  slow: writing here",
        (Slow::Line, Role::Sender) => "  slow: line or receiver",
        (Slow::Line, Role::Receiver) => "  slow: line or sender",
    };
    text
}

/// How fast it goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Bytes a second.
    pub(super) rate: u64,
    /// The time until all has arrived, where that can be told.
    pub(super) left: Option<Duration>,
}

/// How much of it, of a hundred, rounded down.
pub(super) fn percent(part: u64, whole: u64) -> u64 {
    match whole {
        0 => 100,
        _ => u64::try_from(u128::from(part.min(whole)) * 100 / u128::from(whole)).unwrap_or(100),
    }
}

/// Sessions with their numbers, each on a line of so many columns.
pub(super) fn to_pick(list: &[Session], columns: usize) -> String {
    let lines = list.iter().zip(1..).map(|(session, number)| {
        let line = format!("{number:>3}  {}", about(session));
        format!("{}\n", truncate_str(&line, columns, "…"))
    });
    lines.collect()
}

/// Sessions with their ids.
pub(super) fn listed(list: &[Session]) -> String {
    let lines = list
        .iter()
        .map(|it| format!("{}  {}\n", escaped(&it.id), about(it)));
    lines.collect()
}

/// What tells a session from others.
fn about(session: &Session) -> String {
    let what = match session.summary.is_empty() {
        true => &session.first_prompt,
        false => &session.summary,
    };
    let Session {
        modified,
        messages,
        project,
        branch,
        ..
    } = session;
    // To the minute.
    let modified: String = modified.chars().take(16).collect();
    escaped(&format!(
        "{modified:<16}  {messages:>5} messages  {what}  {project} {branch}"
    ))
    .trim_end()
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(event: Event, role: Role) -> String {
        match of(&News::Event(event), role) {
            Said::Lasting(text) | Said::Passing(text) | Said::Fleeting(text) => text,
            Said::Nothing => String::new(),
        }
    }

    #[test]
    fn text_of_strangers_steers_no_terminal() {
        let hostile = "a\x1b[2Jb\r\n".to_owned();
        let begun = Event::Begun {
            name: hostile.clone(),
            size: None,
            from: 0,
            version: 2,
        };
        let gone = Event::PeerGone { why: hostile };
        for event in [begun, gone] {
            let text = said(event, Role::Receiver);
            assert!(
                text.contains("a\\u{1b}[2Jb\\r\\n") && !text.contains('\x1b'),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_stopped_says_what_becomes_of_it() {
        let stopped = Failure::from(Fault::Interrupted);
        assert!(failure(Role::Sender, &stopped).contains("has ended"));
        assert!(advice(Role::Sender, &stopped).contains("new code"));
        assert!(advice(Role::Receiver, &stopped).contains("same words"));
        assert!(failure(Role::Receiver, &stopped).contains("goes on from there"));
        let wrong = failure(Role::Receiver, &Fault::WrongPassphrase.into());
        assert!(
            wrong.starts_with("distill: The passphrase is wrong. "),
            "{wrong}"
        );
    }

    #[test]
    fn progress_begins_with_what_matters_most() {
        let pace = Pace {
            rate: 1 << 20,
            left: Some(Duration::from_secs(60)),
        };
        let text = progress(1 << 20, Some(4 << 20), pace, Slow::Line, Role::Sender);
        assert!(
            text.starts_with(" 25 %  1.00 MiB of 4.00 MiB  1.00 MiB/s  "),
            "{text}"
        );
        let unknown = Pace {
            rate: 0,
            left: None,
        };
        assert!(progress(5, None, unknown, Slow::Here, Role::Sender).starts_with("5 B  0 B/s  "));
    }

    #[test]
    fn a_part_of_any_size_is_of_a_hundred() {
        assert_eq!(
            [percent(0, 0), percent(1, 3), percent(u64::MAX, u64::MAX)],
            [100, 33, 100]
        );
        assert_eq!(percent(5, 4), 100);
    }
}
