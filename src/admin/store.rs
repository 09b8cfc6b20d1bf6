//! The file in which the operator's decisions outlive a restart: JSON, in the state directory. It is replaced
//! as a whole, so that there is always one that is whole.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use log::error;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::limits::rules::Decided;

/// The file's name.
const NAME: &str = "rules.json";
/// Who may read such a file: this one has addresses.
const MODE: u32 = 0o600;
/// The longest file that is read, in bytes: several times what all rules that there may be take.
const MAX_FILE: u64 = 4 << 20;

/// Where decisions are kept, if anywhere.
#[derive(Debug, Clone)]
pub struct Store {
    folder: Option<PathBuf>,
    last: Arc<Mutex<Last>>,
}

/// How the file was read or written last.
#[derive(Debug, Default)]
struct Last {
    /// What went wrong.
    trouble: Option<String>,
    /// Whether there is a file that could not be read, and may be in order.
    unread: bool,
}

/// What a file has, whatever that is.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Loose {
    blocks: Vec<Value>,
    limits: Vec<Value>,
}

impl Store {
    /// Keeps them in this folder, which has to be there, or nowhere.
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self {
            folder,
            last: Arc::default(),
        }
    }

    /// Whether they are kept anywhere.
    pub fn keeps(&self) -> bool {
        self.folder.is_some()
    }

    /// What went wrong when they were read or written last.
    pub fn trouble(&self) -> Option<String> {
        self.last().trouble.clone()
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        // Every change to it is whole before anything can panic.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was decided before, as far as it can be read. A file that has anything else is logged, and
    /// copied, so that the next decision does not overwrite it.
    pub fn load(&self) -> Decided {
        let Some(path) = self.folder.as_ref().map(|folder| folder.join(NAME)) else {
            return Decided::default();
        };
        let text = match read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Decided::default(),
            Err(error) => {
                self.lost(&path, &format!("{error}; it stays there"));
                self.last().unread = true;
                return Decided::default();
            }
        };
        let (decided, fault) = parse(&text);
        if let Some(fault) = fault {
            let aside = aside(&path);
            let kept = match fs::copy(&path, &aside) {
                Ok(_) => format!("it is kept as {}", aside.display()),
                Err(error) => format!("it cannot be copied: {error}"),
            };
            self.lost(&path, &format!("{fault}; {kept}"));
        }
        decided
    }

    fn lost(&self, path: &Path, why: &str) {
        let why = format!("{} cannot be read: {why}", path.display());
        error!("blocks and limits are lost, as {why}");
        self.last().trouble = Some(why);
    }

    /// Writes down what is decided. Blocks while the disk takes its time.
    ///
    /// # Errors
    ///
    /// The system's own; then what was written before is there still.
    pub fn save(&self, decided: &Decided) -> io::Result<()> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let saved = self.write(folder, decided);
        self.last().trouble = saved.as_ref().err().map(|error| {
            let path = folder.join(NAME);
            format!("{} cannot be written: {error}", path.display())
        });
        saved
    }

    fn write(&self, folder: &Path, decided: &Decided) -> io::Result<()> {
        let path = folder.join(NAME);
        let new = write_beside(&path, &serde_json::to_vec_pretty(decided)?)?;
        if self.last().unread {
            fs::rename(&path, aside(&path))?;
            self.last().unread = false;
        }
        put(folder, &new, &path)
    }
}

/// Replaces a file of this folder as a whole, which nobody else may read. Blocks while the disk takes its time.
///
/// # Errors
///
/// The system's own; then what was there before is there still.
pub fn replace(folder: &Path, name: &str, text: &[u8]) -> io::Result<()> {
    let path = folder.join(name);
    let new = write_beside(&path, text)?;
    put(folder, &new, &path)
}

/// Writes what is to be in a file into another one beside it.
fn write_beside(path: &Path, text: &[u8]) -> io::Result<PathBuf> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(MODE);
    let mut file = options.open(&new)?;
    // It may have been there.
    file.set_permissions(Permissions::from_mode(MODE))?;
    file.write_all(text)?;
    file.sync_all()?;
    Ok(new.into())
}

/// Puts a file in the place of another.
fn put(folder: &Path, new: &Path, path: &Path) -> io::Result<()> {
    fs::rename(new, path)?;
    // The name is on the disk once its folder is.
    File::open(folder)?.sync_all()
}

