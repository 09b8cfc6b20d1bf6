//! Where a transfer is written to: a file or folder that is called `.part` until it is whole, or a stream.
//!
//! [`Ledger`] says what may come, and `Part` writes it to the disk.

use std::{fmt, io::Write, path::Path};

use super::{
    errors::TargetError,
    ledger::{Ledger, Refused},
    part::{Begun, Part},
    place::{self, Place},
    whole::Whole,
};
use crate::transfer::note::{End, Header, Manifest, Start, What};

/// Where a transfer is written to.
#[derive(Debug)]
pub struct Target {
    ledger: Ledger,
    onto: Onto,
}

#[derive(Debug)]
enum Onto {
    Disk(Box<Part>),
    Output(Output),
    /// It is all there; nothing of a stream's has to be remembered.
    Done(Option<Whole>),
}

struct Output(Box<dyn Write + Send>);

impl Target {
    /// At `path`: in it, where it is a folder, and else under its name. A transfer that was begun there goes on;
    /// where the name is taken by something else, another is found.
    ///
    /// # Errors
    ///
    /// [`TargetError`], by what is in the way.
    pub fn open(path: &Path, manifest: &Manifest) -> Result<Self, TargetError> {
        let mut ledger = Ledger::new(manifest)?;
        let (folder, name) = match path.file_name().and_then(|name| name.to_str()) {
            Some(name) if !path.is_dir() => (path.parent().unwrap_or(path), name),
            _ => (path, manifest.name.as_str()),
        };
        let folder = match folder.as_os_str().is_empty() {
            true => Path::new("."),
            false => folder,
        };
        let places = || Place::all(folder, name, manifest.kind == What::Folder);
        let part = match places().find_map(|place| Part::take_up(place, manifest)) {
            Some(begun) => match begun? {
                Begun::Part(part, point) => {
                    ledger.take_up(point);
                    part
                }
                Begun::Whole(whole, point) => {
                    ledger.take_up(point);
                    let onto = Onto::Done(Some(whole));
                    return Ok(Self { ledger, onto });
                }
            },
            None => {
                let free = places().find(Place::is_free);
                let free = free.ok_or_else(|| TargetError::NoName(folder.join(name)))?;
                Box::new(Part::begin(free, manifest)?)
            }
        };
        let needed = manifest
            .size
            .map(|size| size.saturating_sub(ledger.bytes()));
        let free = place::free_space(folder);
        if needed.zip(free).is_some_and(|(needed, free)| needed > free) {
            // What was begun stays, to go on once there is room.
            part.discard_if_empty(ledger.point());
            return Err(TargetError::NoSpace { needed, free });
        }
        let onto = Onto::Disk(part);
        Ok(Self { ledger, onto })
    }

    /// Onto a stream, which takes one file. It goes on after a lost line, but not in another program.
    ///
    /// # Errors
    ///
    /// [`TargetError::Refused`] where it is a folder that is sent.
    pub fn output(
        output: impl Write + Send + 'static,
        manifest: &Manifest,
    ) -> Result<Self, TargetError> {
        if manifest.kind == What::Folder {
            return Err(Refused::OutOfTurn.into());
        }
        Ok(Self {
            ledger: Ledger::new(manifest)?,
            onto: Onto::Output(Output(Box::new(output))),
        })
    }

    /// Where the sender is to go on.
    pub fn start(&self) -> Start {
        self.ledger.start()
    }

    /// Bytes of content that are written, in all.
    pub fn bytes(&self) -> u64 {
        self.ledger.bytes()
    }

    /// An entry begins; `json` is its header as it was sent.
    ///
    /// # Errors
    ///
    /// [`TargetError`], by what is wrong.
    pub fn entry(&mut self, header: Header, json: &[u8]) -> Result<(), TargetError> {
        self.ledger.may_begin(&header)?;
        match &mut self.onto {
            Onto::Disk(part) => {
                part.finish_file(self.ledger.point());
                part.begin_entry(&header)?;
            }
            Onto::Output(_) => {}
            Onto::Done(_) => return Err(Refused::OutOfTurn.into()),
        }
        self.ledger.enter(header, json);
        if let Onto::Disk(part) = &mut self.onto {
            part.note_written(self.ledger.point())?;
        }
        self.settle_if_due()
    }

    /// Content of an entry comes.
    ///
    /// # Errors
    ///
    /// [`TargetError`], by what is wrong.
    pub fn write(&mut self, entry: u64, offset: u64, content: &[u8]) -> Result<(), TargetError> {
        self.ledger.may_add(entry, offset, content.len())?;
        match &mut self.onto {
            Onto::Disk(part) => part.write(offset, content)?,
            Onto::Output(output) => {
                let written = output.0.write_all(content);
                written.map_err(|why| TargetError::io(Path::new("-"), why))?;
            }
            Onto::Done(_) => return Err(Refused::OutOfTurn.into()),
        }
        self.ledger.add(content.len());
        self.settle_if_due()
    }

    fn settle_if_due(&mut self) -> Result<(), TargetError> {
        match &self.onto {
            Onto::Disk(part) if part.is_due() => self.settle(),
            _ => Ok(()),
        }
    }

    /// Makes what is written durable.
    ///
    /// # Errors
    ///
    /// [`TargetError`], as the system gives them.
    pub fn settle(&mut self) -> Result<(), TargetError> {
        match &mut self.onto {
            Onto::Disk(part) => part.settle(self.ledger.point()),
            Onto::Output(output) => output.flush(),
            Onto::Done(_) => Ok(()),
        }
    }

    /// That was everything: makes it durable and gives it its name. What was finished before stays as it is.
    ///
    /// # Errors
    ///
    /// [`TargetError`], where something is missing, or as the system gives them.
    pub fn finish(self, end: &End) -> Result<Self, TargetError> {
        let Self { ledger, onto } = self;
        ledger.may_end(end)?;
        let onto = match onto {
            Onto::Disk(part) => Onto::Done(Some(part.finish(ledger.point())?)),
            Onto::Output(mut output) => {
                output.flush()?;
                Onto::Done(None)
            }
            done => done,
        };
        Ok(Self { ledger, onto })
    }

    /// Whether all is there, durable and under its name.
    pub fn is_finished(&self) -> bool {
        matches!(self.onto, Onto::Done(_))
    }

    /// Where it is, once it is finished; nothing of a stream.
    pub fn path(&self) -> Option<&Path> {
        match &self.onto {
            Onto::Done(Some(whole)) => Some(&whole.path),
            _ => None,
        }
    }

    /// The sender knows that all is there: nothing has to be remembered of it any more.
    pub fn forget(self) {
        if let Onto::Done(Some(whole)) = self.onto {
            whole.forget();
        }
    }
}

impl Output {
    fn flush(&mut self) -> Result<(), TargetError> {
        let flushed = self.0.flush();
        flushed.map_err(|why| TargetError::io(Path::new("-"), why))
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Output")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
