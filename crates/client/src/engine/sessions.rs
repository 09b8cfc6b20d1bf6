//! The receiver of a list to pick from: sessions, as today's clients share them.

use std::time::Duration;

use tokio::time::timeout;

use super::{
    door::{Door, denied, text},
    event::Tell,
    fault::Fault,
    home::Home,
    line::Heard,
    meter::tell_begun,
    options::{ReceiveOptions, Received},
    pairing::{self, Parting},
    retry::Retry,
    trouble::Trouble,
};
use crate::transfer::{
    hello::{self, Payload, Word},
    names::is_safe,
};

/// Characters of a text that are shown.
const TEXT: usize = 500;
/// The most sessions that a list may have.
const MOST: usize = 10_000;
/// How long a sender may take to say that it shares no sessions, or which.
const LIST: Duration = Duration::from_secs(120);

/// One session of a list. All of it comes from a stranger, and is bounded and escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its name, which is that of its file without `.jsonl`.
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

/// A sender of sessions, and the list that it has shown.
pub struct Sessions {
    door: Door,
    home: Home,
    retry: Retry,
    list: Vec<Session>,
}

impl Sessions {
    /// Joins the room and asks for the list. `options.to` is where what is picked goes.
    ///
    /// # Errors
    ///
    /// [`Fault`]; [`Fault::Unfit`] where the sender shares something else.
    pub async fn open(options: ReceiveOptions, tell: Tell) -> Result<Self, Fault> {
        let mut sessions = Self {
            home: Home::new(options.to.clone()),
            retry: Retry::new(options.patience, &tell),
            door: Door::new(options, tell)?,
            list: Vec::new(),
        };
        loop {
            match sessions.enter().await {
                Ok(()) => return Ok(sessions),
                Err(parting) => sessions.again(parting).await?,
            }
        }
    }

    /// What there is to pick.
    pub fn list(&self) -> &[Session] {
        &self.list
    }

    /// Fetches one, on a new line where the last is lost, and writes it to `<id>.jsonl` where a folder was
    /// given. While nothing is fetched the line may end: [`Self::idle`] keeps it.
    ///
    /// # Errors
    ///
    /// [`Fault`].
    pub async fn fetch(&mut self, id: &str) -> Result<Received, Fault> {
        loop {
            match self.take(id).await {
                Ok(received) => return Ok(received),
                Err(parting) => self.again(parting).await?,
            }
        }
    }

    /// Keeps the line alive while somebody picks. It never ends: it is to be dropped when they have.
    pub async fn idle(&mut self) {
        if let Ok(line) = self.door.line() {
            // A line that is lost meanwhile is replaced by the next fetch.
            while line.hear().await.is_ok() {}
        }
        self.door.line = None;
        std::future::pending().await
    }

    /// Says that nothing more is wanted, and leaves.
    pub async fn done(mut self) {
        if let Ok(line) = self.door.line()
            && line.say(Word::Done.to_text()).is_ok()
        {
            self.door.leave().await;
        }
    }

    async fn again(&mut self, parting: Parting) -> Result<(), Fault> {
        let trouble = parting.of_receiver();
        // A session that is refused leaves the line as it is, for another to be asked for.
        if matches!(trouble, Trouble::Later(_)) {
            self.door.line = None;
        }
        self.retry.wait(trouble).await
    }

    async fn enter(&mut self) -> Result<(), Parting> {
        let room = self.door.enter().await?;
        self.retry.reached();
        self.door.prove(&room, false).await?;
        self.door.line()?.say(Word::ListSessions.to_text())?;
        let listed = timeout(LIST, self.hear()).await;
        self.list = match listed.map_err(|_| Parting::Stalled)?? {
            Word::SessionList { sessions } => {
                let shown = sessions.iter().take(MOST).map(Session::from);
                shown.filter(|session| is_safe(&session.id)).collect()
            }
            // One of a distillation does not wait to be asked.
            Word::Payload(_) => return Err(Fault::Unfit(NO_SESSIONS).into()),
            _ => return Err(Parting::Misbehaved("no list where one is due")),
        };
        Ok(())
    }

    async fn take(&mut self, id: &str) -> Result<Received, Parting> {
        if self.door.line.is_none() {
            self.enter().await?;
        }
        let session_id = id.to_owned();
        self.door
            .line()?
            .say(Word::SelectSession { session_id }.to_text())?;
        match self.hear().await? {
            Word::Payload(payload) => self.write(id, payload).await,
            Word::Error { reason } => Err(Fault::Denied(pairing::said(&reason)).into()),
            _ => Err(Parting::Misbehaved("no session where one is due")),
        }
    }

    async fn write(&mut self, id: &str, payload: Payload) -> Result<Received, Parting> {
        let content = self.door.open(payload).await?;
        let name = format!("{id}.jsonl");
        if !is_safe(&name) {
            return Err(Parting::Misbehaved("a name that leads elsewhere"));
        }
        tell_begun(&self.door.tell, &name, content.len());
        let received = self.home.put(name, content).await?;
        self.retry.progress();
        self.door.line()?.say(Word::Ack.to_text())?;
        Ok(received)
    }

    async fn hear(&mut self) -> Result<Word, Parting> {
        let heard: Heard = self.door.line()?.hear().await?;
        match text(heard)? {
            Some(Word::Denied { reason }) => Err(denied(&reason).into()),
            Some(word) => Ok(word),
            None => Err(Parting::Misbehaved("a message that is none")),
        }
    }
}

const NO_SESSIONS: &str = "The sender shares one text, and no sessions: use `distill receive`.";

impl From<&hello::Session> for Session {
    fn from(told: &hello::Session) -> Self {
        let shown = |text: &Option<String>| {
            let text = text.as_deref().unwrap_or_default();
            crate::transfer::names::shown(text, TEXT)
        };
        Self {
            id: told.session_id.clone(),
            summary: shown(&told.summary),
            first_prompt: shown(&told.first_prompt),
            messages: told.message_count.unwrap_or_default(),
            modified: shown(&told.modified),
            branch: shown(&told.git_branch),
            project: shown(&told.project_path),
        }
    }
}