/// Where a file stays that cannot be read.
fn aside(path: &Path) -> PathBuf {
    path.with_extension("json.unreadable")
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_FILE).read_to_end(&mut text)?;
    Ok(text)
}

/// What can be read of this, and what is wrong with the rest.
fn parse(text: &[u8]) -> (Decided, Option<String>) {
    let loose: Loose = match serde_json::from_slice(text) {
        Ok(loose) => loose,
        Err(error) => return (Decided::default(), Some(error.to_string())),
    };
    let mut fault = None;
    let decided = Decided {
        blocks: readable(loose.blocks, &mut fault),
        limits: readable(loose.limits, &mut fault),
    };
    (decided, fault)
}

fn readable<T: DeserializeOwned>(values: Vec<Value>, fault: &mut Option<String>) -> Vec<T> {
    let values = values.into_iter().map(serde_json::from_value);
    let readable = values.filter_map(|value: Result<T, _>| match value {
        Ok(value) => Some(value),
        Err(error) => {
            *fault = Some(format!("of some of it, {error}"));
            None
        }
    });
    readable.collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::limits::rules::Block;

    fn some() -> Decided {
        Decided {
            blocks: vec![Block {
                network: "192.0.2.0/24".parse().unwrap(),
                until: Some("2026-01-02T03:04:05Z".parse().unwrap()),
                decided: "2026-01-01T03:04:05.123456789Z".parse().unwrap(),
            }],
            limits: Vec::new(),
        }
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(Some(folder.path().to_owned()));
        assert_eq!(store.load(), Decided::default());
        store.save(&some()).unwrap();
        assert_eq!(store.load(), some());
        store.save(&Decided::default()).unwrap();
        assert_eq!(store.load(), Decided::default());
        let names = fs::read_dir(folder.path()).unwrap();
        assert_eq!(names.count(), 1, "nothing is left beside it");
    }

    #[test]
    fn what_cannot_be_read_is_kept_aside_and_the_rest_holds() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(Some(folder.path().to_owned()));
        let path = folder.path().join(NAME);
        let torn = r#"{"blocks":[{"netw"#;
        let mut half = serde_json::to_value(some()).unwrap();
        let more = serde_json::json!({"network": "nowhere", "until": null});
        half["blocks"].as_array_mut().unwrap().push(more);
        for (text, readable) in [
            (torn.to_owned(), Decided::default()),
            (half.to_string(), some()),
        ] {
            fs::write(&path, &text).unwrap();
            // However often it is read.
            for _ in 0..2 {
                assert_eq!(store.load(), readable);
                let trouble = store.trouble().unwrap();
                assert!(trouble.contains("rules.json cannot be read: "), "{trouble}");
            }
            let aside = folder.path().join("rules.json.unreadable");
            assert_eq!(fs::read_to_string(aside).unwrap(), text);
            store.save(&some()).unwrap();
            assert_eq!((store.load(), store.trouble()), (some(), None));
        }
    }

    #[test]
    fn a_file_that_is_not_ours_to_read_stays_until_there_is_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(Some(folder.path().to_owned()));
        let path = folder.path().join(NAME);
        // What is no file is read by nobody, root neither.
        fs::create_dir(&path).unwrap();
        assert_eq!(store.load(), Decided::default());
        assert!(path.is_dir() && store.trouble().is_some());
        store.save(&some()).unwrap();
        assert!(folder.path().join("rules.json.unreadable").is_dir());
        assert_eq!((store.load(), store.trouble()), (some(), None));
    }

    #[test]
    fn it_is_for_nobody_else_to_read() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(Some(folder.path().to_owned()));
        fs::write(folder.path().join("rules.json.new"), "of before").unwrap();
        store.save(&some()).unwrap();
        let mode = fs::metadata(folder.path().join(NAME))
            .unwrap()
            .permissions();
        assert_eq!(mode.mode() & 0o777, MODE);
    }

    #[test]
    fn a_folder_that_takes_nothing_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(Some(folder.path().to_owned()));
        store.save(&some()).unwrap();
        // A folder of its name is in the way, whoever runs the test.
        fs::create_dir(folder.path().join("rules.json.new")).unwrap();
        assert!(store.save(&Decided::default()).is_err());
        let trouble = store.trouble().unwrap();
        assert!(trouble.contains("cannot be written"), "{trouble}");
        assert_eq!(store.load(), some());
        assert!(!Store::new(None).keeps());
        Store::new(None).save(&some()).unwrap();
    }
}
