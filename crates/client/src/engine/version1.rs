//! What a sender has for today's other clients: a distillation, which is one text, or sessions to pick
//! from. Each goes in one message, and has to fit into it.

use std::{path::Path, time::Duration};

use tokio::task::spawn_blocking;

use super::{
    complaint,
    event::Tell,
    fault::Fault,
    line::{Line, Turn},
    meter::tell_begun,
    options::What,
    pairing::{self, Parting, STALL},
    proof::{Guard, hear, no_randomness, refuse},
    session_files::{self, Missing},
};
use crate::{
    disk::errors::SourceError,
    transfer::{hello::Word, v1},
};

/// The most content that fits: 50 MiB, which today's clients take, hold twice as many digits, and what is
/// around them.
pub(super) const MOST: u64 = (25 << 20) - 1024;
/// How long somebody may take to pick a session.
const LEISURE: Duration = Duration::from_secs(3600);
/// The slowest line that is waited for, in bytes a second.
const SLOWEST: u64 = 8 << 10;

/// Whether there is anything in it that these clients take.
pub(super) fn is_served(what: &What) -> bool {
    match what {
        What::Path(path) => session_files::are_at(path) || distillation(path).is_ok(),
        What::Stdin => false,
    }
}

/// Serves a receiver that has proved itself; how many bytes of content it has got.
pub(super) async fn serve(
    line: &mut Line,
    what: &What,
    guard: &Guard,
    tell: &Tell,
) -> Result<u64, Parting> {
    let What::Path(path) = what else {
        return Err(refuse(line, STREAM, "it takes no stream"));
    };
    if session_files::are_at(path) {
        return sessions(line, path, guard, tell).await;
    }
    let shared = path.clone();
    let read = spawn_blocking(move || distillation(&shared)).await;
    match read.map_err(|_| Fault::failed())? {
        Ok(content) => {
            tell_begun(tell, &name(path), content.len());
            let bytes = payload(line, content, None, guard).await?;
            acknowledged(line, bytes).await?;
            Ok(bytes)
        }
        Err(Unfit::Disk(error)) => {
            let unreadable = SourceError::Unreadable(path.clone(), error);
            Err(complaint::of_source(&unreadable).into())
        }
        Err(Unfit::TooLong) => Err(refuse(line, TOO_LONG, "it takes 25 MiB at most")),
        Err(Unfit::NoText) => Err(refuse(line, NO_TEXT, "it takes text alone")),
    }
}

// Today's clients print the reason as it is.
const STREAM: &str = "this is a stream: receive it with distill";
const TOO_LONG: &str = "this has more than 25 MiB: receive it with distill";
const NO_TEXT: &str = "this is no text: receive it with distill";

/// Why a file is no distillation.
enum Unfit {
    Disk(std::io::Error),
    TooLong,
    NoText,
}

fn distillation(path: &Path) -> Result<Vec<u8>, Unfit> {
    let found = std::fs::metadata(path).map_err(Unfit::Disk)?;
    if !found.is_file() {
        return Err(Unfit::NoText);
    }
    if found.len() > MOST {
        return Err(Unfit::TooLong);
    }
    let content = std::fs::read(path).map_err(Unfit::Disk)?;
    match std::str::from_utf8(&content) {
        Ok(_) if content.len() as u64 <= MOST => Ok(content),
        Ok(_) => Err(Unfit::TooLong),
        Err(_) => Err(Unfit::NoText),
    }
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    pairing::said(&name.to_string_lossy())
}

/// Says content, as one message; how many bytes it has.
async fn payload(
    line: &mut Line,
    content: Vec<u8>,
    session: Option<String>,
    guard: &Guard,
) -> Result<u64, Parting> {
    let bytes = content.len() as u64;
    let (pass, salt) = (guard.pass.clone(), guard.salt);
    let sealing = spawn_blocking(move || {
        let mut payload = v1::seal(&pass, salt, content)?;
        payload.session_id = session;
        Ok(Word::Payload(payload).to_text())
    });
    let sealed = sealing.await.map_err(|_| Fault::failed())?;
    line.say(sealed.map_err(no_randomness)?)?;
    Ok(bytes)
}

/// Waits for the receiver to say that it has so many bytes.
async fn acknowledged(line: &mut Line, bytes: u64) -> Result<(), Parting> {
    match hear(line, patience(bytes)).await? {
        Some(Word::Ack) => Ok(()),
        _ => Err(Parting::Misbehaved("no ACK behind PAYLOAD")),
    }
}

/// How long a message of so many bytes of content may take.
fn patience(bytes: u64) -> Duration {
    STALL + Duration::from_secs(2 * bytes / SLOWEST)
}

