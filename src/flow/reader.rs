//! From the bytes of a socket to what they mean: messages, fragments, control frames.
//!
//! The reader keeps every rule of RFC 6455 that a server must hold a client to, and nothing of the
//! payload beyond what one read brought: a long message leaves in fragments, as it comes. Within
//! one read it joins what can be joined (whole messages into one `Chunk`, adjoining fragments
//! into one), so what a read costs further on does not grow with the number of frames in it. What
//! little a read brings of a long message waits for the next.
//!
//! A compressed message (RFC 7692) is passed on as it is, its reserved bit with it. Where its recipient's
//! library could not be trusted with it, it is inflated into nothing first, so much in one turn.
//!
//! No I/O here: the caller brings the bytes, and stops bringing them when the window is full.

mod check;
mod head;
mod message;
mod part;
mod run;

use std::{mem, sync::Arc};

use relay_wire::{
    ending::Ending,
    frame::{self, COMPRESSED, Header, MAX_CONTROL, Opcode},
    utf8,
};

pub use self::message::MOST_FRAGMENTS;
use self::{
    check::{Check, SLICE},
    head::Head,
    message::Message,
    run::Run,
};
pub use super::event::{Counts, Event, Oversize};
use super::{credit::Window, data::Part};

/// The shortest header of a client's frame.
const LEAST_HEADER: u64 = 6;

/// The frame whose payload is coming in.
#[derive(Debug)]
struct Frame {
    header: Header,
    key: [u8; 4],
    left: u64,
}

/// The state of one client's stream.
#[derive(Debug)]
pub struct FrameReader {
    max_message: u64,
    window: Arc<Window>,
    joining: bool,
    /// Whether messages may be compressed, and whether those that are are looked into.
    compression: bool,
    looking: bool,
    /// The number of the last Ping sent, and of the last one answered.
    pinged: u64,
    ponged: u64,
    head: Head,
    frame: Option<Frame>,
    message: Option<Message>,
    /// The payload of a control frame.
    control: Vec<u8>,
    run: Run,
    /// What this read brought of the message in progress.
    part: Option<Part>,
    /// What comes after the data read before it.
    next: Option<Event>,
    counts: Counts,
    /// Boxed, as hardly any session comes to it.
    oversize: Option<Box<Oversize>>,
}

impl FrameReader {
    /// Reads messages of at most `max_message` bytes and charges them to `window`.
    pub fn new(max_message: u64, window: Arc<Window>) -> Self {
        Self {
            max_message,
            window,
            joining: false,
            compression: false,
            looking: false,
            pinged: 0,
            ponged: 0,
            head: Head::default(),
            frame: None,
            message: None,
            control: Vec::new(),
            run: Run::default(),
            part: None,
            next: None,
            counts: Counts::default(),
            oversize: None,
        }
    }

    /// The message that was over the limit, where that ended the stream.
    pub fn oversize(&self) -> Option<Oversize> {
        self.oversize.as_deref().copied()
    }

    /// What was counted since the last call.
    pub fn take_counts(&mut self) -> Counts {
        mem::take(&mut self.counts)
    }

    /// From here on whole messages may be joined, since nobody will look into them. Before, each
    /// comes as a fragment of its own.
    pub fn join_messages(&mut self) {
        self.joining = true;
    }

    /// From here on messages may be compressed.
    pub fn allow_compression(&mut self) {
        self.compression = true;
    }

    /// Whether messages may be compressed, this client's and those that it is sent.
    pub fn has_compression(&self) -> bool {
        self.compression
    }

    /// From here on compressed messages, if there may be any, are looked into. [`FrameReader::next`] may then
    /// leave some of its input for another turn, which begins when the counts are taken.
    pub fn look_inside(&mut self) {
        self.looking = self.compression;
    }

    /// So many Pings were sent before, by somebody else: Pongs that answer those pass unseen.
    pub fn pinged_before(&mut self, count: u64) {
        (self.pinged, self.ponged) = (count, count);
    }

    /// The number of the last Ping.
    pub fn last_ping(&self) -> u64 {
        self.pinged
    }

    /// The number of the next Ping, which is its payload. The Pong that answers it is reported,
    /// once, and answers those before as well (RFC 6455 §5.5.3); other Pongs pass unseen.
    pub fn next_ping(&mut self) -> u64 {
        self.pinged += 1;
        self.pinged
    }

    /// Whether neither a message nor a frame has begun and not ended.
    pub fn is_between(&self) -> bool {
        self.message.is_none() && self.frame.is_none() && self.head.len() == 0
    }

    /// Bytes that at least are still to come of the message or the frame that has begun; none between two.
    pub fn least_left(&self) -> u64 {
        let Some(frame) = &self.frame else {
            return match self.is_between() {
                true => 0,
                false => LEAST_HEADER.saturating_sub(self.head.len() as u64).max(1),
            };
        };
        let is_last = match frame.header.opcode.is_control() {
            true => self.message.is_none(),
            false => frame.header.fin,
        };
        frame.left + if is_last { 0 } else { LEAST_HEADER }
    }

    /// Has messages bounded so from here on.
    pub fn set_max_message(&mut self, max_message: u64) {
        self.max_message = max_message;
    }

    /// Whether a message has begun and not ended.
    pub fn in_message(&self) -> bool {
        self.message.is_some()
    }

    /// The next event; `None` when `input` is used up, or what is left of it is for another turn. Data
    /// comes before what followed it.
    pub fn next(&mut self, input: &mut &[u8]) -> Option<Event> {
        while self.next.is_none() {
            match self.step(input) {
                Ok(Step::On) => {}
                Ok(Step::Now(event)) => return Some(event),
                Ok(Step::AfterData(event)) => self.next = Some(event),
                Ok(Step::WantsMore) => return self.take_data().map(Event::Data),
                Err(violation) => self.next = Some(Event::Violation(violation)),
            }
        }
        self.take_data()
            .map(Event::Data)
            .or_else(|| self.next.take())
    }

