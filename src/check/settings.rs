//! By which settings the relay of this machine is judged: those that it was installed with, or where
//! there are none, those of the working directory.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
};

use super::note::Note;
use crate::config::{Error, FILES, INSTALLED, Settings};

/// Whose settings are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Those of the working directory, as a relay that is started there has them.
    Here,
    /// Those of the relay that systemd runs.
    Installed,
}

/// The settings, if they can be used, and what there is to say of them.
pub(super) struct Judged {
    pub(super) settings: Option<Settings>,
    pub(super) note: Note,
}

/// Reads the settings by which the relay is judged.
pub(super) fn of_relay(load: impl Fn(Whose) -> Result<Settings, Error>) -> Judged {
    match readable(INSTALLED) {
        Ok(()) => {
            let mut judged = judge(load(Whose::Installed));
            if let (Some(settings), Some(here)) = (&judged.settings, local())
                && load(Whose::Here).is_ok_and(|it| it.config != settings.config)
            {
                judged.note.detail += &format!(
                    "; {here} in this directory has other settings, which the relay does not have \
                     (check --settings judges those)"
                );
            }
            judged
        }
        Err(error) if error.kind() == ErrorKind::NotFound => of_here(load),
        Err(error) => {
            let judged = of_here(load);
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

/// Reads those of the working directory.
pub(super) fn of_here(load: impl Fn(Whose) -> Result<Settings, Error>) -> Judged {
    match local().map(|name| (name, readable(name))) {
        Some((name, Err(error))) => Judged {
            settings: None,
            note: Note::fail(format!("cannot read {name}: {error}"))
                .means("it is another user's; the relay itself may be well")
                .next("the same as the user whose file it is, or with sudo"),
        },
        _ => judge(load(Whose::Here)),
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
    if settings.config.port == 0 {
        return Note::warn("RELAY_PORT is 0: the relay takes any free port")
            .means("only its log says which, so nothing can be checked without it")
            .next("claude-distill-relay check ws://127.0.0.1:PORT");
    }
    Note::ok(format!("valid, from {place}"))
}
