//! The file that lets senders take their rooms up again after a restart: the keys of their tokens, and how often the
//! relay has started, so that it gives out no codes of the last starts.
//!
//! Without a state directory, or where the file cannot be written, the keys are this process's alone. In a cluster they
//! follow from its secret, so that every node knows every token. Two relays may have one file, while one of them takes
//! over from the other: each changes what it finds there, under a lock, and takes over the keys of the other.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Read},
    mem,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use actix_rt::{task::spawn_blocking, time::sleep};
use jiff::Timestamp;
use log::{error, info};
use serde::{Deserialize, Serialize};

use super::systemd;
use crate::{
    admin::store,
    config::Config,
    rooms::{
        keyring::{Key, Keyring, Secret, renewed},
        slot::Slot,
    },
    state::State,
};

/// The file's name.
const NAME: &str = "resume.keys";
/// The file beside it that is locked by whoever changes it: that one itself is another with each change.
const LOCK: &str = "resume.keys.lock";
/// The longest file that is read, in bytes: several times what all keys take.
const MAX_FILE: u64 = 64 * 1024;
/// How often it is seen whether a new key is due, which is once a day.
const LOOK: Duration = Duration::from_secs(600);

/// What the file has.
#[derive(Default, Serialize, Deserialize)]
struct Kept {
    /// How often the relay has started.
    starts: u64,
    /// What parts the codes among the starts.
    codes: Secret,
    /// The keys, the newest last.
    keys: Vec<Key>,
}

/// The keys of a relay, and where they are kept, if anywhere.
pub(super) struct TokenFile {
    folder: Option<PathBuf>,
    kept: Kept,
    /// Whether the file is there.
    is_there: bool,
}

impl TokenFile {
    /// Reads the file for another start, and makes it where there is none. It waits for the disk, so that this is
    /// done before anybody can connect.
    ///
    /// # Errors
    ///
    /// Where the system has no randomness.
    pub(super) fn open(config: &Config) -> Result<Self, getrandom::Error> {
        let folder = config.state_dir.clone().or_else(systemd::state_directory);
        let (codes, secret) = (fresh()?, fresh()?);
        let kept = Kept {
            codes,
            ..Kept::default()
        };
        let mut file = Self {
            folder,
            kept,
            is_there: false,
        };
        file.change(|kept| {
            kept.starts = kept.starts.wrapping_add(1);
            kept.renew(now(), secret);
        });
        Ok(file)
    }

    /// Has its keys count, and new codes be of this start. It says what does without a file, which a relay that
    /// could not listen has no need to say.
    pub(super) fn apply(&self, config: &Config, state: &State) {
        if self.folder.is_none() && !config.room_grace.is_zero() && config.cluster().is_none() {
            info!(
                "no room can be taken up after a restart of this relay: there is no RELAY_STATE_DIR"
            );
        }
        if self.is_there {
            let Kept { codes, starts, .. } = &self.kept;
            state.tokens.set_slot(Slot::new(codes, *starts));
        }
        state.tokens.set_keyring(match config.cluster() {
            Some(cluster) => Keyring::of_cluster(&cluster.secret),
            None => self.keyring(),
        });
    }

    /// Makes a new key each day, for as long as it is polled.
    pub(super) async fn keep(mut self, state: Arc<State>) {
        if state.cluster.is_some() {
            return;
        }
        loop {
            sleep(LOOK).await;
            let Ok(secret) = fresh() else { continue };
            let now = now();
            if renewed(self.kept.keys.clone(), now, secret) == self.kept.keys {
                continue;
            }
            // Elsewhere, as nobody knows how long a disk takes.
            let renewing = spawn_blocking(move || {
                self.change(|kept| kept.renew(now, secret));
                self
            });
            match renewing.await {
                Ok(file) => self = file,
                // The process ends.
                Err(_) => return,
            }
            state.tokens.set_keyring(self.keyring());
        }
    }

    fn keyring(&self) -> Keyring {
        Keyring::new(self.kept.keys.iter().map(|key| key.secret))
    }

    /// Changes what the file has by now, and this relay has of it, and writes it, if there is a folder for it. At most
    /// one line of the log says what does not work.
    fn change(&mut self, change: impl FnOnce(&mut Kept)) {
        let Some(folder) = self.folder.clone() else {
            return change(&mut self.kept);
        };
        let path = folder.join(NAME);
        let locked = lock(&folder);
        let unread = match read(&folder) {
            Ok(None) => None,
            Ok(Some(found)) => {
                self.kept.follow(found);
                None
            }
            Err(error) => Some(error),
        };
        change(&mut self.kept);
        // Numbers and lists of them: there is nothing that could fail to serialise.
        let text = serde_json::to_vec(&self.kept).unwrap_or_default();
        let written = locked.and_then(|_locked| store::replace(&folder, NAME, &text));
        self.is_there = written.is_ok();
        match (written, unread) {
            (Ok(()), None) => {}
            (Ok(()), Some(error)) => error!(
                "{} could not be read, and is made anew: no room of an earlier start can be taken up: {error}",
                path.display()
            ),
            (Err(error), _) => error!(
                "{} cannot be written, and rooms may not be taken up after a restart: {error}",
                path.display()
            ),
        }
    }
}

impl Kept {
    /// Adds a key where one is due, and leaves out those that are of no use any more.
    fn renew(&mut self, now: u64, fresh: Secret) {
        self.keys = renewed(mem::take(&mut self.keys), now, fresh);
    }

    /// Goes on from what was found in the file. The keys of here count still, as tokens are signed with them.
    fn follow(&mut self, found: Self) {
        let own = mem::replace(self, found).keys;
        let missing = own.into_iter().filter(|key| !self.keys.contains(key));
        let missing: Vec<_> = missing.collect();
        self.keys.extend(missing);
    }
}

/// Waits until nobody else changes the file of this folder, who has it for as long as it takes to write it. Nobody else
/// may open the lock, and so have the relay wait.
fn lock(folder: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(folder.join(LOCK))?;
    file.lock()?;
    Ok(file)
}

/// The file of this folder, if there is one.
fn read(folder: &Path) -> io::Result<Option<Kept>> {
    let file = match File::open(folder.join(NAME)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut text = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

fn fresh() -> Result<Secret, getrandom::Error> {
    let mut secret = Secret::default();
    getrandom::fill(&mut secret)?;
    Ok(secret)
}

/// Seconds since 1970.
fn now() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
