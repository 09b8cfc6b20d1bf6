//! What Pongs show, how the window follows, and that it never waits for a Pong that nobody owes.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const MBIT: u64 = 125_000;

/// A line with a rate and a round trip, at whose other end every Ping is answered.
struct Line {
    arrival: Arrival,
    start: Instant,
    now: Duration,
    /// Bytes a second, and the time there and back.
    rate: u64,
    round_trip: Duration,
    written: u64,
    /// Bytes of each frame.
    frame: usize,
    number: u64,
    /// When the last byte that was written is through.
    through: Duration,
    /// Pongs on their way: when they come, and to which Ping.
    pongs: VecDeque<(Duration, u64)>,
}

impl Line {
    fn new(rate: u64, round_trip: Duration) -> Self {
        Self {
            arrival: Arrival::default(),
            start: Instant::now(),
            now: Duration::ZERO,
            rate,
            round_trip,
            written: 0,
            frame: 4096,
            number: 0,
            through: Duration::ZERO,
            pongs: VecDeque::new(),
        }
    }

    /// Writes all that may be written, with its marks.
    fn write(&mut self) {
        loop {
            if self.arrival.until_mark(self.written) == 0 {
                self.number += 1;
                let place = self.written + 10;
                let now = self.start + self.now;
                self.arrival.pinged(self.number, place, place, now, now);
                self.send(10);
                self.pongs
                    .push_back((self.through + self.round_trip, self.number));
            }
            match self.arrival.room(self.written, self.frame) {
                0 => return,
                _ => self.send(self.frame as u64),
            }
        }
    }

    fn send(&mut self, bytes: u64) {
        self.written += bytes;
        let time = Duration::from_secs_f64(bytes as f64 / self.rate as f64);
        self.through = self.through.max(self.now) + time;
    }

    /// Lets the next Pong come. Returns how long a Ping would have taken that was sent just before.
    fn pong(&mut self) -> Duration {
        let late = self.through.saturating_sub(self.now) + self.round_trip;
        let (at, number) = self.pongs.pop_front().unwrap();
        self.now = at;
        self.arrival.ponged(number, self.start + at);
        late
    }

    /// Runs for so long; returns the bytes that have arrived in it, and the longest time a Ping took.
    fn run(&mut self, time: Duration) -> (u64, Duration) {
        let (end, before) = (self.now + time, self.arrival.payload());
        let mut longest = Duration::ZERO;
        while self.now < end {
            self.write();
            longest = longest.max(self.pong());
        }
        (self.arrival.payload() - before, longest)
    }
}

#[test]
fn a_ping_is_answered_in_time_on_any_line_that_is_fast_enough() {
    for rate in [MBIT / 10, MBIT / 4, MBIT, 20 * MBIT, 1000 * MBIT] {
        for frame in [4096, 32 * 1024 + 4] {
            let mut line = Line::new(rate, Duration::from_millis(50));
            line.frame = frame;
            let (arrived, longest) = line.run(Duration::from_secs(60));
            assert!(longest < Duration::from_secs(5), "{rate}: {longest:?}");
            assert!(arrived > 60 * rate * 95 / 100, "{arrived} at {rate}");
        }
    }
}

#[test]
fn a_long_line_is_full_after_its_first_second() {
    for rate in [MBIT, 100 * MBIT, 1000 * MBIT] {
        let mut line = Line::new(rate, Duration::from_millis(100));
        line.run(Duration::from_secs(1));
        let (arrived, _) = line.run(Duration::from_secs(2));
        assert!(arrived > 2 * rate * 9 / 10, "{arrived} of {}", 2 * rate);
    }
}

#[test]
fn a_line_that_turns_slow_is_followed() {
    let mut line = Line::new(100 * MBIT, Duration::from_millis(50));
    line.run(Duration::from_secs(5));
    line.rate = MBIT;
    // What is on its way has to arrive first.
    line.run(Duration::from_secs(300));
    let (arrived, longest) = line.run(Duration::from_secs(20));
    assert!(longest < Duration::from_secs(5), "{longest:?}");
    assert!(arrived > 18 * MBIT);
}

