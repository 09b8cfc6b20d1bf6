//! From a session's socket through its reader to the registry: how much may be read now, and what follows
//! from what was.

use std::{
    io, mem,
    task::{Context as Task, Poll},
    time::{Duration, Instant},
};

use relay_wire::ending::Ending;

use super::{
    connection::Connection,
    loan::{Borrower, LOAN_AFTER},
    phase::Phase,
    pings::Pongs,
    socket::{Pause, READ, Socket},
};
use crate::{
    actors::messages::{Ask, Forward},
    flow::{
        clocks::Reading,
        data::{Data, OVERHEAD},
        ledger::Dropped,
        reader::Event,
    },
    observe::logging::log_client,
};

/// What may be read from one session before the others have their turn: bytes, and so many more for
/// each frame. Data in large frames are stopped earlier, by the window: this is a read more than that
/// usually is, for the headers.
pub(super) const TURN: usize = 5 * READ;
/// Bytes that take as much time as a frame does, whatever is in it.
pub(super) const FRAME_COST: usize = 64;
/// Bytes that take as much time as a read does, however little it brings.
const LEAST_COST: usize = 256;
/// Inflated bytes that take as much time as one that is passed on.
const INFLATED: usize = 4;
/// A pause after which Pongs come in time all the same.
const SHORT_PAUSE: Duration = Duration::from_secs(1);

impl Connection {
    /// Reads as much as may be read in this turn; says why it stops.
    pub(super) fn read(&mut self, socket: &mut Socket, now: Instant, task: &mut Task<'_>) -> Pause {
        let pause = self.read_on(socket, now, task);
        self.give_back();
        pause
    }

    fn read_on(&mut self, socket: &mut Socket, now: Instant, task: &mut Task<'_>) -> Pause {
        let mut left = TURN;
        loop {
            if left == 0 {
                return Pause::More;
            }
            let most = match self.most_to_read(now, task) {
                Ok(most) => most,
                Err(pause) => return pause,
            };
            if !self.unread.is_empty() {
                let unread = mem::take(&mut self.unread);
                let cost = self.consume(&unread, now);
                left = self.left_of_turn(left.saturating_sub(cost));
                continue;
            }
            let mut cost = 0;
            let read = socket.poll_read(most.min(left), task, |bytes| {
                cost = self.received(bytes, now);
            });
            match read {
                Poll::Pending => return Pause::Empty,
                Poll::Ready(Ok(count)) if count > 0 => {
                    let count = count.max(LEAST_COST);
                    left = self.left_of_turn(left.saturating_sub(count + cost));
                }
                Poll::Ready(result) => self.end_of_stream(result.err()),
            }
        }
    }

    /// What there is left of a turn: nothing, where the reader has left something for the next.
    fn left_of_turn(&self, left: usize) -> usize {
        if self.unread.is_empty() { left } else { 0 }
    }

    /// Bytes that may be read now, or why there are none.
    fn most_to_read(&mut self, now: Instant, task: &mut Task<'_>) -> Result<usize, Pause> {
        // One is for one read.
        self.give_back();
        let allowed = match self.phase {
            Phase::Asking(_) => Ok(usize::MAX),
            Phase::Piping { .. } => self.allowance(now).map_err(Pause::Until),
            Phase::Closing | Phase::Lingering => {
                return self.allowance(now).map_err(Pause::Until);
            }
            Phase::Waiting { .. }
            | Phase::Moving { .. }
            | Phase::Across(_)
            | Phase::Finishing
            | Phase::Done => {
                return Err(Pause::Unwanted);
            }
        }?;
        let free = match self.window.poll_free(task) {
            0 => self.borrow(now).ok_or(Pause::Full)?,
            free => {
                self.borrower().map(Borrower::has_room);
                free
            }
        };
        Ok(free.min(allowed))
    }

    /// Bytes that may be read at `now` by its own pace and by that of its address.
    ///
    /// # Errors
    ///
    /// When to ask again.
    fn allowance(&mut self, now: Instant) -> Result<usize, Instant> {
        let own = self.pace.allowance(now)?;
        match &self.limit {
            None => Ok(own),
            Some(limit) => Ok(own.min(limit.allowance(self.id.0, now)?)),
        }
    }

    /// Borrows memory for what may be read although the window is full: of a sender to the end of the
    /// message that it is in, and not a byte further. Returns how many bytes those are.
    fn borrow(&mut self, now: Instant) -> Option<usize> {
        let most = self.most_to_borrow();
        let borrower = self.borrower().filter(|_| most > 0)?;
        borrower.borrow(most + 2 * OVERHEAD, now).then_some(most)
    }

    fn borrower(&mut self) -> Option<&mut Borrower> {
        match &mut self.phase {
            Phase::Piping { borrower } => borrower.as_mut(),
            _ => None,
        }
    }

    fn give_back(&mut self) {
        self.borrower().map(Borrower::give_back);
    }

    /// Bytes of a message in progress that one read may bring, where it has to be paid for with a loan.
    fn most_to_borrow(&self) -> usize {
        let left = usize::try_from(self.reader.least_left()).unwrap_or(READ);
        READ.min(left)
    }

    /// Whether a loan is what it waits for. Nobody wakes it when there is one.
    fn waits_for_loan(&mut self) -> bool {
        self.most_to_borrow() > 0 && self.borrower().is_some()
    }

