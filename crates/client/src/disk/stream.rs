//! Standard input, or another stream. It can be read only once, so its last [`KEPT`] bytes are kept: more than
//! may be on its way unconfirmed. So a stream goes on after a lost line, and after a receiver that was killed;
//! it does not after one whose machine lost what was on its disk.

use std::{
    collections::VecDeque,
    fmt,
    io::{self, Read},
    sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError},
};

/// Bytes that are kept: 8 MiB that a window may hold, and 1 MiB that was read ahead of it.
pub const KEPT: usize = 9 * 1024 * 1024;

/// A stream that several attempts read, each in a turn of its own, one behind the other.
pub struct Stream {
    /// Held by whoever waits for the next byte. An attempt that was given up may still do that: what comes then is
    /// kept for the next, which meanwhile sends again what there is.
    reader: Mutex<Box<dyn Read + Send>>,
    state: Mutex<State>,
    /// Wakes who waits for another turn's byte: it has come, or their own turn is over.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    turn: u64,
    kept: Kept,
}

#[derive(Default)]
struct Kept {
    bytes: VecDeque<u8>,
    /// Where the last of them ends in the stream.
    end: u64,
    /// Whether the stream ends there.
    ended: bool,
}

/// What a stream has at a place.
#[derive(Debug, PartialEq, Eq)]
pub enum Bytes {
    /// So many bytes, of which the buffer has got a copy.
    Some(usize),
    /// The end.
    End,
    /// What was there is kept no more, or nothing was there yet, or another turn has begun.
    Gone,
}

