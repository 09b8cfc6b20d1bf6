//! The files and folders in a folder: a folder before what is in it, and by name within each. The order is
//! the same whenever it is walked, which is how a transfer goes on where it was.
//!
//! Of a folder at most 4,096 names are held at a time, so that one with millions of files takes no more
//! memory, but is listed several times.

use std::{
    collections::BinaryHeap,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    vec,
};

use super::errors::SourceError;
use crate::transfer::{names, note::MAX_DEPTH};

/// Names of a folder that are held at a time.
const BATCH: usize = 4096;

/// A file or folder that was found.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// Its names, from the outermost folder in.
    pub path: Vec<String>,
    /// Where it is.
    pub place: PathBuf,
    /// Whether it is a folder.
    pub is_folder: bool,
}

/// What is in a folder and cannot be sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Symbolic links.
    pub links: u64,
    /// Devices, sockets and pipes.
    pub devices: u64,
}

/// A walk through a folder.
#[derive(Debug)]
pub struct Tree {
    levels: Vec<Level>,
    path: Vec<String>,
    left_out: LeftOut,
}

/// A folder that the walk is in.
#[derive(Debug)]
struct Level {
    place: PathBuf,
    names: vec::IntoIter<Name>,
    /// The last name of the batch, where there may be more behind it.
    more_after: Option<OsString>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    name: OsString,
    is: Is,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Is {
    File,
    Folder,
    Link,
    Device,
}

impl Tree {
    /// A walk through `folder`.
    ///
    /// # Errors
    ///
    /// [`SourceError::Unreadable`] where it cannot be listed.
    pub fn new(folder: &Path) -> Result<Self, SourceError> {
        Ok(Self {
            levels: vec![Level::new(folder.to_owned())?],
            path: Vec::new(),
            left_out: LeftOut::default(),
        })
    }

    /// What has been passed by so far.
    pub fn left_out(&self) -> LeftOut {
        self.left_out
    }

    /// The next file or folder; `None` behind the last.
    ///
    /// # Errors
    ///
    /// [`SourceError`] for a folder that cannot be listed or lies too deep, and for a name that no receiver takes.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Found>, SourceError> {
        while let Some(level) = self.levels.last_mut() {
            let Some(Name { name, is }) = level.next()? else {
                self.levels.pop();
                self.path.pop();
                continue;
            };
            let place = level.place.join(&name);
            match is {
                Is::Link => self.left_out.links += 1,
                Is::Device => self.left_out.devices += 1,
                Is::File | Is::Folder => return self.found(name, place, is).map(Some),
            }
        }
        Ok(None)
    }

    fn found(&mut self, name: OsString, place: PathBuf, is: Is) -> Result<Found, SourceError> {
        let name = name.into_string().ok().filter(|name| names::is_safe(name));
        let Some(name) = name else {
            return Err(SourceError::UnsafeName(place));
        };
        let mut path = self.path.clone();
        path.push(name.clone());
        if path.len() > MAX_DEPTH {
            return Err(SourceError::TooDeep(place));
        }
        if is == Is::Folder {
            self.levels.push(Level::new(place.clone())?);
            self.path.push(name);
        }
        Ok(Found {
            path,
            place,
            is_folder: is == Is::Folder,
        })
    }
}

impl Level {
    fn new(place: PathBuf) -> Result<Self, SourceError> {
        let mut level = Self {
            place,
            names: Vec::new().into_iter(),
            more_after: None,
        };
        level.list(None)?;
        Ok(level)
    }

    fn next(&mut self) -> Result<Option<Name>, SourceError> {
        if let Some(last) = self.more_after.take_if(|_| self.names.len() == 0) {
            self.list(Some(&last))?;
        }
        Ok(self.names.next())
    }

    /// Lists the first names of the folder that come after `after`.
    fn list(&mut self, after: Option<&OsString>) -> Result<(), SourceError> {
        let first = first_names(&self.place, after);
        let first = first.map_err(|why| SourceError::Unreadable(self.place.clone(), why))?;
        if first.len() == BATCH {
            self.more_after = first.last().map(|last| last.name.clone());
        }
        self.names = first.into_iter();
        Ok(())
    }
}

fn first_names(folder: &Path, after: Option<&OsString>) -> io::Result<Vec<Name>> {
    let mut first = BinaryHeap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if after.is_some_and(|after| name <= *after) {
            continue;
        }
        let kind = entry.file_type()?;
        let is = match kind {
            _ if kind.is_dir() => Is::Folder,
            _ if kind.is_file() => Is::File,
            _ if kind.is_symlink() => Is::Link,
            _ => Is::Device,
        };
        first.push(Name { name, is });
        if first.len() > BATCH {
            first.pop();
        }
    }
    Ok(first.into_sorted_vec())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn walk(folder: &Path) -> (Vec<String>, LeftOut) {
        let mut tree = Tree::new(folder).unwrap();
        let mut found = Vec::new();
        while let Some(it) = tree.next().unwrap() {
            found.push(it.path.join("/") + if it.is_folder { "/" } else { "" });
        }
        (found, tree.left_out())
    }

    #[test]
    fn a_folder_comes_before_what_is_in_it_and_links_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["b", "a/x", "a.b"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        for name in ["b/2", "b/10", "a/x/deep", "c"] {
            fs::write(at(name), "").unwrap();
        }
        std::os::unix::fs::symlink("/", at("link")).unwrap();
        std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let (found, left_out) = walk(folder.path());
        let expected = ["a/", "a/x/", "a/x/deep", "a.b/", "b/", "b/10", "b/2", "c"];
        assert_eq!(found, expected);
        let expected = LeftOut {
            links: 1,
            devices: 1,
        };
        assert_eq!(left_out, expected);
    }

    #[test]
    fn a_folder_of_more_names_than_are_held_is_walked_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let names: Vec<_> = (0..2 * BATCH + 10).map(|it| format!("{it:06}")).collect();
        for name in &names {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(walk(folder.path()).0, names);
    }

    #[test]
    fn what_lies_too_deep_or_has_a_name_that_nobody_takes_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut deep = folder.path().to_owned();
        deep.extend(vec!["x"; MAX_DEPTH + 1]);
        fs::create_dir_all(deep).unwrap();
        let mut tree = Tree::new(folder.path()).unwrap();
        for _ in 0..MAX_DEPTH {
            assert!(tree.next().unwrap().is_some());
        }
        assert!(matches!(tree.next(), Err(SourceError::TooDeep(_))));

        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a:b"), "").unwrap();
        let mut tree = Tree::new(folder.path()).unwrap();
        assert!(matches!(tree.next(), Err(SourceError::UnsafeName(_))));
    }
}
