//! By which settings the relay of this machine is judged: those that it was installed with, or where
//! there are none, those of the working directory.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    os::unix::fs::PermissionsExt,
};

use super::note::{Note, Status};
use crate::config::{Error, FILES, INSTALLED, Settings};

/// Whose settings are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Those of the working directory, as a relay that is started there has them.
    Here,
    /// Those of the relay that systemd runs.
    Installed,
}

/// Whether the access keys are read with the other settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// They are.
    Read,
    /// They are not: they cannot be used, or are not ours to read.
    Left,
}

/// The settings, if they can be used, and what there is to say of them.
pub(super) struct Judged {
    pub(super) settings: Option<Settings>,
    pub(super) note: Note,
}

/// Reads the settings by which the relay is judged.
pub(super) fn of_relay(load: impl Fn(Whose, Keys) -> Result<Settings, Error>) -> Judged {
    match readable(INSTALLED) {
        Ok(()) => {
            let mut judged = judge_running(Whose::Installed, &load);
            if let (Some(settings), Some(here)) = (&judged.settings, local())
                && load(Whose::Here, Keys::Read).is_ok_and(|it| it.config != settings.config)
            {
                judged.note.detail += &format!(
                    "; {here} in this directory has other settings, which the relay does not have \
                     (check --settings judges those)"
                );
            }
            judged
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            of_here(|| judge_running(Whose::Here, &load))
        }
        Err(error) => {
            let judged = of_here(|| judge_running(Whose::Here, &load));
            if judged.settings.is_none() {
                return judged;
            }
            let note = Note::warn(format!("cannot read {INSTALLED}: {error}"))
                .means(format!(
                    "the relay of this machine has its settings from there; judged here: {}",
                    judged.note.detail
                ))
                .next("sudo claude-distill-relay check");
            Judged { note, ..judged }
        }
    }
}

/// Reads those of the working directory, which a relay is to be started with.
pub(super) fn drafted(load: impl Fn(Whose, Keys) -> Result<Settings, Error>) -> Judged {
    of_here(|| judge(load(Whose::Here, Keys::Read)))
}

/// Judges those of the working directory, if its file can be read.
fn of_here(judge: impl FnOnce() -> Judged) -> Judged {
    match local().map(|name| (name, readable(name))) {
        Some((name, Err(error))) => Judged {
            settings: None,
            note: Note::fail(format!("cannot read {name}: {error}"))
                .means("it is another user's; the relay itself may be well")
                .next("the same as the user whose file it is, or with sudo"),
        },
        _ => judge(),
    }
}

/// The file in the working directory that counts.
fn local() -> Option<&'static str> {
    let there = |name: &&str| !readable(name).is_err_and(|it| it.kind() == ErrorKind::NotFound);
    FILES.into_iter().find(there)
}

fn readable(path: &str) -> io::Result<()> {
    // What is no file would not be read either; to open it might take for ever.
    if fs::metadata(path)?.is_file() {
        File::open(path)?;
    }
    Ok(())
}

/// Judges the settings of a relay that may be running. Where the access keys alone cannot be had, it has those of before,
/// and can be looked at without one: it may be well, and would not start again.
fn judge_running(whose: Whose, load: &impl Fn(Whose, Keys) -> Result<Settings, Error>) -> Judged {
    let judged = judge(load(whose, Keys::Read));
    match load(whose, Keys::Left) {
        Ok(settings) if judged.settings.is_none() => Judged {
            settings: Some(settings),
            note: Note {
                status: Status::Warn,
                ..judged.note
            }
            .means(
                "these access keys cannot be used: a relay that runs keeps those of before, and does not start \
                 again with these; or only it can read them",
            ),
        },
        _ => judged,
    }
}

fn judge(settings: Result<Settings, Error>) -> Judged {
    match settings {
        Ok(settings) => Judged {
            note: usable(&settings),
            settings: Some(settings),
        },
        Err(error) => Judged {
            settings: None,
            note: Note::fail(error.to_string())
                .means("the relay does not start with this")
                .next("that value mended; claude-distill-relay --help has all of them"),
        },
    }
}

/// What there is to say about settings that can be used.
fn usable(settings: &Settings) -> Note {
    let place = match &settings.file {
        Some(file) => format!("the environment and {}", file.display()),
        None => "the environment (no .env.relay or .env here, and none installed)".to_owned(),
    };
    if !settings.warnings.is_empty() {
        return Note::warn(settings.warnings.join("; "))
            .means("a setting that has no effect, or another one than it seems")
            .next(format!("that line mended, in {place}"));
    }
    if let Some(note) = readable_keys(settings) {
        return note;
    }
    if settings.config.port == 0 {
        return Note::warn("RELAY_PORT is 0: the relay takes any free port")
            .means("only its log says which, so nothing can be checked without it")
            .next("claude-distill-relay check ws://127.0.0.1:PORT");
    }
    Note::ok(format!("valid, from {place}"))
}

/// A warning where keys stand in full in a file that every user of this machine can read. A key named `check` may.
fn readable_keys(settings: &Settings) -> Option<Note> {
    let names: Vec<_> = settings.config.access_keys.in_full().collect();
    let file = settings.keys_file.as_ref().filter(|_| !names.is_empty())?;
    let mode = fs::metadata(file).ok()?.permissions().mode();
    (mode & 0o004 != 0).then(|| {
        Note::warn(format!(
            "everybody on this machine can read {}, and keys stand there in full: {}",
            file.display(),
            names.join(", ")
        ))
        .means("who reads a key can use the relay as its owner does")
        .next("NAME:sha256-HEX in place of NAME:KEY, where printf %s KEY | sha256sum prints HEX")
    })
}