#[test]
fn a_burst_that_a_slow_line_lets_through_does_not_open_the_window() {
    let mut line = Line::new(1000 * MBIT, Duration::from_millis(20));
    while line.arrival.payload() < 256 * 1024 {
        line.write();
        line.pong();
    }
    line.rate = MBIT;
    let (_, longest) = line.run(Duration::from_secs(30));
    assert!(longest < Duration::from_secs(6), "{longest:?}");
}

#[test]
fn one_pong_answers_for_all_pings_before_it() {
    let (mut arrival, start) = (Arrival::default(), Instant::now());
    let at = |seconds| start + Duration::from_secs(seconds);
    for number in 1..=3 {
        arrival.pinged(number, 3000 * number, 900 * number, at(number), at(number));
    }
    let shown = |payload, took, behind_data| Shown {
        payload,
        took: Some(Duration::from_secs(took)),
        behind_data,
    };
    assert_eq!(arrival.ponged(2, at(7)), shown(1800, 5, true));
    assert_eq!(arrival.ponged(2, at(8)), Shown::default());
    assert_eq!(arrival.ponged(3, at(9)), shown(900, 6, true));
    assert_eq!(arrival.payload(), 2700);
    arrival.pinged(4, 9000 + CLOSEST, 2800, at(10), at(10));
    assert_eq!(arrival.ponged(4, at(11)), shown(100, 1, false));
    // Of what went four seconds ago nothing is on its way any more.
    arrival.pinged(5, 10_000 + 2 * CLOSEST, 2900, at(16), at(20));
    assert_eq!(arrival.ponged(5, at(21)), shown(100, 1, false));
    arrival.pinged(6, 10_001 + 3 * CLOSEST, 2900, at(28), at(30));
    assert_eq!(arrival.ponged(6, at(31)), shown(0, 1, true));
}

#[test]
fn a_pong_is_awaited_that_has_data_in_front_of_it() {
    let (mut arrival, now) = (Arrival::default(), Instant::now());
    arrival.pinged(1, 100, 0, now, now);
    assert!(!arrival.is_awaited(), "a Ping in silence");
    arrival.pinged(2, 100 + CLOSEST, CLOSEST, now, now);
    assert!(arrival.is_awaited());
    arrival.ponged(1, now);
    assert!(!arrival.is_awaited());
}

#[test]
fn marks_are_bounded_and_leave_no_memory_behind() {
    let (mut arrival, now) = (Arrival::default(), Instant::now());
    for number in 1..=10_000 {
        arrival.pinged(number, number, 0, now, now);
    }
    assert!(arrival.marks.len() == MOST_MARKS && arrival.marks.capacity() <= 2 * MOST_MARKS);
    assert!(arrival.until_mark(1 << 40) > 0, "no further mark is due");
    arrival.ponged(10_000, now);
    assert_eq!(arrival.marks.capacity(), 0);
}

#[test]
fn what_is_written_past_the_window_has_its_marks() {
    let (mut arrival, now) = (Arrival::default(), Instant::now());
    let (mut written, mut number) = (0, 0);
    while written < 16 << 20 {
        if arrival.until_mark(written) == 0 {
            number += 1;
            arrival.pinged(number, written, written, now, now);
        }
        written += 4096;
    }
    let last = arrival.marks.back().unwrap().place;
    assert!(arrival.marks.len() <= MOST_MARKS && written - last < 1 << 20);
}

#[test]
fn frames_are_short_while_the_line_may_be_slow() {
    let mut line = Line::new(MBIT / 10, Duration::from_millis(50));
    line.run(Duration::from_secs(30));
    let longest = line.arrival.longest_frame();
    assert!(longest.is_some_and(|longest| longest <= 5000));
    let mut line = Line::new(20 * MBIT, Duration::from_millis(50));
    line.run(Duration::from_secs(5));
    assert_eq!(line.arrival.longest_frame(), None);
}

proptest! {
    /// Where nothing may be written, a Pong is due.
    #[test]
    fn nothing_waits_for_a_pong_that_is_not_due(
        rates in prop::collection::vec(1_000_u64..1_000_000_000, 1..8),
        millis in 0_u64..2000,
    ) {
        let mut line = Line::new(1, Duration::from_millis(millis));
        for rate in rates {
            line.rate = rate;
            for _ in 0..50 {
                line.write();
                prop_assert!(!line.pongs.is_empty());
                let marks = line.arrival.marks.len();
                prop_assert!(marks > 0 && marks <= MOST_MARKS);
                line.pong();
            }
        }
    }
}
