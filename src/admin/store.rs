//! The file in which the operator's decisions outlive a restart: JSON, in the state directory. It is replaced
//! as a whole, so that there is always one that is whole.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read, Write},
    path::PathBuf,
};

use log::error;

use crate::limits::rules::Decided;

/// The file's name.
const NAME: &str = "rules.json";
/// The longest file that is read, in bytes: several times what all rules that there may be take.
const MAX_FILE: u64 = 1 << 20;

/// Where decisions are kept, if anywhere.
#[derive(Debug, Clone)]
pub struct Store(Option<PathBuf>);

impl Store {
    /// Keeps them in this folder, which has to be there, or nowhere.
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self(folder)
    }

    /// Whether they are kept anywhere.
    pub fn keeps(&self) -> bool {
        self.0.is_some()
    }

    /// What was decided before, as far as it can be read. A file that is none is logged and put aside, so
    /// that the next decision does not overwrite it.
    pub fn load(&self) -> Decided {
        let Some(path) = self.0.as_ref().map(|folder| folder.join(NAME)) else {
            return Decided::default();
        };
        match read(&path) {
            Ok(decided) => decided,
            Err(error) if error.kind() == ErrorKind::NotFound => Decided::default(),
            Err(error) => {
                let aside = path.with_extension("json.unreadable");
                let kept = match fs::rename(&path, &aside) {
                    Ok(()) => format!("it is {} now", aside.display()),
                    Err(error) => format!("it cannot be put aside: {error}"),
                };
                error!(
                    "blocks and limits are lost, as {} cannot be read: {error}; {kept}",
                    path.display()
                );
                Decided::default()
            }
        }
    }

    /// Writes down what is decided. Blocks while the disk takes its time.
    ///
    /// # Errors
    ///
    /// The system's own; then what was written before is there still.
    pub fn save(&self, decided: &Decided) -> io::Result<()> {
        let Some(folder) = &self.0 else {
            return Ok(());
        };
        let (path, new) = (folder.join(NAME), folder.join(format!("{NAME}.new")));
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec_pretty(decided)?)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        // The name is on the disk once its folder is.
        File::open(folder)?.sync_all()
    }
}

fn read(path: &PathBuf) -> io::Result<Decided> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_FILE).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
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
    fn what_cannot_be_read_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(Some(folder.path().to_owned()));
        fs::write(folder.path().join(NAME), r#"{"blocks":[{"netw"#).unwrap();
        assert_eq!(store.load(), Decided::default());
        let aside = folder.path().join("rules.json.unreadable");
        assert_eq!(fs::read_to_string(aside).unwrap(), r#"{"blocks":[{"netw"#);
        store.save(&some()).unwrap();
        assert_eq!(store.load(), some());
    }

    #[test]
    fn a_folder_that_takes_nothing_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(Some(folder.path().to_owned()));
        store.save(&some()).unwrap();
        // A folder of its name is in the way, whoever runs the test.
        fs::create_dir(folder.path().join("rules.json.new")).unwrap();
        assert!(store.save(&Decided::default()).is_err());
        assert_eq!(store.load(), some());
        assert!(!Store::new(None).keeps());
        Store::new(None).save(&some()).unwrap();
    }
}