    /// Takes in what was read; returns what its frames cost of a turn, beside the bytes.
    fn received(&mut self, bytes: &[u8], now: Instant) -> usize {
        self.count_bytes(bytes.len(), now);
        match self.phase {
            Phase::Lingering => 0,
            _ => self.consume(bytes, now),
        }
    }

    /// Acts on what was read, as far as it may be looked at now; returns what its frames cost of a turn,
    /// beside the bytes.
    fn consume(&mut self, mut bytes: &[u8], now: Instant) -> usize {
        let mut pongs = Pongs::default();
        while matches!(
            self.phase,
            Phase::Asking(_) | Phase::Piping { .. } | Phase::Closing
        ) {
            match self.reader.next(&mut bytes) {
                Some(event) => self.on_event(event, &mut pongs, now),
                None => break,
            }
        }
        self.pong(pongs);
        if !bytes.is_empty()
            && matches!(
                self.phase,
                Phase::Waiting { .. } | Phase::Piping { .. } | Phase::Closing
            )
        {
            self.unread = bytes.to_vec();
        }
        self.count_frames(now)
    }

    /// Counts bytes that have come.
    pub(super) fn count_bytes(&mut self, count: usize, now: Instant) {
        self.clocks.received(now);
        self.pace.record(count);
        if let Some(limit) = &self.limit {
            limit.record(count);
        }
        self.caller.received(count);
        self.state.metrics.received(count);
        if let Some(guest) = &self.guest {
            guest.received(count);
        }
    }

    /// Ends with its client's stream.
    pub(super) fn end_of_stream(&mut self, error: Option<io::Error>) {
        log_client!(
            Debug,
            self.visitor.network,
            "session {}: end of stream, {error:?}",
            self.id.0
        );
        self.vanish();
    }

    /// Counts the frames that have begun since the last time, and ends a session of which too many were
    /// for nothing; returns what they cost of a turn, beside their bytes.
    pub(super) fn count_frames(&mut self, now: Instant) -> usize {
        let counts = self.reader.take_counts();
        if counts.inflated > 0 {
            self.state.metrics.looked_into(counts.inflated as usize);
        }
        let (frames, idle) = (counts.frames as usize, counts.idle as usize);
        let ends = matches!(self.phase, Phase::Lingering | Phase::Finishing);
        if idle > 0 && !self.chatter.allows(idle, now) && !ends {
            self.on_violation(Ending::ControlFlood, now);
        }
        frames * FRAME_COST + counts.inflating() as usize / INFLATED
    }

    /// Acts on an event; the answers to Pings are gathered in `pongs`, many to be written as one.
    pub(super) fn on_event(&mut self, event: Event, pongs: &mut Pongs, now: Instant) {
        match event {
            Event::Data(data) => {
                self.clocks.heard(now);
                self.on_data(data);
            }
            Event::Ping(payload) => pongs.push(&payload),
            Event::Pong(number) => self.on_pong(number, now),
            Event::Close(code) => self.on_peer_close(code, now),
            Event::Violation(violation) => self.on_violation(violation, now),
        }
    }

    fn on_data(&mut self, data: Data) {
        match (&mut self.phase, data) {
            (Phase::Piping { borrower }, mut data) => {
                if let Some(borrower) = borrower {
                    borrower.charge(&mut data);
                }
                self.registry.do_send(Forward { id: self.id, data });
            }
            (Phase::Asking(request), Data::Fragment(fragment)) => {
                if let Some(request) = request.add(&fragment) {
                    self.phase = Phase::Waiting { refusal: None };
                    self.ahead = None;
                    self.clocks.requested();
                    let id = self.id;
                    self.registry.do_send(Ask { id, request });
                }
            }
            (_, data) => data.dropped(Dropped::Closing),
        }
    }

    /// Tells the clocks how the session is read from here on.
    pub(super) fn note_pause(&mut self, pause: Pause, now: Instant) {
        self.deaf = match pause {
            // Nothing more than may be on its way is written for a client that is gone.
            _ if matches!(self.phase, Phase::Done) => self.deaf,
            Pause::Empty | Pause::More => false,
            Pause::Until(then) => then > now + SHORT_PAUSE,
            Pause::Full | Pause::Unwanted => true,
        };
        self.read_since = match pause {
            Pause::Empty | Pause::More => self.read_since.or(Some(now)),
            Pause::Full | Pause::Unwanted | Pause::Until(_) => None,
        };
        let reading = match pause {
            // Who has been told to close has a deadline of its own, and may not answer any more.
            _ if !self.is_open() => Reading::Paused,
            Pause::Full | Pause::Unwanted | Pause::Until(_) => Reading::Paused,
            Pause::Empty | Pause::More if self.reader.in_message() => Reading::InMessage,
            Pause::Empty | Pause::More => Reading::Between,
        };
        self.clocks.read(now, reading);
        let paused = Some(pause).filter(|_| self.is_open());
        self.waits.read(paused, now, &self.state.metrics);
        match pause {
            Pause::Full | Pause::Unwanted => self.clocks.under_way(now, self.window.used()),
            Pause::Empty | Pause::More | Pause::Until(_) => self.clocks.taken(),
        }
        let again = match pause {
            Pause::Until(then) => Some(then),
            Pause::Full => self.waits_for_loan().then(|| now + LOAN_AFTER),
            Pause::Empty | Pause::More | Pause::Unwanted => None,
        };
        self.clocks.paced(again);
        self.vitals.paced(matches!(pause, Pause::Until(_)), now);
    }
}
