//! News for a program: an object a line on standard output, and nothing else there. The help has what is in
//! them, and programs build on it: an event or a field may join, and none changes its meaning or goes.

use std::{
    io,
    time::{Duration, Instant},
};

use relay_wire::text::escaped_json;
use serde_json::{Value, json};

use super::{
    super::{
        failure::Failure,
        invitation::Invitation,
        news::{News, Role},
    },
    meter::Meter,
    shown::{Shown, put},
    words::{self, Pace},
};
use crate::engine::{
    event::{Event, Slow},
    sessions::Session,
};

/// No more than one line of progress in this time.
const APART: Duration = Duration::from_secs(1);

/// A program that reads.
pub(super) struct Json {
    role: Role,
    invitation: Option<Box<Invitation>>,
    meter: Meter,
    last: Option<Instant>,
}

impl Json {
    pub(super) fn new(role: Role) -> Self {
        Self {
            role,
            invitation: None,
            meter: Meter::hidden(),
            last: None,
        }
    }

    /// What is said of progress, if some time has passed.
    fn progress(&mut self, confirmed: u64, total: Option<u64>, slow: Slow) -> Option<Value> {
        let pace = self.meter.at(confirmed);
        let now = Instant::now();
        if self
            .last
            .is_some_and(|last| now.duration_since(last) < APART)
        {
            return None;
        }
        self.last = Some(now);
        let Pace { rate, left } = pace;
        let slow = match slow {
            Slow::Here => "here",
            Slow::Line => "line",
        };
        let left = left.map(|left| left.as_secs());
        Some(
            json!({"event": "progress", "bytes": confirmed, "total": total, "rate": rate, "left": left, "slow": slow}),
        )
    }
}

impl Shown for Json {
    fn hear(&mut self, news: News) {
        let said = match news {
            News::Invitation(invitation) => {
                self.invitation = Some(invitation);
                None
            }
            News::Event(Event::Progress {
                confirmed,
                total,
                slow,
            }) => self.progress(confirmed, total, slow),
            News::Event(event) => {
                if let Event::Begun { size, from, .. } = event {
                    self.meter.begin(size, from);
                }
                of_event(event, self.invitation.as_deref())
            }
            News::Warning(text) => Some(warning(&text)),
            News::Sessions { list, .. } => Some(sessions(&list)),
            News::Received(received) => {
                let path = received.path.map(|path| path.display().to_string());
                Some(json!({"event": "delivered", "bytes": received.bytes, "path": path}))
            }
            News::Failed(failure) => {
                // A person may sit behind the program, and its log is where they look.
                put(&mut io::stderr(), &words::failure(self.role, &failure));
                Some(failed(self.role, &failure))
            }
            News::Settle(_) => None,
        };
        if let Some(said) = said {
            put(&mut io::stdout(), &escaped_json(&said.to_string()));
        }
    }
}

fn of_event(event: Event, invitation: Option<&Invitation>) -> Option<Value> {
    Some(match event {
        Event::Connecting => json!({"event": "connecting"}),
        Event::Opened {
            code,
            expires_in,
            resumable,
        } => room("opened", &code, expires_in, Some(resumable), invitation),
        Event::Resumed { code, expires_in } => room("resumed", &code, expires_in, None, invitation),
        Event::Joined => json!({"event": "joined"}),
        Event::PeerJoined => json!({"event": "peer_joined"}),
        Event::Proving => json!({"event": "proving"}),
        Event::Proved => json!({"event": "proved"}),
        Event::Begun {
            name,
            size,
            from,
            version,
        } => {
            json!({"event": "begun", "name": name, "size": size, "from": from, "version": version})
        }
        Event::PeerGone { why } => json!({"event": "peer_gone", "why": why}),
        Event::LineLost { why, again_in } => wait("line_lost", &why, again_in),
        Event::Waiting { why, again_in } => wait("waiting", &why, again_in),
        Event::Delivered { bytes, sent } => {
            json!({"event": "delivered", "bytes": bytes, "sent": sent})
        }
        Event::Warning(it) => warning(&it.sentence()),
        // Progress is told with its pace.
        Event::Progress { .. } => return None,
    })
}