impl Stream {
    /// Of what `reader` gives.
    pub fn new(reader: impl Read + Send + 'static) -> Self {
        Self {
            reader: Mutex::new(Box::new(reader)),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Begins the next turn. Who waits in an earlier one is sent away, but for the one who waits for the reader
    /// itself: however many attempts there are, no more than two threads wait here.
    pub fn begin(&self) -> u64 {
        let mut state = lock(&self.state);
        state.turn += 1;
        self.changed.notify_all();
        state.turn
    }

    /// Whether what begins at `offset` can be read.
    pub fn has(&self, offset: u64) -> bool {
        let kept = &lock(&self.state).kept;
        kept.begin() <= offset && offset <= kept.end
    }

    /// Reads, in this turn, what begins at `offset` into `buffer`, as much of it as there is; waits for the first
    /// byte.
    ///
    /// # Errors
    ///
    /// As the reader gives them.
    pub fn read_at(&self, turn: u64, offset: u64, buffer: &mut [u8]) -> io::Result<Bytes> {
        let mut state = lock(&self.state);
        let mut reader = loop {
            if let Some(bytes) = state.kept.copy(offset, buffer) {
                return Ok(bytes);
            }
            if state.turn != turn {
                return Ok(Bytes::Gone);
            }
            match self.reader.try_lock() {
                Ok(reader) => break reader,
                Err(TryLockError::Poisoned(poisoned)) => break poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {
                    let waited = self.changed.wait(state);
                    state = waited.unwrap_or_else(PoisonError::into_inner);
                }
            }
        };
        drop(state);
        let read = loop {
            match reader.read(buffer) {
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        let mut state = lock(&self.state);
        drop(reader);
        self.changed.notify_all();
        let read = read?;
        state.kept.add(&buffer[..read]);
        Ok(if read == 0 {
            Bytes::End
        } else {
            Bytes::Some(read)
        })
    }
}

/// A thread that panicked while it held the lock has left nothing half-done that matters here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kept {
    fn begin(&self) -> u64 {
        self.end - self.bytes.len() as u64
    }

    /// What is kept of what begins at `offset`; `None` where that has to be read.
    fn copy(&self, offset: u64, buffer: &mut [u8]) -> Option<Bytes> {
        if offset < self.begin() || offset > self.end {
            return Some(Bytes::Gone);
        }
        if offset == self.end {
            return self.ended.then_some(Bytes::End);
        }
        let from = usize::try_from(offset - self.begin()).unwrap_or(usize::MAX);
        let len = buffer.len().min(self.bytes.len() - from);
        let (front, back) = self.bytes.as_slices();
        let of_front = front.get(from..).unwrap_or_default();
        let of_back = &back[from.saturating_sub(front.len())..];
        let first = len.min(of_front.len());
        buffer[..first].copy_from_slice(&of_front[..first]);
        buffer[first..len].copy_from_slice(&of_back[..len - first]);
        Some(Bytes::Some(len))
    }

    fn add(&mut self, bytes: &[u8]) {
        self.ended = bytes.is_empty();
        self.end += bytes.len() as u64;
        let over = (self.bytes.len() + bytes.len()).saturating_sub(KEPT);
        self.bytes.drain(..over.min(self.bytes.len()));
        self.bytes.extend(bytes);
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{io::Write as _, sync::mpsc};

    use super::*;

    /// Says when it is asked for more.
    struct Asked(mpsc::Sender<()>, io::PipeReader);

    impl Read for Asked {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.send(()).ok();
            self.1.read(buffer)
        }
    }

    #[test]
    fn what_was_read_can_be_read_again_as_far_as_it_is_kept() {
        let stream = Stream::new(io::Cursor::new(vec![7; KEPT + 1000]));
        let (turn, mut buffer) = (stream.begin(), vec![0; 1000]);
        let mut offset = 0;
        while let Bytes::Some(len) = stream.read_at(turn, offset, &mut buffer).unwrap() {
            offset += len as u64;
            assert!(lock(&stream.state).kept.bytes.len() <= KEPT);
        }
        assert_eq!(offset, KEPT as u64 + 1000);
        assert!(!stream.has(999) && stream.has(1000));
        assert_eq!(stream.read_at(turn, 999, &mut buffer).unwrap(), Bytes::Gone);
        assert_eq!(
            stream.read_at(turn, 1000, &mut buffer).unwrap(),
            Bytes::Some(1000)
        );
        assert_eq!(
            stream.read_at(turn, offset, &mut buffer).unwrap(),
            Bytes::End
        );
        assert_eq!(
            stream.read_at(turn, offset + 1, &mut buffer).unwrap(),
            Bytes::Gone
        );
    }

    #[test]
    fn what_is_kept_is_what_was_read() {
        let content: Vec<u8> = (0..20_000_000_u32).map(|it| (it / 251) as u8).collect();
        let stream = Stream::new(io::Cursor::new(content.clone()));
        let (turn, mut buffer) = (stream.begin(), vec![0; 777_777]);
        let mut offset = 0;
        while let Bytes::Some(len) = stream.read_at(turn, offset, &mut buffer).unwrap() {
            offset += len as u64;
            let again = offset.saturating_sub(1_000_000);
            let Bytes::Some(len) = stream.read_at(turn, again, &mut buffer).unwrap() else {
                unreachable!("it is kept")
            };
            let again = again as usize;
            assert!(buffer[..len] == content[again..again + len]);
        }
        assert_eq!(offset, content.len() as u64);
    }

    #[test]
    fn who_waits_in_an_earlier_turn_is_sent_away_and_what_comes_to_it_is_kept() {
        let (reader, mut writer) = io::pipe().unwrap();
        let (asks, asked) = mpsc::channel();
        let stream = Stream::new(Asked(asks, reader));
        let read = |turn| stream.read_at(turn, 0, &mut [0; 10]).unwrap();
        std::thread::scope(|scope| {
            let first = stream.begin();
            let first = scope.spawn(move || read(first));
            asked.recv().unwrap();
            let second = stream.begin();
            let second = scope.spawn(move || read(second));
            let third = stream.begin();
            assert_eq!(second.join().unwrap(), Bytes::Gone);
            let third = scope.spawn(move || read(third));
            writer.write_all(b"abc").unwrap();
            assert_eq!(first.join().unwrap(), Bytes::Some(3));
            assert_eq!(third.join().unwrap(), Bytes::Some(3));
        });
    }
}
