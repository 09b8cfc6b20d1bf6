//! What is going to happen, drawn from the seed: who sends how much, how fast, and how it ends.
//! When things happen is up to the machine, so a seed repeats a run's plan and not its course.

use std::{rc::Rc, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio_tungstenite::tungstenite::Message;

/// The longest message.
const LONGEST: usize = 4 << 20;

/// How a client means to end its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With a Close.
    Close,
    /// By shutting its side of the connection, with no Close.
    HangUp,
    /// In the middle of a message, and then as above.
    MidMessage,
    /// By resetting the connection, whatever is under way.
    Reset,
    /// With text that is none.
    BadText,
    /// By accepting nothing any more.
    Stall,
}

/// How a client behaves.
#[derive(Debug)]
pub struct Behaviour {
    /// Messages to send; of a sender, to each receiver.
    pub messages: usize,
    /// Bytes read in a second, if it is slow: not so slow that a Pong behind what the system
    /// buffers is late.
    pub speed: Option<usize>,
    /// How it ends.
    pub ending: Ending,
    /// When, if not when all is done.
    pub ends_after: Option<Duration>,
    /// For its own choices.
    pub random: Random,
}

/// A room's sender and receivers.
#[derive(Debug)]
pub struct RoomPlan {
    pub sender: Behaviour,
    /// Each with the time it waits before it comes.
    pub receivers: Vec<(Duration, Behaviour)>,
}

/// Choices, and bytes to send.
#[derive(Debug)]
pub struct Random {
    rng: StdRng,
    noise: Rc<Noise>,
}

/// What messages are cut from: making new bytes for each would take the time of many.
#[derive(Debug)]
pub struct Noise {
    bytes: Vec<u8>,
    text: String,
}

impl Random {
    pub fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut bytes = vec![0; 2 * LONGEST];
        rng.fill(&mut bytes[..]);
        let characters = ['a', 'Z', '7', '"', 'é', 'ß', '語', '🦀'];
        let text = bytes.iter().map(|byte| characters[usize::from(byte % 8)]);
        let text = text.collect();
        let noise = Rc::new(Noise { bytes, text });
        Self { rng, noise }
    }

    /// An independent source of choices.
    pub fn fork(&mut self) -> Self {
        Self {
            rng: StdRng::seed_from_u64(self.rng.random()),
            noise: Rc::clone(&self.noise),
        }
    }

    pub fn room(&mut self) -> RoomPlan {
        let receivers = self.rng.random_range(1..=6);
        let sender = self.behaviour(10, &[Ending::Close, Ending::HangUp, Ending::BadText]);
        let receivers = (0..receivers).map(|_| {
            let comes_after = self.millis(0..1500);
            let clean = [Ending::Close, Ending::Close, Ending::HangUp];
            (comes_after, self.behaviour(3, &clean))
        });
        RoomPlan {
            receivers: receivers.collect(),
            sender,
        }
    }

    /// Somebody who ends when all is done, and in a `clean` way, but for one of `one_in`.
    fn behaviour(&mut self, one_in: u32, clean: &[Ending]) -> Behaviour {
        let faults = [
            (8, Ending::Close),
            (8, Ending::HangUp),
            (8, Ending::MidMessage),
            (8, Ending::Reset),
            (6, Ending::BadText),
            (1, Ending::Stall),
        ];
        let faulty = self.rng.random_ratio(1, one_in);
        let ending = match faulty {
            true => self.weighted(&faults),
            false => clean[self.rng.random_range(0..clean.len())],
        };
        Behaviour {
            messages: self.rng.random_range(1..12),
            speed: (self.rng.random_ratio(1, 5)).then(|| self.rng.random_range(400_000..3_000_000)),
            ending,
            ends_after: faulty.then(|| self.millis(0..2500)),
            random: self.fork(),
        }
    }

    fn weighted<T: Copy>(&mut self, choices: &[(u32, T)]) -> T {
        let sum = choices.iter().map(|&(weight, _)| weight).sum();
        let mut drawn = self.rng.random_range(0..sum);
        for &(weight, choice) in choices {
            if drawn < weight {
                return choice;
            }
            drawn -= weight;
        }
        unreachable!("the draw is below the sum");
    }

    pub fn millis(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.rng.random_range(range))
    }

    /// A message that begins with `label`, or an empty one where that is allowed.
    pub fn message(&mut self, label: &str, may_be_empty: bool) -> Message {
        let length = match self.rng.random_range(0..100) {
            0..5 if may_be_empty => return Message::text(""),
            0..50 => self.rng.random_range(0..200),
            50..80 => self.rng.random_range(0..64 << 10),
            80..97 => self.rng.random_range(0..1 << 20),
            _ => self.rng.random_range(0..LONGEST),
        };
        let start = self.rng.random_range(0..LONGEST);
        if self.rng.random() {
            let text = &self.noise.text;
            let (start, end) = (text.floor_char_boundary(start), start + length);
            let body = &text[start..text.floor_char_boundary(end).max(start)];
            Message::text([label, body].concat())
        } else {
            let body = &self.noise.bytes[start..start + length];
            Message::binary([label.as_bytes(), body].concat())
        }
    }

    /// Where to cut a message into frames: the lengths of all but the last. Most are not cut.
    pub fn cuts(&mut self, length: usize) -> Vec<usize> {
        if self.rng.random_ratio(3, 4) {
            return Vec::new();
        }
        let count = self.rng.random_range(1..6);
        (0..count)
            .map(|_| self.rng.random_range(0..=length / 3))
            .collect()
    }
}
