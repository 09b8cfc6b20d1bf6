//! One attempt of a sender in version 2: everything that the receiver has not got yet, in sealed records.
//!
//! ```text
//! source ─► walk and pack (a blocking thread) ─► a few records ─► window ─► seal ─► line
//!                                                                  ▲
//!                                          confirmations ◄─────────┴────────────── line
//! ```
//!
//! The thread waits while the channel is full, which is the case while the window is shut: the receiver's
//! disk is the pace of all. When an attempt ends its channel is dropped, and the thread ends with the next
//! record.

use bytes::Bytes;
use tokio::{
    sync::mpsc,
    task::spawn_blocking,
    time::{Instant, sleep_until},
};

use super::{
    complaint,
    event::{Event, Slow, Tell},
    fault::Fault,
    line::{Heard, Line, Turn},
    meter::Meter,
    pairing::{self, Parting, STALL},
};
use crate::{
    disk::{
        errors::SourceError,
        source::Source,
        walk::{Step, Walk},
    },
    transfer::{
        note::{Abort, Confirm, Data, End, Header, Manifest, Note, RECORD, Reason, Start},
        packing::Packer,
        seal::{Opener, Sealer, TAG},
        window::{Holds, Window},
    },
};

/// Records that are read and packed before there is room for them.
const AHEAD: usize = 4;

/// What the thread makes of a source.
enum Made {
    Entry(Header),
    Data {
        data: Data,
        /// The message, with room for what it has in clear and for the tag.
        message: Vec<u8>,
        /// Bytes of content.
        content: usize,
    },
    End(End),
    Failed(SourceError),
}

/// A sender's side of one attempt.
pub(super) struct Sending<'a> {
    line: &'a mut Line,
    sealer: &'a mut Sealer,
    opener: &'a mut Opener,
    source: &'a Source,
    /// Bytes of content put on the line.
    pub(super) sent: u64,
    /// Whether the receiver has confirmed any of it.
    pub(super) moved: bool,
    window: Window,
    /// By when the receiver has to show that something moves.
    until: Instant,
    ended: Option<End>,
    wait_for: Slow,
}

impl<'a> Sending<'a> {
    /// With the keys of this attempt, on lines that usually hold for so much.
    pub(super) fn new(
        line: &'a mut Line,
        (sealer, opener): &'a mut (Sealer, Opener),
        source: &'a Source,
        holds: Holds,
    ) -> Self {
        Self {
            line,
            sealer,
            opener,
            source,
            sent: 0,
            moved: false,
            window: Window::of(holds),
            until: Instant::now() + STALL,
            ended: None,
            wait_for: Slow::Here,
        }
    }

    /// What the lines usually hold for, where they were lost now.
    pub(super) fn dropped(&self) -> Holds {
        self.window.dropped()
    }

    /// Until the receiver has everything by its own word; then how many bytes that were.
    pub(super) async fn run(&mut self, manifest: &Manifest, tell: &Tell) -> Result<u64, Parting> {
        let end = self.attempt(manifest, tell).await;
        if let Err(parting) = &end
            && let Some(reason) = parting.reason()
        {
            self.abort(reason)?;
        }
        end
    }

    async fn attempt(&mut self, manifest: &Manifest, tell: &Tell) -> Result<u64, Parting> {
        self.say(&Note::Manifest(manifest.clone()))?;
        self.sealer.bind(manifest.transfer);
        self.opener.bind(manifest.transfer);
        let Heard::Binary(message) = pairing::of_receiver(self.line, self.until).await? else {
            return Err(Parting::Misbehaved("a text within version 2"));
        };
        let Note::Start(start) = pairing::note(self.opener, message)? else {
            return Err(Parting::Misbehaved("no START behind MANIFEST"));
        };
        let (walk, from) = self.walk(&start).await?;
        tell(Event::Begun {
            name: manifest.name.clone(),
            size: manifest.size,
            from,
            version: 2,
        });
        let made = make(walk, start.packing.iter().any(|it| it == "zstd"));
        self.send(made, Meter::new(tell, manifest.size)).await
    }

    async fn walk(&mut self, start: &Start) -> Result<(Walk, u64), Parting> {
        let (source, start) = (self.source.clone(), start.clone());
        let mut walking =
            spawn_blocking(move || source.walk_from(start.entries, start.offset, &start.digest));
        // It may take longer than a line may be silent.
        let walked = loop {
            tokio::select! {
                walked = &mut walking => break walked.map_err(|_| Fault::failed())?,
                heard = self.line.hear() => self.hear_early(heard?)?,
            }
        };
        match walked {
            Ok(walk) => {
                let from = walk.bytes();
                Ok((walk, from))
            }
            Err(error) => {
                let reason = complaint::reason_of_source(&error);
                self.abort(reason)?;
                Err(Parting::NotThere(complaint::of_source(&error)))
            }
        }
    }

    /// What the receiver says before it has got anything.
    fn hear_early(&mut self, heard: Heard) -> Result<(), Parting> {
        match pairing::sift(self.line, heard)? {
            None => Ok(()),
            Some(Heard::Binary(message)) => {
                pairing::note(self.opener, message)?;
                Err(Parting::Misbehaved("a note that is not due"))
            }
            Some(Heard::Text(_)) => Err(Parting::Misbehaved("a text within version 2")),
        }
    }

