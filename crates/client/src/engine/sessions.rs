//! The receiver of a list to pick from: sessions, as today's clients share them.

use super::{
    event::Tell,
    fault::Fault,
    options::{ReceiveOptions, Received},
};

/// One session of a list. All of it comes from a stranger, and is bounded and escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its name, which is one of a file without `.jsonl`.
    pub id: String,
    /// What it is about.
    pub summary: String,
    /// The beginning of what was asked first.
    pub first_prompt: String,
    /// How many messages it has.
    pub messages: u64,
    /// When it was last changed, as its sender writes it.
    pub modified: String,
    /// The branch that it was about.
    pub branch: String,
    /// The folder that it was about.
    pub project: String,
}

/// A sender of sessions who is connected, and has shown its list.
pub struct Sessions {
    list: Vec<Session>,
}

impl Sessions {
    /// Joins the room and asks for the list. `options.to` is where what is picked goes.
    ///
    /// # Errors
    ///
    /// [`Fault`]; [`Fault::Unfit`] where the sender shares something else.
    pub async fn open(_options: ReceiveOptions, _tell: Tell) -> Result<Self, Fault> {
        Err(Fault::Machine("Not built yet.".to_owned()))
    }

    /// What there is to pick.
    pub fn list(&self) -> &[Session] {
        &self.list
    }

    /// Fetches one, and writes it to `<id>.jsonl` where a folder was given. The line is kept alive meanwhile.
    ///
    /// # Errors
    ///
    /// [`Fault`].
    pub async fn fetch(&mut self, _id: &str) -> Result<Received, Fault> {
        Err(Fault::Machine("Not built yet.".to_owned()))
    }

    /// Says that nothing more is wanted, and leaves.
    pub async fn done(self) {}
}
