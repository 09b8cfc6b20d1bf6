//! How files here are opened, and how a program has one to itself.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use nix::fcntl::OFlag;

/// What became of an attempt to have a file alone.
#[derive(Debug, PartialEq, Eq)]
pub enum Lock {
    /// Nobody else has it, as long as it is open here.
    Ours,
    /// Another program has it.
    InUse,
    /// Another program has had it, and has removed it meanwhile: what is open here has no name any more.
    Removed,
}

/// Opens no link, and does not wait for the other end of a pipe.
pub fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    options.custom_flags(flags.bits());
    options
}

/// Tries to have `file` alone, which was opened at `path`.
///
/// # Errors
///
/// As the system gives them.
pub fn lock(file: &File, path: &Path) -> io::Result<Lock> {
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Lock::InUse),
        Err(TryLockError::Error(why)) => return Err(why),
    }
    let held = file.metadata()?;
    Ok(match fs::symlink_metadata(path) {
        Ok(named) if (named.dev(), named.ino()) == (held.dev(), held.ino()) => Lock::Ours,
        Ok(_) => Lock::Removed,
        Err(why) if why.kind() == io::ErrorKind::NotFound => Lock::Removed,
        Err(why) => return Err(why),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_removed_before_it_was_locked_is_not_had() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let open = || {
            options()
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
        };
        let (first, second) = (open().unwrap(), open().unwrap());
        assert_eq!(lock(&first, &path).unwrap(), Lock::Ours);
        assert_eq!(lock(&second, &path).unwrap(), Lock::InUse);
        fs::remove_file(&path).unwrap();
        drop(first);
        assert_eq!(lock(&second, &path).unwrap(), Lock::Removed);
        let third = open().unwrap();
        assert_eq!(lock(&second, &path).unwrap(), Lock::Removed);
        assert_eq!(lock(&third, &path).unwrap(), Lock::Ours);
    }

    #[test]
    fn a_link_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let [path, link] = ["a", "link"].map(|name| folder.path().join(name));
        fs::write(&path, "").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(options().read(true).open(&path).is_ok());
        assert!(options().read(true).open(&link).is_err());
    }
}
