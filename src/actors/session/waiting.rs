//! What a session does while its request waits for an answer that is late: its client is let go when
//! it leaves, and its Pings are answered. Anything else is kept as it came, since it may be data or
//! another request.

use std::{
    mem,
    task::{Context as Task, Poll},
    time::Instant,
};

use relay_wire::{frame::Header, request::MAX_REQUEST};

use super::{
    connection::{Connection, Pongs},
    phase::Phase,
    socket::Socket,
};

/// Bytes that are read behind a request before it is answered. It is little, as nobody has been
/// granted anything; and a bound on all of them, so that a flood of Pings ends here.
const READ_AHEAD: usize = MAX_REQUEST;

impl Connection {
    /// From here on its client may leave before it is answered.
    pub(super) fn answer_is_late(&mut self) {
        self.ahead.get_or_insert(READ_AHEAD);
    }

    /// Whether a Pong that comes now is seen: it is read, and nothing that has to wait is before it.
    pub(super) fn sees_pongs(&self) -> bool {
        let reads = matches!(self.phase, Phase::Waiting { .. }) && matches!(self.ahead, Some(1..));
        reads && self.unread.is_empty()
    }

    /// Reads ahead where an answer is late, and takes what does not have to wait. The socket wakes the
    /// session for the rest.
    pub(super) fn read_ahead(&mut self, socket: &mut Socket, now: Instant, task: &mut Task<'_>) {
        self.take_control_frames(now);
        while matches!(self.phase, Phase::Waiting { .. })
            && let Some(left @ 1..) = self.ahead
        {
            let unread = &mut self.unread;
            let read = socket.poll_read(left, task, |bytes| {
                // Once for all that may still come, and no more.
                unread.reserve_exact(left);
                unread.extend_from_slice(bytes);
            });
            match read {
                Poll::Pending => return,
                Poll::Ready(Ok(count)) if count > 0 => {
                    self.ahead = Some(left - count);
                    self.count_bytes(count, now);
                    self.take_control_frames(now);
                }
                Poll::Ready(result) => self.end_of_stream(result.err()),
            }
        }
    }

    /// Acts on control frames that are all there, up to the first frame that is none.
    fn take_control_frames(&mut self, now: Instant) {
        if self.ahead.is_none() || self.unread.is_empty() {
            return;
        }
        let mut unread = mem::take(&mut self.unread);
        let mut rest = &unread[..];
        let mut pongs = Pongs::default();
        while matches!(self.phase, Phase::Waiting { .. })
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
        self.unread = unread;
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