    async fn send(
        &mut self,
        mut made: mpsc::Receiver<Made>,
        mut meter: Meter,
    ) -> Result<u64, Parting> {
        let mut next: Option<Made> = None;
        self.until = Instant::now() + STALL;
        loop {
            let open = next.is_some() && self.window.is_open();
            tokio::select! {
                biased;
                turn = self.line.turn(open) => match turn? {
                    Turn::Heard(heard) => {
                        if let Some(bytes) = self.hear(heard, &mut meter)? {
                            return Ok(bytes);
                        }
                    }
                    Turn::Room => if let Some(made) = next.take() {
                        self.give(made)?;
                    }
                },
                record = made.recv(), if next.is_none() && self.ended.is_none() => {
                    next = Some(record.ok_or_else(Fault::failed)?);
                }
                () = sleep_until(self.until), if self.is_owed() => return Err(Parting::Stalled),
            }
            self.wait_for = match next {
                Some(_) => Slow::Line,
                None => Slow::Here,
            };
        }
    }

    /// Whether the receiver owes a confirmation.
    fn is_owed(&self) -> bool {
        self.window.bytes() > 0 || self.ended.is_some()
    }

    fn give(&mut self, made: Made) -> Result<(), Parting> {
        let now = Instant::now();
        if !self.is_owed() {
            self.until = now + STALL;
        }
        match made {
            Made::Entry(header) => {
                let bytes = self.say(&Note::Entry(header))?;
                self.window.sent(bytes, now.into_std());
            }
            Made::Data {
                data,
                mut message,
                content,
            } => {
                self.sealer.data(&data, &mut message);
                self.line.say(Bytes::from(message))?;
                self.window.sent(content, now.into_std());
                self.sent += content as u64;
            }
            Made::End(end) => {
                self.say(&Note::End(end))?;
                self.ended = Some(end);
            }
            Made::Failed(error) => return Err(self.failed(error)),
        }
        Ok(())
    }

    /// What the receiver says; how many bytes it has where that was the last of it.
    fn hear(&mut self, heard: Heard, meter: &mut Meter) -> Result<Option<u64>, Parting> {
        let message = match pairing::sift(self.line, heard)? {
            None => return Ok(None),
            Some(Heard::Binary(message)) => message,
            Some(Heard::Text(_)) => return Err(Parting::Misbehaved("a text within version 2")),
        };
        match (pairing::note(self.opener, message)?, self.ended) {
            (Note::Confirm(Confirm { records, bytes }), _) => {
                let now = Instant::now();
                let confirmed = self.window.confirmed(records, now.into_std());
                let is_news =
                    confirmed.map_err(|_| Parting::Misbehaved("it confirms what was not sent"))?;
                // Who says the same again and again has not gone on.
                if is_news {
                    self.moved = true;
                    self.until = now + STALL;
                }
                meter.moved(bytes, self.wait_for);
                Ok(None)
            }
            (Note::Delivered, Some(end)) => Ok(Some(end.bytes)),
            _ => Err(Parting::Misbehaved("a note that is not due")),
        }
    }

    /// Tells the other side that the source has failed.
    fn failed(&mut self, error: SourceError) -> Parting {
        // The line may be lost with it, which is no news any more.
        drop(self.abort(complaint::reason_of_source(&error)));
        complaint::of_source(&error).into()
    }

    fn abort(&mut self, reason: Reason) -> Result<(), Parting> {
        self.say(&Note::Abort(Abort { reason })).map(|_| ())
    }

    /// Says a note, and how many bytes it has.
    fn say(&mut self, note: &Note) -> Result<usize, Parting> {
        let message = self.sealer.note(note);
        let bytes = message.len();
        self.line.say(Bytes::from(message))?;
        Ok(bytes)
    }
}

/// Walks and packs on a thread of its own, a few records ahead.
fn make(mut walk: Walk, packing: bool) -> mpsc::Receiver<Made> {
    let (made, waiting) = mpsc::channel(AHEAD);
    spawn_blocking(move || {
        let Ok(mut packer) = packing.then(Packer::new).transpose() else {
            return;
        };
        loop {
            let next = record(&mut walk, packer.as_mut()).unwrap_or_else(Made::Failed);
            let last = matches!(next, Made::End(_) | Made::Failed(_));
            // Nobody waits where the attempt is over.
            if made.blocking_send(next).is_err() || last {
                return;
            }
        }
    });
    waiting
}

fn record(walk: &mut Walk, packer: Option<&mut Packer>) -> Result<Made, SourceError> {
    let mut message = Vec::with_capacity(Data::HEAD + RECORD + TAG);
    message.resize(Data::HEAD, 0);
    Ok(match walk.next(&mut message)? {
        Step::Entry(header) => Made::Entry(header),
        Step::End(end) => Made::End(end),
        Step::Content { entry, offset } => {
            let content = message.len() - Data::HEAD;
            let data = match packer {
                Some(packer) => packer.pack(entry, offset, &mut message),
                None => Data {
                    entry,
                    offset,
                    packed: false,
                },
            };
            Made::Data {
                data,
                message,
                content,
            }
        }
    })
}
