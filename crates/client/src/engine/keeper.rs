//! What a share is known by, and what is kept of it, so that it can be taken up after its process was killed.

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;

use super::{
    asks::LONGEST_LIFE,
    complaint,
    event::{Event, Tell, Warning},
    fault::Fault,
    options::{Secret, ShareOptions, What},
    proof::no_randomness,
};
use crate::{
    disk::{
        share_state::{ShareState, StateError, StateFile},
        source::Source,
    },
    transfer::{
        hex::Hex,
        keys::{PassKey, random},
    },
};

/// The file of a share, where it is one that can be taken up and its user wants it kept.
#[derive(Default)]
pub(super) struct Keeper(Option<StateFile>);

impl Keeper {
    /// Claims the file for what is shared over this relay.
    ///
    /// # Errors
    ///
    /// [`StateError`] where another process has it, or it cannot be made.
    pub(super) fn new(options: &ShareOptions) -> Result<Self, StateError> {
        let (Some(folder), What::Path(path)) = (&options.state, &options.what) else {
            return Ok(Self(None));
        };
        let path = path.canonicalize();
        let path = path.as_deref().unwrap_or(Path::new(""));
        let relay = options.relay.url.to_string();
        StateFile::sweep(folder, now());
        Ok(Self(Some(StateFile::claim(folder, path, &relay)?)))
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
    /// [`StateError`] where it cannot be written.
    pub(super) fn save(&self, state: &ShareState) -> Result<(), StateError> {
        match &self.0 {
            Some(file) => file.save(state),
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

/// A room that was opened.
pub(super) struct Opened {
    pub(super) code: String,
    pub(super) token: Option<String>,
    /// Until when it can be joined.
    pub(super) until: Instant,
}

/// What a share is known by, whichever process has it.
pub(super) struct Share {
    pub(super) transfer: Hex<16>,
    pub(super) salt: Hex<32>,
    pub(super) pass: PassKey,
    /// How many have come with a wrong one.
    pub(super) wrong: u32,
    pub(super) room: Option<Opened>,
}

/// What its user should know where a share cannot be kept, which is no reason not to share.
pub(super) fn not_kept(error: &StateError) -> Event {
    let why = complaint::of_state(error).sentence();
    Event::Warning(Warning::NotKept(why))
}

/// Opens what is shared, and takes up what was kept of it or begins anew; this blocks.
pub(super) fn open(options: &ShareOptions, tell: &Tell) -> Result<(Source, Keeper, Share), Fault> {
    let source = match &options.what {
        What::Path(path) => Source::open(path),
        What::Stdin => Ok(Source::stdin("stdin")),
    };
    let source = source.map_err(|error| complaint::of_source(&error))?;
    let keeper = match Keeper::new(options) {
        Ok(keeper) => keeper,
        Err(StateError::InUse) => return Err(complaint::of_state(&StateError::InUse)),
        Err(error) => {
            tell(not_kept(&error));
            Keeper::default()
        }
    };
    // Under another passphrase than it was begun with it is another share.
    let is_meant = |state: &ShareState| {
        let key = |passphrase: &Secret| PassKey::derive(passphrase.text(), &state.salt);
        let given = options.passphrase.as_ref().map(key);
        !options.anew && given.is_none_or(|key| key == PassKey::from_bytes(state.pass_key.0))
    };
    let share = match keeper.load().filter(is_meant) {
        Some(state) => Share::from(state),
        None => Share::new(options.passphrase.as_ref().ok_or(Fault::NothingToTakeUp)?)?,
    };
    Ok((source, keeper, share))
}

impl Share {
    fn new(passphrase: &Secret) -> Result<Self, Fault> {
        let salt = Hex(random().map_err(no_randomness)?);
        Ok(Self {
            transfer: Hex(random().map_err(no_randomness)?),
            salt,
            pass: PassKey::derive(passphrase.text(), &salt),
            wrong: 0,
            room: None,
        })
    }
}

impl From<ShareState> for Share {
    fn from(state: ShareState) -> Self {
        let left = Duration::from_secs(state.expires.saturating_sub(now()));
        Self {
            transfer: state.transfer,
            salt: state.salt,
            pass: PassKey::from_bytes(state.pass_key.0),
            wrong: state.wrong,
            room: Some(Opened {
                code: state.code,
                token: Some(state.resume_token),
                until: Instant::now() + left.min(LONGEST_LIFE),
            }),
        }
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}
