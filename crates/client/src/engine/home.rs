//! Where a receiver writes to, over all attempts of one process.

use std::{
    io::stdout,
    path::{Path, PathBuf},
};

use tokio::task::spawn_blocking;

use super::{
    fault::Fault,
    options::{Received, Where},
    pairing::Parting,
    writing::WriteError,
};
use crate::{
    disk::{errors::TargetError, target::Target},
    transfer::{
        hex::Hex,
        keys::random,
        note::{Chain, End, Header, Manifest, RECORD, What},
    },
};

/// The place, and how far it has come.
pub(super) struct Home {
    to: Where,
    /// What is being received, when no thread has it.
    target: Option<(Hex<16>, Target)>,
    bytes: u64,
}

impl Home {
    pub(super) fn new(to: Where) -> Self {
        Self {
            to,
            target: None,
            bytes: 0,
        }
    }

    /// Bytes of content that are written, as of the end of the last attempt.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What is there as a whole.
    pub(super) fn received(&self) -> Option<Received> {
        let (_, target) = self.target.as_ref()?;
        target.is_finished().then(|| Received {
            path: target.path().map(Path::to_owned),
            bytes: target.bytes(),
        })
    }

    /// The sender knows what is there as a whole.
    pub(super) fn forget(&mut self) {
        if let Some((_, target)) = self.target.take() {
            target.forget();
        }
    }

    /// The target of a transfer, which goes on where it was.
    pub(super) async fn enter(&mut self, manifest: &Manifest) -> Result<Target, WriteError> {
        match self.target.take() {
            Some((transfer, target)) if transfer == manifest.transfer => return Ok(target),
            // One of another transfer is left behind as it is.
            other => drop(other),
        }
        let (to, manifest) = (self.to.clone(), manifest.clone());
        let opening = spawn_blocking(move || match to {
            Where::Path(path) => Ok(Target::open(&path, &manifest)?),
            Where::Stdout => Ok(Target::output(stdout(), &manifest)?),
        });
        opening.await.map_err(|_| WriteError::Failed)?
    }

    /// Takes a target back.
    pub(super) fn leave(&mut self, manifest: &Manifest, target: Option<Target>) {
        if let Some(target) = target {
            self.bytes = target.bytes();
            self.target = Some((manifest.transfer, target));
        }
    }

    /// Writes content that has come as one message, under this name.
    pub(super) async fn put(
        &mut self,
        name: String,
        content: Vec<u8>,
    ) -> Result<Received, Parting> {
        let transfer = Hex(random().map_err(super::proof::no_randomness)?);
        let bytes = content.len() as u64;
        let manifest = Manifest {
            transfer,
            kind: What::File,
            name: name.clone(),
            size: Some(bytes),
            files: Some(1),
        };
        let target = self.enter(&manifest).await.map_err(WriteError::fault)?;
        let writing = spawn_blocking(move || write_all(target, name, &content));
        let written = writing.await.map_err(|_| Fault::failed())?;
        let path = written.map_err(|error| WriteError::from(error).fault())?;
        Ok(Received { path, bytes })
    }
}

fn write_all(
    mut target: Target,
    name: String,
    content: &[u8],
) -> Result<Option<PathBuf>, TargetError> {
    let header = Header {
        entry: 0,
        path: vec![name],
        kind: What::File,
        size: Some(content.len() as u64),
        modified: None,
        executable: false,
        stamp: Hex::default(),
    };
    let json = header.to_json();
    target.entry(header, &json)?;
    let mut offset = 0;
    for record in content.chunks(RECORD) {
        target.write(0, offset, record)?;
        offset += record.len() as u64;
    }
    let mut digest = Chain::default();
    digest.add(&json);
    let target = target.finish(&End {
        entries: 1,
        bytes: offset,
        digest: digest.0,
    })?;
    let path = target.path().map(Path::to_owned);
    target.forget();
    Ok(path)
}
