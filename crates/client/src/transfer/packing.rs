//! Compression of the content, by zstd, before it is sealed.
//!
//! A piece of 1 MiB is one stream that is flushed behind every record, so that each record can be written as
//! it comes, and a lost line costs no more than what was on its way. A piece begins with its entry, at each
//! multiple of 1 MiB in it, and wherever an attempt begins. Whether a piece is packed its first record
//! shows: one that does not shrink goes as it is, and so does the rest of its piece.

use zstd::stream::raw::{CParameter, DParameter, Decoder, Encoder, InBuffer, Operation, OutBuffer};

use super::note::{Data, PIECE, RECORD};

/// The fastest level: it packs text to a third at several hundred MiB a second, and better ones would hold up
/// a fast line.
const LEVEL: i32 = 1;
/// How far back a record may refer, in powers of two: to the beginning of its piece. More is refused, since
/// it is what unpacking takes in memory.
const WINDOW_LOG: u32 = 20;
/// A record that is packed has to be shorter by one part in so many.
const WORTH: usize = 16;

/// The library has no memory for its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoMemory;

/// What was packed is none of the streams above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotPacked;

/// Packs what the sender sends in one attempt.
pub struct Packer {
    encoder: Encoder<'static>,
    packed: Vec<u8>,
    piece: Piece,
    packing: bool,
}

/// Unpacks what the receiver hears in one attempt.
pub struct Unpacker {
    decoder: Decoder<'static>,
    record: Vec<u8>,
    piece: Piece,
}

/// The piece that the last record was of.
#[derive(Default)]
struct Piece(Option<(u64, u64)>);

impl Piece {
    /// Whether a record at `offset` of `entry` is the first of a piece.
    fn begins(&mut self, entry: u64, offset: u64) -> bool {
        let piece = Some((entry, offset / PIECE));
        std::mem::replace(&mut self.0, piece) != piece
    }
}

impl Packer {
    /// For an attempt.
    ///
    /// # Errors
    ///
    /// [`NoMemory`], which is some hundred KiB.
    pub fn new() -> Result<Self, NoMemory> {
        let mut encoder = Encoder::new(LEVEL).map_err(|_| NoMemory)?;
        encoder
            .set_parameter(CParameter::WindowLog(WINDOW_LOG))
            .map_err(|_| NoMemory)?;
        Ok(Self {
            encoder,
            packed: Vec::with_capacity(zstd::zstd_safe::compress_bound(RECORD)),
            piece: Piece::default(),
            packing: false,
        })
    }

    /// Packs the record that `message` has behind its first [`Data::HEAD`] bytes, if that is worth it, and
    /// says where it belongs. Records come one behind the other, and none crosses a multiple of 1 MiB.
    pub fn pack(&mut self, entry: u64, offset: u64, message: &mut Vec<u8>) -> Data {
        let first = self.piece.begins(entry, offset);
        if first || self.packing {
            let record = &message[Data::HEAD..];
            let done = self.run(record, first).is_ok();
            let worth = record.len() - record.len() / WORTH;
            self.packing = done && (!first || self.packed.len() < worth);
        }
        if self.packing {
            message.truncate(Data::HEAD);
            message.extend_from_slice(&self.packed);
        }
        Data {
            entry,
            offset,
            packed: self.packing,
        }
    }

    fn run(&mut self, record: &[u8], first: bool) -> std::io::Result<()> {
        if first {
            self.encoder.reinit()?;
        }
        self.packed.clear();
        let mut input = InBuffer::around(record);
        let mut output = OutBuffer::around(&mut self.packed);
        while input.pos < record.len() {
            self.encoder.run(&mut input, &mut output)?;
        }
        while self.encoder.flush(&mut output)? > 0 {}
        Ok(())
    }
}

impl Unpacker {
    /// For an attempt.
    ///
    /// # Errors
    ///
    /// [`NoMemory`], which is some hundred KiB.
    pub fn new() -> Result<Self, NoMemory> {
        let mut decoder = Decoder::new().map_err(|_| NoMemory)?;
        decoder
            .set_parameter(DParameter::WindowLogMax(WINDOW_LOG))
            .map_err(|_| NoMemory)?;
        Ok(Self {
            decoder,
            // One byte more than there may be, so that more shows.
            record: Vec::with_capacity(RECORD + 1),
            piece: Piece::default(),
        })
    }

    /// The content of a record.
    ///
    /// # Errors
    ///
    /// [`NotPacked`] where it cannot be unpacked, or is empty or over [`RECORD`] bytes.
    pub fn unpack<'a>(&'a mut self, data: &Data, record: &'a [u8]) -> Result<&'a [u8], NotPacked> {
        let first = self.piece.begins(data.entry, data.offset);
        let content = match data.packed {
            true => self.run(record, first)?,
            false => record,
        };
        match content.len() {
            1..=RECORD => Ok(content),
            _ => Err(NotPacked),
        }
    }

    fn run(&mut self, record: &[u8], first: bool) -> Result<&[u8], NotPacked> {
        if first {
            self.decoder.reinit().map_err(|_| NotPacked)?;
        }
        self.record.clear();
        let mut input = InBuffer::around(record);
        let mut output = OutBuffer::around(&mut self.record);
        loop {
            let before = (input.pos, output.pos());
            let left = self.decoder.run(&mut input, &mut output);
            let left = left.map_err(|_| NotPacked)?;
            // A stream that ends, which ours never do, could be followed by another.
            if left == 0 || output.pos() > RECORD {
                return Err(NotPacked);
            }
            if (input.pos, output.pos()) == before {
                break;
            }
        }
        if input.pos < record.len() {
            return Err(NotPacked);
        }
        Ok(&self.record)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