/// Lets a receiver pick, until it wants no more. One that has what it wanted may leave without another word.
async fn sessions(
    line: &mut Line,
    path: &Path,
    guard: &Guard,
    tell: &Tell,
) -> Result<u64, Parting> {
    let (mut taken, mut owed) = (0, 0);
    loop {
        // Somebody picks at leisure: the relay ends a pair that is idle for too long.
        let word = match hear(line, patience(owed).max(LEISURE)).await {
            Err(Parting::Left) if taken > 0 => return Ok(taken),
            word => word?,
        };
        match word {
            Some(Word::ListSessions) => {
                gone_out(line).await?;
                let path = path.to_owned();
                let listing = spawn_blocking(move || session_files::list(&path)).await;
                let sessions = listing.map_err(|_| Fault::failed())?;
                line.say(Word::SessionList { sessions }.to_text())?;
            }
            Some(Word::SelectSession { session_id }) => {
                gone_out(line).await?;
                owed = session(line, path, session_id, guard, tell).await?;
            }
            Some(Word::Ack) => taken += std::mem::take(&mut owed),
            Some(Word::Done) if taken > 0 => return Ok(taken),
            Some(Word::Done) => return Err(Parting::Refused("it has picked nothing")),
            _ => {
                gone_out(line).await?;
                answer(line, "unknown_request")?;
            }
        }
    }
}

/// Waits until what was said before has gone out: who asks without taking the answers would fill the memory.
async fn gone_out(line: &mut Line) -> Result<(), Parting> {
    loop {
        match line.turn(true).await? {
            Turn::Room => return Ok(()),
            Turn::Heard(heard) => {
                if pairing::sift(line, heard)?.is_some() {
                    return Err(Parting::Misbehaved(
                        "it asks on before it has what it asked for",
                    ));
                }
            }
        }
    }
}

/// Says one session; how many bytes it has.
async fn session(
    line: &mut Line,
    path: &Path,
    id: String,
    guard: &Guard,
    tell: &Tell,
) -> Result<u64, Parting> {
    let (folder, wanted) = (path.to_owned(), id.clone());
    let read = spawn_blocking(move || session_files::read(&folder, &wanted, MOST)).await;
    match read.map_err(|_| Fault::failed())? {
        Ok(content) => {
            tell_begun(tell, &pairing::said(&id), content.len());
            payload(line, content, Some(id), guard).await
        }
        Err(missing) => {
            answer(
                line,
                match missing {
                    Missing::NotThere => "session_not_found",
                    Missing::TooLong => {
                        "this session has more than 25 MiB: have it shared as a file, with distill"
                    }
                },
            )?;
            Ok(0)
        }
    }
}

fn answer(line: &mut Line, reason: &str) -> Result<(), Parting> {
    let reason = reason.to_owned();
    Ok(line.say(Word::Error { reason }.to_text())?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{
        fs::{self, File},
        sync::Arc,
    };

    use super::{super::line::testing::pair, *};
    use crate::transfer::{hex::Hex, keys::PassKey};

    #[test]
    fn texts_and_sessions_are_for_these_clients() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("text"), "어느 것이나").unwrap();
        fs::write(path("picture"), b"\xff\xd8\xff\xe0").unwrap();
        File::create(path("long"))
            .unwrap()
            .set_len(MOST + 1)
            .unwrap();
        fs::create_dir(path("folder")).unwrap();
        fs::create_dir(path("sessions")).unwrap();
        fs::write(path("sessions/a.jsonl"), "{}\n").unwrap();
        for (name, served) in [
            ("text", true),
            ("sessions", true),
            ("picture", false),
            ("long", false),
            ("folder", false),
            ("missing", false),
        ] {
            assert_eq!(is_served(&What::Path(path(name))), served, "{name}");
        }
        assert!(!is_served(&What::Stdin));
    }

    #[tokio::test]
    async fn who_asks_without_taking_the_answers_is_sent_away() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.jsonl"), "{}\n".repeat(100_000)).unwrap();
        let (mut here, mut there) = pair(64 << 10).await;
        let guard = Guard {
            salt: Hex([1; 32]),
            pass: PassKey::from_bytes([2; 32]),
            wrong: 0,
            version_2_only: false,
        };
        let asking = async {
            let session_id = "a".to_owned();
            let select = Word::SelectSession { session_id }.to_text();
            // Until the sender is gone: it takes nothing in.
            while there.say(select.clone()).is_ok() && there.flush().await.is_ok() {}
            std::future::pending::<()>().await
        };
        let what = What::Path(folder.path().to_owned());
        let tell: Tell = Arc::new(|_| {});
        let end = tokio::select! {
            end = serve(&mut here, &what, &guard, &tell) => end,
            () = asking => unreachable!("the sender ends"),
        };
        assert!(matches!(end, Err(Parting::Misbehaved(_))), "{end:?}");
    }
}
