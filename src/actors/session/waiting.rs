//! What a session does while its request waits for an answer that is late: its client is let go when
//! it leaves, and its Pings are answered. Anything else is kept as it came, since it may be data or
//! another request.

use std::{
    task::{Context as Task, Poll},
    time::Instant,
};

use relay_wire::{frame::Header, request::MAX_REQUEST};

use super::{
    connection::{Connection, Pongs},
    phase::Phase,
    socket::Socket,
};
use crate::observe::logging::log_client;

/// Bytes that are read behind a request before it is answered. It is little, as nobody has been
/// granted anything; and a bound on all of them, so that a flood of Pings ends here.
const READ_AHEAD: usize = MAX_REQUEST;

impl Connection {
    /// From here on its client may leave before it is answered.
    pub(super) fn answer_is_late(&mut self) {
        self.ahead.get_or_insert(READ_AHEAD);
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
                *unread = [&unread[..], bytes].concat().into();
            });
            match read {
                Poll::Pending => return,
                Poll::Ready(Ok(count)) if count > 0 => {
                    self.ahead = Some(left - count);
                    self.pace.record(count);
                    self.state.metrics.received(count);
                    self.take_control_frames(now);
                }
                Poll::Ready(result) => {
                    log_client!(
                        Debug,
                        self.client,
                        "session {}: end of stream, {:?}",
                        self.id.0,
                        result.err()
                    );
                    self.vanish();
                }
            }
        }
    }

    /// Acts on control frames that are all there, up to the first frame that is none.
    fn take_control_frames(&mut self, now: Instant) {
        while matches!(self.phase, Phase::Waiting { .. })
            && self.ahead.is_some()
            && let Ok(Some((header, len))) = Header::parse(&self.unread)
            && header.opcode.is_control()
            && let Some(end) = usize::try_from(header.len)
                .ok()
                .map(|payload| len + payload)
            && end <= self.unread.len()
        {
            let frame = self.unread.split_to(end);
            let mut pongs = Pongs::default();
            if let Some(event) = self.reader.next(&mut &frame[..]) {
                self.on_event(event, &mut pongs, now);
            }
            self.pong(pongs);
        }
    }
}
