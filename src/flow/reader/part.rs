//! What has come of the message in progress: seen through as it comes, kept for as long as it is little, and passed on
//! as a fragment or, where all of it came in one read, as a message.

use relay_wire::{
    ending::Ending,
    frame::{self, Header},
};

use super::{FrameReader, Step};
use crate::flow::{
    data::{Data, Fragment, Part},
    event::{Event, Oversize},
};

impl FrameReader {
    /// Takes the next bytes of the payload of a message's frame.
    pub(super) fn fragment(&mut self, bytes: &[u8], key: &mut [u8; 4]) -> Result<(), Ending> {
        if bytes.is_empty() {
            return Ok(());
        }
        let part = self
            .part
            .get_or_insert_with(|| Part::with_capacity(bytes.len()));
        frame::unmask_into(part.grow(), bytes, key);
        let payload = part.payload();
        let fresh = &payload[payload.len() - bytes.len()..];
        let Some(message) = &mut self.message else {
            return Ok(());
        };
        let good = message.check.take(fresh, false, &mut self.counts);
        good.map_err(|ending| self.refuse(ending))
    }

    /// Notes that a message of so many bytes was over the limit.
    pub(super) fn set_oversize(&mut self, size: u64) {
        let limit = self.max_message;
        self.oversize = Some(Box::new(Oversize { size, limit }));
    }

    /// The message in progress is not passed on any further.
    fn refuse(&mut self, ending: Ending) -> Ending {
        self.part = None;
        let message = self.message.as_ref();
        let size = message.and_then(|message| message.check.inflated());
        if let (Ending::MessageTooBig, Some(size)) = (ending, size) {
            self.set_oversize(size);
        }
        ending
    }

    /// A frame of the message has ended, and with `fin` the message.
    pub(super) fn end_of_frame(&mut self, fin: bool) -> Result<Step, Ending> {
        if !fin {
            return Ok(Step::On);
        }
        let Some(message) = &mut self.message else {
            return Ok(Step::On);
        };
        let good = message.check.take(&[], true, &mut self.counts);
        good.map_err(|ending| self.refuse(ending))?;
        let Some(message) = self.message.take() else {
            return Ok(Step::On);
        };
        let part = self.part.take().unwrap_or_else(|| Part::with_capacity(0));
        if self.joining && !message.started {
            // It came in fragments, but all in this read.
            let header = Header {
                rsv: message.rsv,
                ..Header::new(message.kind, true, part.payload().len())
            };
            return self.run.push(&header, 0, |frames| {
                frames.extend_from_slice(part.payload());
                Ok(Step::On)
            });
        }
        let fragment = self.book(message.fragment(part, true, &self.window));
        Ok(Step::Now(Event::Data(Data::Fragment(fragment))))
    }

    /// The data gathered from this read: whole messages first, then what is there of the next.
    pub(super) fn take_data(&mut self) -> Option<Data> {
        if let Some(messages) = self.run.take(&self.window) {
            return Some(messages);
        }
        if self.next.is_none() && self.is_too_little() {
            return None;
        }
        let (part, message) = (self.part.take()?, self.message.as_mut()?);
        let fragment = message.fragment(part, false, &self.window);
        message.started = true;
        Some(Data::Fragment(self.book(fragment)))
    }

    /// Whether what has come of the message may wait for more of it.
    fn is_too_little(&self) -> bool {
        let begun = self.part.as_ref().zip(self.message.as_ref());
        begun.is_some_and(|(part, message)| part.payload().len() < message.least_fragment())
    }

    /// Books what a fragment takes from the client, unless it is part of a request.
    fn book(&self, mut fragment: Fragment) -> Fragment {
        if self.joining {
            let payload = fragment.payload().len();
            fragment.chunk.credit.take_payload(payload);
        }
        fragment
    }
}
