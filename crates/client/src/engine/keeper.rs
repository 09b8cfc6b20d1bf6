//! What is kept of a share, so that it can be taken up after its process was killed.

use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    complaint,
    fault::Fault,
    options::{ShareOptions, What},
};
use crate::disk::share_state::{ShareState, StateFile};

/// The file of a share, where it is one that can be taken up and its user wants it kept.
pub(super) struct Keeper(Option<StateFile>);

impl Keeper {
    /// Claims the file for what is shared over this relay.
    ///
    /// # Errors
    ///
    /// [`Fault`] where another process has it, or it cannot be made.
    pub(super) fn new(options: &ShareOptions) -> Result<Self, Fault> {
        let (Some(folder), What::Path(path)) = (&options.state, &options.what) else {
            return Ok(Self(None));
        };
        let path = path.canonicalize();
        let path = path.as_deref().unwrap_or(Path::new(""));
        let relay = options.relay.url.to_string();
        let claimed = StateFile::claim(folder, path, &relay);
        Ok(Self(Some(
            claimed.map_err(|error| complaint::of_state(&error))?,
        )))
    }

    /// What was kept, if its room may still be there.
    pub(super) fn load(&self) -> Option<ShareState> {
        let state = self.0.as_ref()?.load()?;
        (state.expires > now()).then_some(state)
    }

    /// Whether anything was kept; if not, no file is left behind.
    pub(super) fn any_kept(self) -> bool {
        let kept = self.load().is_some();
        if !kept {
            self.forget();
        }
        kept
    }

    /// Keeps the share.
    ///
    /// # Errors
    ///
    /// [`Fault`] where it cannot be written.
    pub(super) fn save(&self, state: &ShareState) -> Result<(), Fault> {
        match &self.0 {
            Some(file) => file
                .save(state)
                .map_err(|error| complaint::of_state(&error)),
            None => Ok(()),
        }
    }

    /// The share is over. A file that cannot be removed is of one that no relay knows any more.
    pub(super) fn forget(self) {
        if let Some(file) = self.0 {
            drop(file.remove());
        }
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}
