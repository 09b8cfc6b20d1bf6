//! The file that lets senders take their rooms up again after a restart: the keys of their tokens, and how often the
//! relay has started, so that it gives out no codes of the last starts.
//!
//! Without a state directory, or where the file cannot be written, the keys are this process's alone. In a cluster they
//! follow from its secret, so that every node knows every token.

use std::{
    fs::File,
    io::{self, ErrorKind, Read},
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
/// The longest file that is read, in bytes: several times what all keys take.
const MAX_FILE: u64 = 64 * 1024;
/// How often it is seen whether a new key is due, which is once a day.
const LOOK: Duration = Duration::from_secs(600);

/// What the file has.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Kept {
    /// How often the relay has started.
    starts: u64,
    /// What parts the codes among the starts.
    codes: Secret,
    /// The keys, the newest last.
    keys: Vec<Key>,
}

/// The keys of a relay, and where they are kept, if anywhere.
#[derive(Clone)]
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
        let mut file = Self {
            kept: Kept::default(),
            folder,
            is_there: false,
        };
        let mut known = false;
        if let Some(folder) = &file.folder {
            match read(folder) {
                Ok(kept) => {
                    known = kept.is_some();
                    file.kept = kept.unwrap_or_default();
                }
                Err(error) => lost(folder, &error),
            }
        }
        if !known {
            file.kept.codes = fresh()?;
        }
        file.kept.starts += 1;
        file.renew(now(), fresh()?);
        file.is_there = file.write();
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
            let Ok(fresh) = fresh() else { continue };
            if !self.renew(now(), fresh) {
                continue;
            }
            state.tokens.set_keyring(self.keyring());
            let file = self.clone();
            // Elsewhere, as nobody knows how long a disk takes.
            let _ = spawn_blocking(move || file.write()).await;
        }
    }

    fn keyring(&self) -> Keyring {
        Keyring::new(self.kept.keys.iter().map(|key| key.secret))
    }

    /// Adds a key where one is due, and leaves out those that are of no use any more; whether anything changes.
    fn renew(&mut self, now: u64, fresh: Secret) -> bool {
        let keys = renewed(self.kept.keys.clone(), now, fresh);
        let changes = keys != self.kept.keys;
        self.kept.keys = keys;
        changes
    }

    /// Writes the file, if there is a folder for it; whether it is there now.
    fn write(&self) -> bool {
        let Some(folder) = &self.folder else {
            return false;
        };
        // Numbers and lists of them: there is nothing that could fail to serialise.
        let text = serde_json::to_vec(&self.kept).unwrap_or_default();
        let written = store::replace(folder, NAME, &text);
        if let Err(error) = &written {
            let path = folder.join(NAME);
            error!(
                "{} cannot be written, and no room can be taken up after a restart: {error}",
                path.display()
            );
        }
        written.is_ok()
    }
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

fn lost(folder: &Path, error: &io::Error) {
    let path = folder.join(NAME);
    error!(
        "{} cannot be read, and is made anew: no room of an earlier start can be taken up: {error}",
        path.display()
    );
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
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use relay_wire::code::RoomCode;
    use tempfile::TempDir;

    use super::*;

    fn start(folder: &Path) -> (State, TokenFile) {
        let config = Config {
            state_dir: Some(folder.to_owned()),
            ..Config::default()
        };
        let state = State::new(config.clone());
        let file = TokenFile::open(&config).unwrap();
        file.apply(&config, &state);
        (state, file)
    }

    #[test]
    fn a_token_of_one_start_is_good_at_the_next_and_codes_differ() {
        let folder = TempDir::new().unwrap();
        let code = RoomCode::random(6).unwrap();
        let (first, _) = start(folder.path());
        let until = now() + 60;
        let token = first.tokens.keyring().sign(&code, 1, until).unwrap();
        let mode = fs::metadata(folder.path().join(NAME))
            .unwrap()
            .permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        let (second, _) = start(folder.path());
        assert!(
            second
                .tokens
                .keyring()
                .verify(&code, &token, now())
                .is_some()
        );
        for _ in 0..1000 {
            let code = RoomCode::random(6).unwrap();
            assert!(!first.tokens.prefers(&code) || !second.tokens.prefers(&code));
        }
    }

    #[test]
    fn what_cannot_be_read_is_made_anew() {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join(NAME), "{").unwrap();
        let (_, file) = start(folder.path());
        assert_eq!((file.kept.starts, file.kept.keys.len()), (1, 1));
        let kept = read(folder.path()).unwrap().unwrap();
        assert_eq!(kept.keys.len(), 1);
    }

    #[test]
    fn without_a_folder_there_is_a_key_and_no_file() {
        let state = State::new(Config::default());
        let folder = TempDir::new().unwrap();
        let gone = folder.path().join("gone");
        let (there, file) = start(&gone);
        assert!(!gone.exists() && file.kept.keys.len() == 1);
        let code = RoomCode::random(6).unwrap();
        for state in [state, there] {
            assert!(state.tokens.keyring().sign(&code, 1, now() + 60).is_some());
            assert!(state.tokens.prefers(&code));
        }
    }

    #[test]
    fn a_key_of_yesterday_is_followed_and_kept() {
        let folder = TempDir::new().unwrap();
        let (_, mut file) = start(folder.path());
        file.kept.keys[0].made -= 25 * 3600;
        assert!(file.write());
        let old = file.keyring();
        let code = RoomCode::random(6).unwrap();
        let token = old.sign(&code, 1, now() + 60).unwrap();
        let (state, file) = start(folder.path());
        assert_eq!(file.kept.keys.len(), 2);
        let keyring = state.tokens.keyring();
        assert!(keyring.verify(&code, &token, now()).is_some());
        let again = keyring.sign(&code, 1, now() + 60).unwrap();
        assert!(old.verify(&code, &again, now()).is_none(), "by the new key");
    }
}
