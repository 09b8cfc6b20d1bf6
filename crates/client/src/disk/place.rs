//! Where a transfer lies: a name that is free, the unfinished one beside it, and what a receiver that was killed has
//! left behind there.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::{
    fcntl::{AT_FDCWD, RenameFlags, renameat2},
    sys::statvfs::statvfs,
};

/// How many names are tried: `a.txt`, `a (2).txt` and so on.
const NAMES: usize = 1000;
/// The longest extension, in bytes: what is longer behind a dot is a part of the name like any other.
const EXTENSION: usize = 64;

/// A name that a transfer may have in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    folder: PathBuf,
    name: String,
    is_folder: bool,
    number: usize,
}

impl Place {
    /// All names that `name` may become in `folder`, from itself on.
    pub fn all(folder: &Path, name: &str, is_folder: bool) -> impl Iterator<Item = Self> {
        let (folder, name) = (folder.to_owned(), name.to_owned());
        (1..=NAMES).map(move |number| Self {
            folder: folder.clone(),
            name: name.clone(),
            is_folder,
            number,
        })
    }

    /// The name in the end.
    pub fn done(&self) -> PathBuf {
        self.with("")
    }

    /// This place, and then all names that its own may become.
    pub fn and_others(&self) -> impl Iterator<Item = Self> {
        let others = Self::all(&self.folder, &self.name, self.is_folder);
        std::iter::once(self.clone()).chain(others)
    }

    /// Where it is while it is not finished.
    pub fn part(&self) -> PathBuf {
        self.with(".part")
    }

    /// Where its journal is.
    pub fn journal(&self) -> PathBuf {
        self.with(".part.journal")
    }

    /// The folder it is in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether nothing has any of its names.
    pub fn is_free(&self) -> bool {
        [self.done(), self.part(), self.journal()]
            .iter()
            .all(|path| is_missing(path))
    }

    /// The name with its number and `suffix`; a name too long for that loses some of its end, or of what is before
    /// its extension.
    fn with(&self, suffix: &str) -> PathBuf {
        let (stem, extension) = match self.name.rsplit_once('.') {
            Some((stem, extension))
                if !self.is_folder && !stem.is_empty() && extension.len() <= EXTENSION =>
            {
                (stem, format!(".{extension}"))
            }
            _ => (self.name.as_str(), String::new()),
        };
        let number = match self.number {
            1 => String::new(),
            number => format!(" ({number})"),
        };
        let end = format!("{number}{extension}{suffix}");
        let mut stem = stem.to_owned();
        while stem.len() + end.len() > 255 && stem.pop().is_some() {}
        self.folder.join(stem + &end)
    }
}

/// Whether nothing is at `path`, not even a link that leads nowhere.
pub fn is_missing(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|why| why.kind() == io::ErrorKind::NotFound)
}

/// What is at `path` is known by, under whatever name in its folder; `None` where nothing is there.
pub fn inode(path: &Path) -> Option<u64> {
    fs::symlink_metadata(path).ok().map(|found| found.ino())
}

/// Renames, unless something has the new name.
///
/// # Errors
///
/// `AlreadyExists`, or as the system gives them.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        // A file system that does not know how: between the look and the renaming somebody may take the name.
        Err(nix::errno::Errno::EINVAL) if is_missing(to) => fs::rename(from, to),
        Err(nix::errno::Errno::EINVAL) => Err(io::ErrorKind::AlreadyExists.into()),
        renamed => Ok(renamed?),
    }
}

/// Makes the names in a folder durable.
///
/// # Errors
///
/// As the system gives them.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Free bytes, for who is not root, on the file system that `folder` is on.
pub fn free_space(folder: &Path) -> Option<u64> {
    let found = statvfs(folder).ok()?;
    (found.blocks_available() as u64).checked_mul(found.fragment_size() as u64)
}

/// Removes from the folder `part` what comes in a walk behind the entry `last`, or everything where there is none:
/// a receiver that was killed had begun it, and nobody knows whether it is whole.
///
/// # Errors
///
/// As the system gives them.
pub fn sweep(part: &Path, last: &[String]) -> io::Result<()> {
    let mut folder = part.to_owned();
    for name in last {
        remove_from(&folder, |found| found.as_encoded_bytes() > name.as_bytes())?;
        folder.push(name);
        if !fs::symlink_metadata(&folder)?.is_dir() {
            return Ok(());
        }
    }
    remove_from(&folder, |_| true)
}

fn remove_from(folder: &Path, goes: impl Fn(&std::ffi::OsStr) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !goes(&entry.file_name()) {
            continue;
        }
        // A link is removed, and not what it leads to.
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_number_goes_before_the_extension_of_a_file() {
        let second = |name, is_folder| {
            let place = Place::all(Path::new("/x"), name, is_folder).nth(1).unwrap();
            (place.done(), place.journal())
        };
        assert_eq!(
            second("a.tar.gz", false),
            (
                "/x/a.tar (2).gz".into(),
                "/x/a.tar (2).gz.part.journal".into()
            )
        );
        assert_eq!(second(".profile", false).0, Path::new("/x/.profile (2)"));
        assert_eq!(second("v1.2", true).0, Path::new("/x/v1.2 (2)"));
    }

    #[test]
    fn a_long_name_leaves_room_for_what_comes_behind_it() {
        let name = "구".repeat(85);
        let place = Place::all(Path::new("/x"), &name, false).next().unwrap();
        for path in [place.part(), place.journal()] {
            assert!(path.file_name().unwrap().len() <= 255);
        }
        assert_eq!(place.done(), Path::new("/x").join(&name));
        for name in [
            format!("a.{}", "x".repeat(253)),
            format!("{}.txt", "x".repeat(251)),
        ] {
            let second = Place::all(Path::new("/x"), &name, false).nth(1).unwrap();
            for path in [second.done(), second.part(), second.journal()] {
                assert!(path.file_name().unwrap().len() <= 255, "{path:?}");
            }
        }
    }

    #[test]
    fn a_name_that_is_taken_is_not_renamed_to() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| folder.path().join(name));
        fs::write(&one, "1").unwrap();
        fs::write(&other, "2").unwrap();
        let refused = rename(&one, &other).map_err(|why| why.kind());
        assert_eq!(refused, Err(io::ErrorKind::AlreadyExists));
        assert_eq!(fs::read(&other).unwrap(), b"2");
    }

    #[test]
    fn what_comes_behind_is_swept_and_a_link_leads_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let (part, other) = (folder.path().join("part"), folder.path().join("other"));
        for name in ["part/a", "part/b/c", "part/b/x", "part/z", "other"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        for name in [
            "part/a/1",
            "part/b/c/1",
            "part/b/d",
            "part/z/1",
            "other/kept",
        ] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        std::os::unix::fs::symlink(&other, part.join("y")).unwrap();
        sweep(&part, &["b".to_owned(), "c".to_owned()]).unwrap();
        let left = |folder: &Path| {
            let names = fs::read_dir(folder).unwrap();
            let mut names: Vec<_> = names.map(|it| it.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(left(&part), ["a", "b"]);
        assert_eq!(left(&part.join("b")), ["c"]);
        assert!(left(&part.join("b/c")).is_empty());
        assert_eq!(left(&other), ["kept"]);
    }
}
