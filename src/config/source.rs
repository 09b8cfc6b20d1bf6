//! The places that values come from: flags, the environment, a file. This module only collects
//! text by name and knows what to call each place; what the text means is for others.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use relay_wire::text::escaped;

/// The longest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Why the configuration cannot be used: one sentence for the operator.
#[derive(Debug)]
pub struct Error(pub(super) String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// Where a value came from.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    Flags,
    Environment,
    /// The file of this name, as whoever named it wrote it.
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flags => f.write_str("the command line"),
            Self::Environment => f.write_str("the environment"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// Values by variable name, all from one place.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) origin: Origin,
    pub(super) values: BTreeMap<String, String>,
}

impl Source {
    /// The variables of an environment. What is not UTF-8 is no value of ours: it is kept, marked,
    /// to be refused where it matters.
    pub(super) fn environment(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let text = |raw: OsString| raw.to_string_lossy().into_owned();
        Self {
            origin: Origin::Environment,
            values: variables
                .map(|(name, value)| (text(name), text(value)))
                .collect(),
        }
    }

    /// The first of the files `names` that exists in `directory`, if one does.
    pub(super) fn first_file(directory: &Path, names: &[&str]) -> Result<Option<Self>, Error> {
        for &name in names {
            match read(&directory.join(name)) {
                Ok(text) => return Self::parse(name.into(), &text).map(Some),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(unreadable(Path::new(name), &error)),
            }
        }
        Ok(None)
    }

    /// The file that somebody has named, which has to be there.
    pub(super) fn file(path: &Path) -> Result<Self, Error> {
        let text = read(path).map_err(|error| unreadable(path, &error))?;
        Self::parse(path.to_owned(), &text)
    }

    /// The variables in the text of a file. Of two lines for one variable the later counts.
    fn parse(path: PathBuf, text: &str) -> Result<Self, Error> {
        // The parser takes blanks at the very end of a file for the start of a longer value.
        let text = text.trim_start_matches('\u{feff}').trim_end();
        let mut place = "the first one".to_owned();
        let mut values = BTreeMap::new();
        for line in dotenvy::from_read_iter(text.as_bytes()) {
            // The bad line itself is not shown: it may be someone's secret.
            let (variable, value) = line.map_err(|_| {
                Error(format!(
                    "{} has a line that is not NAME=value (a value with blanks needs quotes): \
                     {place}",
                    path.display()
                ))
            })?;
            place = format!("the one after {}", quote(&variable));
            values.insert(variable, value);
        }
        Ok(Self {
            origin: Origin::File(path),
            values,
        })
    }

    /// Where its value for this variable is the path of a file, puts what is in that behind it. Returns the
    /// file that what counts stands in, if it stands in one.
    pub(super) fn include(&mut self, variable: &str) -> Result<Option<PathBuf>, Error> {
        if let Some(value) = self.values.get_mut(variable)
            && value.trim().starts_with('/')
        {
            let path = PathBuf::from(value.trim());
            let text = read(&path).map_err(|error| {
                let Error(why) = unreadable(&path, &error);
                Error(format!("{variable}: {why}"))
            })?;
            *value = format!("{}\n{text}", path.display());
            return Ok(Some(path));
        }
        Ok(match &self.origin {
            Origin::File(path) => Some(path.clone()),
            Origin::Flags | Origin::Environment => None,
        })
    }

    pub(super) fn get(&self, variable: &str) -> Option<&str> {
        self.values.get(variable).map(String::as_str)
    }
}

/// The text of a file. One that is none, such as a pipe or a device, may have no end, or wait for a
/// writer: it is not even opened, as a relay that reads its settings again must go on.
fn read(path: &Path) -> io::Result<String> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut text = String::new();
    let read = File::open(path)?
        .take(MAX_FILE + 1)
        .read_to_string(&mut text)?;
    if read as u64 > MAX_FILE {
        return Err(io::Error::other("it has more than a MiB"));
    }
    Ok(text)
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error(format!("{} cannot be read: {error}", path.display()))
}

/// A stranger's text, fit to be shown in a sentence: in quotes, escaped, and not too much of it.
pub(super) fn quote(text: &str) -> String {
    const SHOWN: usize = 60;
    let shown: String = text.chars().take(SHOWN).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    // Else the text could seem to end before it does.
    let inside = shown.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"{more}", escaped(&inside))
}
