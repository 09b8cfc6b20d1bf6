//! What is sent: a file, a folder or standard input. Symbolic links in a folder are not followed; they are left
//! out and counted, as are devices.

use std::{
    fs, io,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use nix::unistd::{AccessFlags, access};

use super::{
    errors::SourceError,
    stream::Stream,
    tree::{LeftOut, Tree},
};
use crate::transfer::{
    hex::Hex,
    names,
    note::{Manifest, What},
};

/// Something that is sent, to one receiver or to several.
#[derive(Debug, Clone)]
pub struct Source {
    name: String,
    pub(super) content: Content,
    pub(super) size: Option<u64>,
    pub(super) files: Option<u64>,
    left_out: LeftOut,
}

#[derive(Debug, Clone)]
pub(super) enum Content {
    File(PathBuf),
    Folder(PathBuf),
    Stream(Arc<Stream>),
}

impl Source {
    /// The file or folder at `path`, which may itself be a link. A folder is looked through, for what cannot be
    /// sent to show at once, and for its size.
    ///
    /// # Errors
    ///
    /// [`SourceError`], by what is wrong and where.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let unreadable = |why| SourceError::Unreadable(path.to_owned(), why);
        let place = path.canonicalize().map_err(unreadable)?;
        // The name as it was given, unless that is `..` or the like.
        let name = path.file_name().or_else(|| place.file_name());
        let name = name
            .and_then(|name| name.to_str())
            .filter(|name| names::is_safe(name));
        let Some(name) = name.map(str::to_owned) else {
            return Err(SourceError::UnsafeName(place));
        };
        let found = fs::metadata(&place).map_err(unreadable)?;
        if found.is_dir() {
            return Self::folder(name, place);
        }
        if !found.is_file() {
            return Err(SourceError::Device(place));
        }
        readable(&place)?;
        Ok(Self {
            name,
            content: Content::File(place),
            size: Some(found.len()),
            files: Some(1),
            left_out: LeftOut::default(),
        })
    }

    fn folder(name: String, place: PathBuf) -> Result<Self, SourceError> {
        let mut tree = Tree::new(&place)?;
        let (mut size, mut files) = (0, 0);
        while let Some(found) = tree.next()? {
            if !found.is_folder {
                readable(&found.place)?;
                let is = fs::symlink_metadata(&found.place);
                size += is
                    .map_err(|why| SourceError::Unreadable(found.place, why))?
                    .len();
                files += 1;
            }
        }
        Ok(Self {
            name,
            content: Content::Folder(place),
            size: Some(size),
            files: Some(files),
            left_out: tree.left_out(),
        })
    }

    /// Standard input, which the receiver is told is called `name`.
    pub fn stdin(name: &str) -> Self {
        Self::stream(name, io::stdin())
    }

    /// What `reader` gives, which the receiver is told is called `name`.
    pub fn stream(name: &str, reader: impl Read + Send + 'static) -> Self {
        Self {
            name: name.to_owned(),
            content: Content::Stream(Arc::new(Stream::new(reader))),
            size: None,
            files: None,
            left_out: LeftOut::default(),
        }
    }

    /// What the receiver is told of it. It was so when it was opened; more than that is not sent.
    pub fn manifest(&self, transfer: Hex<16>) -> Manifest {
        Manifest {
            transfer,
            kind: match self.content {
                Content::File(_) => What::File,
                Content::Folder(_) => What::Folder,
                Content::Stream(_) => What::Stream,
            },
            name: self.name.clone(),
            size: self.size,
            files: self.files,
        }
    }

    /// What of a folder is not sent.
    pub fn left_out(&self) -> LeftOut {
        self.left_out
    }

    /// The file or folder, without links in its path; nothing of a stream.
    pub fn path(&self) -> Option<&Path> {
        match &self.content {
            Content::File(place) | Content::Folder(place) => Some(place),
            Content::Stream(_) => None,
        }
    }

    /// The name that the receiver is told.
    pub fn name(&self) -> &str {
        &self.name
    }
}

fn readable(place: &Path) -> Result<(), SourceError> {
    let allowed = access(place, AccessFlags::R_OK);
    allowed.map_err(|why| SourceError::Unreadable(place.to_owned(), why.into()))
}
