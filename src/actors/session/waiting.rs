//! What a session does while what its client says next has to wait: for the answer to its request, where
//! that is late, or between two messages until its peer has taken more. Its client is let go when it
//! leaves, its Pings are answered, and its Pongs seen. Anything else is kept as it came.

use std::{
    mem,
    task::{Context as Task, Poll},
    time::Instant,
};

use relay_wire::{frame::Header, request::MAX_REQUEST};

use super::{
    connection::Connection,
    phase::Phase,
    pings::Pongs,
    socket::{Pause, Socket},
};

/// Bytes that are read behind a request before it is answered. It is little, as nobody has been
/// granted anything; and a bound on all of them, so that a flood of Pings ends here.
const READ_AHEAD: usize = MAX_REQUEST;

impl Connection {
    /// From here on its client may leave before it is answered.
    pub(super) fn answer_is_late(&mut self) {
        self.ahead.get_or_insert(READ_AHEAD);
    }

    /// Bytes that may be read ahead now.
    fn most_to_read_ahead(&self, pause: Pause) -> usize {
        match self.phase {
            Phase::Waiting { .. } => self.ahead.unwrap_or(0),
            // What is kept must be no data: the end of the stream, which is told at once, would overtake it.
            Phase::Piping { .. } if pause == Pause::Full && self.may_have_control_frames() => {
                READ_AHEAD.saturating_sub(self.unread.len())
            }
            _ => 0,
        }
    }

    /// Whether the client is between two frames of its own, and what is kept begins with no data.
    fn may_have_control_frames(&self) -> bool {
        let data = self.unread.first().is_some_and(|first| first & 0x08 == 0);
        self.reader.is_between() && !data
    }

    /// Reads ahead, and takes what does not have to wait. The socket wakes the session for the rest.
    ///
    /// Returns why reading stopped: [`Pause::Empty`] where all that came has been seen.
    pub(super) fn read_ahead(
        &mut self,
        pause: Pause,
        socket: &mut Socket,
        now: Instant,
        task: &mut Task<'_>,
    ) -> Pause {
        if self.most_to_read_ahead(pause) > 0 {
            self.take_control_frames(now);
        }
        loop {
            let left = self.most_to_read_ahead(pause);
            if left == 0 {
                return pause;
            }
            let unread = &mut self.unread;
            let read = socket.poll_read(left, task, |bytes| {
                // Once for all that may still come, and no more.
                unread.reserve_exact(left);
                unread.extend_from_slice(bytes);
            });
            match read {
                Poll::Pending if self.unread.is_empty() => return Pause::Empty,
                Poll::Pending => return pause,
                Poll::Ready(Ok(count)) if count > 0 => {
                    self.ahead = self.ahead.map(|ahead| ahead.saturating_sub(count));
                    self.count_bytes(count, now);
                    self.take_control_frames(now);
                }
                Poll::Ready(result) => self.end_of_stream(result.err()),
            }
        }
    }

    /// Acts on control frames that are all there, up to the first frame that is none.
    fn take_control_frames(&mut self, now: Instant) {
        if self.unread.is_empty() {
            return;
        }
        let mut unread = mem::take(&mut self.unread);
        let mut rest = &unread[..];
        let mut pongs = Pongs::default();
        while matches!(self.phase, Phase::Waiting { .. } | Phase::Piping { .. })
            && let Some((mut frame, behind)) = control_frame(rest)
        {
            rest = behind;
            if let Some(event) = self.reader.next(&mut frame) {
                self.on_event(event, &mut pongs, now);
            }
        }
        self.pong(pongs);
        let taken = unread.len() - rest.len();
        unread.drain(..taken);
        // An idle session keeps no memory for this.
        self.unread = match unread.is_empty() {
            true => Vec::new(),
            false => unread,
        };
        self.count_frames(now);
    }
}

/// The control frame that these bytes begin with, if it is all there, and what is behind it.
fn control_frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (header, len) = Header::parse(bytes).ok()??;
    let payload = usize::try_from(header.len).ok()?;
    let whole = header.opcode.is_control().then_some(len + payload)?;
    bytes.split_at_checked(whole)
}
