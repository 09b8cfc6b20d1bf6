//! What has happened in the relay, for whoever asks afterwards: a file with one JSON object a line, and how
//! many there were of each kind on each day.
//!
//! Whoever has something to tell puts it into a queue and goes on; a thread writes what is there, some
//! fifth of a second later, in one go. So a disk that is slow or full costs events, which are counted, and nobody's
//! time. Lines that clients cause have the budget that lines of the log have.
//!
//! | module | contents |
//! |---|---|
//! | `queue` | what waits for the disk |
//! | `line` | how an event looks |
//! | `file` | the file of lines, and those that it was before |
//! | `stats` | the counts of each day |
//! | `writer` | the thread |

mod file;
mod line;
mod queue;
mod stats;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod writer;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use log::error;
use relay_wire::{code::RoomCode, ending::Ending, reply::PeerId};

use self::queue::Queue;
use crate::{
    config::{Addresses, Config},
    limits::access::Visitor,
    rooms::{Passed, SessionId},
};

/// How long the end of the relay waits for the disk.
const PATIENCE: Duration = Duration::from_secs(1);

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A room was opened.
    RoomCreated,
    /// A receiver has come into a room, and may have to wait there.
    RoomJoined,
    /// A receiver is paired with its sender.
    RelayStarted,
    /// It no longer is.
    RelayFinished,
    /// A room was closed.
    RoomClosed,
    /// Somebody may not open a room.
    CreateRoomRejected,
    /// Somebody may not join one.
    JoinRoomRejected,
    /// A handshake or any other request was refused, or none came in time.
    RequestRejected,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::RoomCreated,
        Self::RoomJoined,
        Self::RelayStarted,
        Self::RelayFinished,
        Self::RoomClosed,
        Self::CreateRoomRejected,
        Self::JoinRoomRejected,
        Self::RequestRejected,
    ];

    /// Its name in the files.
    pub fn name(self) -> &'static str {
        match self {
            Self::RoomCreated => "room_created",
            Self::RoomJoined => "room_joined",
            Self::RelayStarted => "relay_started",
            Self::RelayFinished => "relay_finished",
            Self::RoomClosed => "room_closed",
            Self::CreateRoomRejected => "create_room_rejected",
            Self::JoinRoomRejected => "join_room_rejected",
            Self::RequestRejected => "request_rejected",
        }
    }
}

/// Something that has happened, as far as it is known.
#[derive(Debug, Clone)]
pub struct Event {
    /// What.
    pub kind: Kind,
    /// Why, where there is a reason.
    pub reason: Option<Ending>,
    /// In which room.
    pub room: Option<RoomCode>,
    /// By or to which session: of a room that is opened or closed, its sender's, and else the receiver's.
    pub session: Option<SessionId>,
    /// The receiver's name towards its sender.
    pub peer: Option<PeerId>,
    /// Whose session that is.
    pub visitor: Option<Visitor>,
    /// What passed between sender and receivers.
    pub passed: Option<Passed>,
    /// Receivers that were paired.
    pub receivers: Option<u64>,
    /// How long a pair or a room lasted.
    pub duration: Option<Duration>,
}

impl Event {
    /// That this has happened, and nothing more.
    pub fn of(kind: Kind) -> Self {
        Self {
            kind,
            reason: None,
            room: None,
            session: None,
            peer: None,
            visitor: None,
            passed: None,
            receivers: None,
            duration: None,
        }
    }
}

/// Why an event is not in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// Too many waited for the disk.
    QueueFull,
    /// Clients cause more than there is room for.
    OverBudget,
    /// The disk did not take it.
    Disk,
}

impl Lost {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::QueueFull, Self::OverBudget, Self::Disk];

    /// Its label.
    pub fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::OverBudget => "over_budget",
            Self::Disk => "disk",
        }
    }
}

/// How many events there were.
#[derive(Debug, Default)]
pub struct Counts {
    written: AtomicU64,
    lost: [AtomicU64; Lost::ALL.len()],
}

impl Counts {
    /// Events in the file.
    pub fn written(&self) -> u64 {
        self.written.load(SeqCst)
    }

    /// Events that are not, for this reason.
    pub fn lost(&self, why: Lost) -> u64 {
        self.lost[why as usize].load(SeqCst)
    }

    fn wrote(&self, events: usize) {
        self.written.fetch_add(events as u64, SeqCst);
    }

    fn lose(&self, events: usize, why: Lost) {
        self.lost[why as usize].fetch_add(events as u64, SeqCst);
    }
}

/// Where and how events are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Settings {
    folder: Option<PathBuf>,
    addresses: Addresses,
    /// Bytes of all files of lines.
    size: u64,
    /// How long a line is kept.
    keep: Duration,
}

impl Settings {
    fn of(config: &Config) -> Self {
        Self {
            folder: config.log_dir.clone(),
            addresses: config.log_addresses,
            size: config.log_size,
            keep: config.log_keep,
        }
    }
}

/// The event log of a relay, which all copies of this stand for.
#[derive(Debug, Clone)]
pub struct Events(Arc<Queue>);

impl Events {
    /// As configured. Nothing is written before [`Events::start`].
    pub fn new(config: &Config) -> Self {
        Self(Arc::new(Queue::new(Settings::of(config))))
    }

    /// Tells of an event, where anybody wants to know of events.
    pub fn tell(&self, event: impl FnOnce() -> Event) {
        if self.0.is_wanted() {
            self.0.push((Timestamp::now(), event()), Instant::now());
        }
    }

    /// Has the file opened anew: somebody may have moved it.
    pub fn reopen(&self) {
        self.0.reopen();
    }

    /// As configured, from here on.
    pub fn configure(&self, config: &Config) {
        self.0.configure(Settings::of(config));
        self.start();
    }

    /// Starts the thread that writes, if there is something for it to do.
    pub fn start(&self) {
        if self.0.needs_writer() {
            let queue = Arc::clone(&self.0);
            let thread = thread::Builder::new().name("events".to_owned());
            if let Err(error) = thread.spawn(move || writer::run(&queue)) {
                error!("there is no event log: the system has no thread for it: {error}");
                self.0.writer_ended();
            }
        }
    }

    /// Writes what there is, and ends; waits for the disk no longer than a second.
    pub fn end(&self) {
        self.0.end(PATIENCE);
    }

    /// How many there were.
    pub fn counts(&self) -> &Counts {
        self.0.counts()
    }
}
