//! What lets a sender that was killed go on under the same code: kept in a file that only its user can read,
//! until the share ends. The passphrase is not in it, but the key that was made of it is.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Seek},
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use ring::digest;
use serde::{Deserialize, Serialize};

use super::files::{self, Lock};
use crate::transfer::hex::Hex;

/// The longest file that is read, in bytes.
const LONGEST: u64 = 16 * 1024;

/// A share that may be taken up.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareState {
    /// The room's code.
    pub code: String,
    /// What takes the room up again.
    pub resume_token: String,
    /// What the passphrase was salted with.
    pub salt: Hex<32>,
    /// The passphrase's key.
    pub pass_key: Hex<32>,
    /// The transfer's number.
    pub transfer: Hex<16>,
    /// When the room ends, in s since 1970.
    pub expires: u64,
    /// How many have come with a wrong passphrase.
    #[serde(default)]
    pub wrong: u32,
}

/// The file of one share, which no other program may take up meanwhile.
#[derive(Debug)]
pub struct StateFile {
    file: File,
    path: PathBuf,
}

/// Why a share's file cannot be had.
#[derive(Debug)]
pub enum StateError {
    /// Another program shares the same thing over the same relay.
    InUse,
    /// It cannot be made, read or written.
    Io(PathBuf, io::Error),
}

impl StateFile {
    /// The file in `folder` for sharing `source`, a path without links, over `relay`.
    ///
    /// # Errors
    ///
    /// [`StateError`].
    pub fn claim(folder: &Path, source: &Path, relay: &str) -> Result<Self, StateError> {
        let named = [
            source.as_os_str().as_encoded_bytes(),
            &[0],
            relay.as_bytes(),
        ]
        .concat();
        let hash = digest::digest(&digest::SHA256, &named);
        let name = ::hex::encode(&hash.as_ref()[..16]);
        let path = folder.join(format!("share-{name}.json"));
        let failed = |why| StateError::Io(path.clone(), why);
        let mut made = DirBuilder::new();
        made.recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed)?;
        loop {
            let file = options().create(true).open(&path).map_err(failed)?;
            match files::lock(&file, &path).map_err(failed)? {
                Lock::Ours => return Ok(Self { file, path }),
                Lock::InUse => return Err(StateError::InUse),
                // The share of another process has ended just now.
                Lock::Removed => {}
            }
        }
    }

    /// Removes what is left in `folder` of shares whose rooms have ended by `now`, in s since 1970.
    pub fn sweep(folder: &Path, now: u64) {
        let files = fs::read_dir(folder).into_iter().flatten().flatten();
        for path in files.map(|it| it.path()).filter(|path| is_ours(path)) {
            // What cannot be read or removed is left for who looks there.
            let Ok(file) = options().open(&path) else {
                continue;
            };
            let free = matches!(files::lock(&file, &path), Ok(Lock::Ours));
            let state = Self { file, path };
            if free && state.load().is_some_and(|it| it.expires <= now) {
                state.remove().ok();
            }
        }
    }

    /// The share that was left there, if it can be read.
    pub fn load(&self) -> Option<ShareState> {
        let (mut json, mut file) = (Vec::new(), &self.file);
        file.rewind().ok()?;
        file.take(LONGEST).read_to_end(&mut json).ok()?;
        serde_json::from_slice(&json).ok()
    }

    /// Keeps the share.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`].
    pub fn save(&self, state: &ShareState) -> Result<(), StateError> {
        let failed = |why| StateError::Io(self.path.clone(), why);
        let json = serde_json::to_vec(state).map_err(|why| failed(why.into()))?;
        // A file that was cut in the middle of this is none, and the share begins anew.
        self.file.write_all_at(&json, 0).map_err(failed)?;
        self.file.set_len(json.len() as u64).map_err(failed)?;
        self.file.sync_data().map_err(failed)
    }

    /// The share has ended.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`].
    pub fn remove(self) -> Result<(), StateError> {
        fs::remove_file(&self.path).map_err(|why| StateError::Io(self.path, why))
    }
}

fn options() -> OpenOptions {
    let mut options = files::options();
    options.read(true).write(true).mode(0o600);
    options
}

fn is_ours(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with("share-") && name.ends_with(".json"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn state(expires: u64) -> ShareState {
        ShareState {
            code: "a7f3k2".into(),
            resume_token: "token".into(),
            salt: Hex([1; 32]),
            pass_key: Hex([2; 32]),
            transfer: Hex([3; 16]),
            expires,
            wrong: 5,
        }
    }

    #[test]
    fn what_is_over_is_swept_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let left = |source: &str, expires| {
            let file = StateFile::claim(folder.path(), Path::new(source), "wss://relay").unwrap();
            file.save(&state(expires)).unwrap();
            file
        };
        let over = left("/over", 99).path.clone();
        let open = left("/open", 101).path.clone();
        let held = left("/held", 99);
        let other = folder.path().join("other.json");
        fs::write(&other, r#"{"expires":1}"#).unwrap();
        StateFile::sweep(folder.path(), 100);
        let there = [&over, &open, &held.path, &other].map(|path| path.exists());
        assert_eq!(there, [false, true, true, true]);
    }

    #[test]
    fn a_share_is_taken_up_by_one_and_by_its_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("state/distill");
        let claim = || StateFile::claim(&folder, Path::new("/a"), "wss://relay");
        let file = claim().unwrap();
        assert!(file.load().is_none());
        assert!(matches!(claim(), Err(StateError::InUse)));
        let state = state(4);
        file.save(&state).unwrap();
        let mode = fs::metadata(&file.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(file);
        let file = claim().unwrap();
        assert!(file.load() == Some(state));
        let path = file.path.clone();
        file.remove().unwrap();
        assert!(!path.exists());
    }

    /// One process ends its share while another begins the same one: who has the file has the one that has the name.
    #[test]
    fn a_file_that_is_removed_is_nobodys() {
        let folder = tempfile::tempdir().unwrap();
        let claims = || {
            for _ in 0..2000 {
                match StateFile::claim(folder.path(), Path::new("/a"), "wss://relay") {
                    Ok(file) => file.remove().unwrap(),
                    Err(StateError::InUse) => {}
                    Err(why) => unreachable!("{why:?}"),
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(claims);
            }
        });
    }
}
