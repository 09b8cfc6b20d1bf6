//! `distill sessions`.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::ArgMatches;

use super::{
    failure::{Failure, Usage},
    news::News,
    receive, settings,
    show::Show,
    signals::{self, Stop},
};
use crate::engine::{
    fault::Fault,
    options::Received,
    sessions::{Session, Sessions},
};

/// Lists what is shared, and fetches what is picked.
pub(super) async fn run(flags: &ArgMatches, show: &Show, stop: &mut Stop) -> Result<(), Failure> {
    let picked = flags.get_one::<String>("pick");
    let only_list = flags.get_flag("list");
    let can_ask = io::stdin().is_terminal() && show.is_for_a_person();
    if picked.is_none() && !only_list && !can_ask {
        return Err(Usage(
            "there is no terminal to pick a session at: print them with --list, and fetch one with --pick ID"
                .to_owned(),
        )
        .into());
    }
    if settings::refuse_version_1()? {
        return Err(Usage(
            "sessions are shared by version 1 alone, which the settings refuse (version_2_only)"
                .to_owned(),
        )
        .into());
    }
    let options = receive::options(flags, stop).await?;
    let mut sessions = or_stop(stop, Sessions::open(options, show.tell())).await?;
    let done = match picked {
        _ if only_list => {
            show.say(News::Sessions {
                list: sessions.list().to_vec(),
                to_pick: false,
            });
            Ok(None)
        }
        Some(id) => fetch(&mut sessions, id, stop).await.map(Some),
        None => pick(&mut sessions, show, stop).await,
    };
    if let Some(received) = done? {
        show.say(News::Received(received));
    }
    sessions.done().await;
    Ok(())
}

async fn fetch(sessions: &mut Sessions, id: &str, stop: &mut Stop) -> Result<Received, Failure> {
    or_stop(stop, sessions.fetch(id)).await
}

/// Has a person pick one; `None` where they do not.
async fn pick(
    sessions: &mut Sessions,
    show: &Show,
    stop: &mut Stop,
) -> Result<Option<Received>, Failure> {
    show.say(News::Sessions {
        list: sessions.list().to_vec(),
        to_pick: true,
    });
    show.settle();
    let count = sessions.list().len();
    loop {
        let answer = async {
            tokio::select! {
                typed = ask(count) => Ok(typed),
                // It never ends: the line is kept alive meanwhile.
                () = sessions.idle() => Ok(String::new()),
            }
        };
        let typed = or_stop(stop, answer).await?;
        let typed = typed.trim();
        if typed.is_empty() {
            return Ok(None);
        }
        if let Some(id) = numbered(sessions.list(), typed) {
            return fetch(sessions, &id, stop).await.map(Some);
        }
    }
}

/// The id of the session of this number, counted from 1.
fn numbered(list: &[Session], typed: &str) -> Option<String> {
    let number = typed.parse::<usize>().ok()?.checked_sub(1)?;
    list.get(number).map(|session| session.id.clone())
}

/// Asks for a number, on a thread that may be left behind. Nothing is what is typed by who has gone.
async fn ask(count: usize) -> String {
    let asked = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        let prompt = format!("Which one? (1 to {count}, or nothing to leave) ");
        let asked = io::stderr().write_all(prompt.as_bytes());
        let read = asked.and_then(|()| io::stdin().lock().read_line(&mut line));
        read.map(|_| line)
    });
    asked
        .await
        .map_err(io::Error::other)
        .flatten()
        .unwrap_or_default()
}

/// What comes of `work`, unless we are told to stop before.
async fn or_stop<T>(
    stop: &mut Stop,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Failure> {
    tokio::select! {
        done = work => Ok(done?),
        () = signals::came(stop) => Err(Fault::Interrupted.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_one_of_the_list_or_none() {
        let list = ["first", "second"].map(|id| Session {
            id: id.to_owned(),
            summary: String::new(),
            first_prompt: String::new(),
            messages: 0,
            modified: String::new(),
            branch: String::new(),
            project: String::new(),
        });
        assert_eq!(numbered(&list, "2").as_deref(), Some("second"));
        for none in ["0", "3", "-1", "first", "99999999999999999999999"] {
            assert_eq!(numbered(&list, none), None);
        }
    }
}