    fn step(&mut self, input: &mut &[u8]) -> Result<Step, Ending> {
        if self.looking && !check::has_time(&self.counts) {
            // Not even an empty message: each takes a state of its own.
            return Ok(Step::WantsMore);
        }
        if let Some(frame) = self.frame.take() {
            return self.payload(frame, input);
        }
        match self.head.take(input)? {
            Some(header) => self.begin(header, input),
            None => Ok(Step::WantsMore),
        }
    }

    /// Judges a frame by its header alone, before any of its payload is taken.
    fn begin(&mut self, header: Header, input: &mut &[u8]) -> Result<Step, Ending> {
        self.counts.frames += 1;
        let key = header.mask.ok_or(Ending::UnmaskedFrame)?;
        let compressed = header.rsv != 0;
        if compressed && !self.may_be_compressed(&header) {
            return Err(Ending::ReservedBits);
        }
        let frame = Frame {
            header,
            key,
            left: header.len,
        };
        if header.opcode.is_control() {
            if !header.fin || header.len > MAX_CONTROL {
                return Err(Ending::BadControlFrame);
            }
            return self.payload(frame, input);
        }
        if header.len == 0 && !header.fin {
            self.counts.idle += 1;
        }
        let continues = header.opcode == Opcode::Continuation;
        if continues != self.message.is_some() {
            return Err(Ending::FragmentOutOfOrder);
        }
        let before = self.message.as_ref().map_or(0, |message| message.size);
        // No overflow: the top bit of the length is clear, and `before` is within the limit.
        let size = before + header.len;
        if size > self.max_message {
            self.set_oversize(size);
            return Err(Ending::MessageTooBig);
        }
        let looked_into = compressed && self.looking;
        let whole = header.fin && !continues && header.len <= input.len() as u64;
        if self.joining && whole && !looked_into {
            return self.whole(frame, input);
        }
        let message = self.message.get_or_insert_with(|| Message {
            kind: header.opcode,
            rsv: header.rsv,
            size: 0,
            started: false,
            check: if looked_into {
                self.counts.looks += 1;
                Check::inside(header.opcode, self.max_message)
            } else {
                Check::outside(&header)
            },
        });
        message.size += header.len;
        self.payload(frame, input)
    }

    /// The bit is on the first frame of a message, and no other (RFC 7692 §6.1).
    fn may_be_compressed(&self, header: &Header) -> bool {
        let begins = matches!(header.opcode, Opcode::Text | Opcode::Binary);
        self.compression && header.rsv == COMPRESSED && begins
    }

    /// A message in one frame that is all there.
    fn whole(&mut self, mut frame: Frame, input: &mut &[u8]) -> Result<Step, Ending> {
        let (payload, rest) = input.split_at(frame.left as usize);
        *input = rest;
        let is_text = frame.header.opcode == Opcode::Text && frame.header.rsv == 0;
        self.run.push(&frame.header, rest.len(), |frames| {
            let start = frames.len();
            frame::unmask_into(frames, payload, &mut frame.key);
            match is_text && !utf8::is_valid(&frames[start..]) {
                true => Err(Ending::InvalidUtf8),
                false => Ok(Step::On),
            }
        })
    }

    fn payload(&mut self, mut frame: Frame, input: &mut &[u8]) -> Result<Step, Ending> {
        let most = input.len().min(self.most_at_once(&frame));
        let taken = usize::try_from(frame.left).map_or(most, |left| left.min(most));
        let (bytes, rest) = input.split_at(taken);
        *input = rest;
        frame.left -= taken as u64;
        if frame.header.opcode.is_control() {
            frame::unmask_into(&mut self.control, bytes, &mut frame.key);
            if frame.left == 0 {
                let payload = mem::take(&mut self.control);
                return self.control(frame.header.opcode, payload);
            }
        } else {
            self.fragment(bytes, &mut frame.key)?;
            if frame.left == 0 {
                return self.end_of_frame(frame.header.fin);
            }
        }
        self.frame = Some(frame);
        Ok(match input.is_empty() {
            true => Step::WantsMore,
            false => Step::On,
        })
    }

    /// Bytes of a frame's payload that are taken in one step.
    fn most_at_once(&self, frame: &Frame) -> usize {
        let looked_into = self.looking
            && !frame.header.opcode.is_control()
            && self.message.as_ref().is_some_and(Message::is_looked_into);
        match looked_into {
            false => usize::MAX,
            true => SLICE,
        }
    }

    fn control(&mut self, opcode: Opcode, payload: Vec<u8>) -> Result<Step, Ending> {
        Ok(match opcode {
            Opcode::Ping => {
                self.counts.idle += 1;
                Step::Now(Event::Ping(payload))
            }
            Opcode::Pong => {
                let number = payload.try_into().map_or(0, u64::from_be_bytes);
                if number <= self.ponged || number > self.pinged {
                    self.counts.idle += 1;
                    return Ok(Step::On);
                }
                self.ponged = number;
                if self.message.is_some() {
                    // Even one without a byte so far began before the Pong.
                    self.part.get_or_insert_with(|| Part::with_capacity(0));
                }
                Step::AfterData(Event::Pong(number))
            }
            _ => Step::AfterData(Event::Close(frame::parse_close(&payload)?)),
        })
    }
}

/// What one step of the reader came to.
enum Step {
    /// Nothing to tell yet.
    On,
    /// An event that need not wait for the data gathered before it, or has none before it.
    Now(Event),
    /// An event that must come after the data gathered before it.
    AfterData(Event),
    /// The input is used up.
    WantsMore,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