/// A room that is open, and how to get there.
fn room(
    event: &str,
    code: &str,
    expires_in: Duration,
    resumable: Option<bool>,
    invitation: Option<&Invitation>,
) -> Value {
    let mut said = json!({"event": event, "code": code, "expires_in": expires_in.as_secs()});
    if let Some(resumable) = resumable {
        said["resumable"] = resumable.into();
    }
    if let Some(invitation) = invitation {
        said["link"] = invitation.link(code).into();
        if let Some(passphrase) = &invitation.made_up {
            said["passphrase"] = passphrase.as_str().into();
        }
    }
    said
}

fn wait(event: &str, why: &str, again_in: Duration) -> Value {
    json!({"event": event, "why": why, "again_in": again_in.as_secs_f64()})
}

fn warning(text: &str) -> Value {
    json!({"event": "warning", "text": text})
}

fn sessions(list: &[Session]) -> Value {
    let each = list.iter().map(|it| {
        json!({
            "id": it.id, "summary": it.summary, "first_prompt": it.first_prompt, "messages": it.messages,
            "modified": it.modified, "branch": it.branch, "project": it.project,
        })
    });
    json!({"event": "sessions", "sessions": each.collect::<Vec<_>>()})
}

fn failed(role: Role, failure: &Failure) -> Value {
    json!({
        "event": "failed", "reason": failure.word(), "side": failure.side(), "sentence": failure.sentence(),
        "advice": words::advice(role, failure), "status": failure.exit_status(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engine::event::Warning, program::cli, url::Url};

    /// One of each event that is shown as it comes.
    fn events() -> Vec<Event> {
        let (code, why) = ("a7f3k2".to_owned(), "it\u{1b}[2J".to_owned());
        let time = Duration::from_millis(1500);
        vec![
            Event::Connecting,
            Event::Opened {
                code: code.clone(),
                expires_in: time,
                resumable: true,
            },
            Event::Resumed {
                code,
                expires_in: time,
            },
            Event::Joined,
            Event::PeerJoined,
            Event::Proving,
            Event::Proved,
            Event::Begun {
                name: why.clone(),
                size: None,
                from: 0,
                version: 2,
            },
            Event::PeerGone { why: why.clone() },
            Event::LineLost {
                why: why.clone(),
                again_in: time,
            },
            Event::Waiting {
                why,
                again_in: time,
            },
            Event::Delivered { bytes: 1, sent: 2 },
            Event::Warning(Warning::OldSender),
        ]
    }

    #[test]
    fn the_help_names_every_event_with_its_fields() {
        let mut help = cli::command();
        let share = help.find_subcommand_mut("share");
        let help = share
            .map(|it| it.render_long_help().to_string())
            .unwrap_or_default();
        let invitation = Invitation {
            relay: Url::parse("ws://127.0.0.1:9784").unwrap_or_else(|why| unreachable!("{why:?}")),
            made_up: Some("one two".to_owned()),
            for_others: false,
            keyed: false,
        };
        let mut said: Vec<_> = events()
            .into_iter()
            .filter_map(|event| of_event(event, Some(&invitation)))
            .collect();
        let progress = Json::new(Role::Sender).progress(1, None, Slow::Line);
        said.extend([
            failed(
                Role::Sender,
                &Failure::Fault(crate::engine::fault::Fault::Expired),
            ),
            sessions(&[]),
        ]);
        said.extend(progress);
        assert_eq!(said.len(), 16);
        for said in said {
            let object = said.as_object().into_iter().flatten();
            for (field, value) in object {
                let word = if field == "event" {
                    value.as_str().unwrap_or_default()
                } else {
                    field
                };
                assert!(help.contains(word), "{word:?} of {said} is not in {help}");
            }
        }
    }

    #[test]
    fn a_passphrase_of_ones_own_is_in_no_line() {
        let invitation = Invitation {
            relay: Url::parse("ws://127.0.0.1:9784").unwrap_or_else(|why| unreachable!("{why:?}")),
            made_up: None,
            for_others: false,
            keyed: false,
        };
        let opened = room(
            "opened",
            "a7f3k2",
            Duration::from_secs(60),
            None,
            Some(&invitation),
        );
        assert_eq!(opened["link"], "http://127.0.0.1:9784/#a7f3k2");
        assert!(opened.get("passphrase").is_none(), "{opened}");
    }
}
