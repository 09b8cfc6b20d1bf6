//! What the operator's page shows: how the relay is now, and how it was in the last hour.
//!
//! A [`Sample`] is taken every ten seconds, of what is counted anyway. Whoever asks for the page gets the
//! samples of an hour and one of that moment, as a [`Status`]. Who takes them is `process::sampling`, what
//! the page makes of them `http::status`.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::metrics::refusals;
use crate::version;

/// How far samples lie apart.
pub const EVERY: Duration = Duration::from_secs(10);
/// How far back they go.
const HOUR: Duration = Duration::from_secs(3600);

/// The relay at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// When that was.
    pub at: Instant,
    /// Sessions whose socket was open.
    pub sessions: usize,
    /// Rooms that were open.
    pub rooms: usize,
    /// Bytes of memory that the process had.
    pub memory: u64,
    /// Bytes of payload taken from clients, up to then.
    pub taken: u64,
    /// Bytes of payload given to their peers, up to then.
    pub given: u64,
    /// Requests and handshakes refused up to then, for each of [`refusals::reasons`].
    pub refused: Vec<u64>,
}

/// The samples of the last hour, from the oldest on.
#[derive(Debug, Default)]
pub struct History(VecDeque<Sample>);

impl History {
    /// Adds the latest sample. Of those that are an hour old the latest is kept, so that the hour has a
    /// beginning.
    pub fn add(&mut self, sample: Sample) {
        let is_old = |of: &Sample| sample.at.duration_since(of.at) >= HOUR;
        while self.0.get(1).is_some_and(is_old) {
            self.0.pop_front();
        }
        self.0.push_back(sample);
    }
}

/// Of something, how much there is and may be.
#[derive(Debug, Serialize)]
pub struct Level {
    /// How much there is.
    pub now: u64,
    /// How much there may be.
    pub most: u64,
}

/// What a relay is at one moment beside what is in a [`Sample`].
pub struct Moment {
    /// The sample of the moment.
    pub sample: Sample,
    /// When the relay began.
    pub began: Instant,
    /// What there may be of sessions, rooms and bytes of memory.
    pub most: [u64; 3],
    /// Bytes of payload that are neither given nor dropped.
    pub held: u64,
    /// Bytes of payload that went to nobody.
    pub dropped: u64,
    /// While the relay stops, how long pairs still have.
    pub stops_in: Option<Duration>,
    /// Why nobody new is served, if so.
    pub unready: Option<&'static str>,
}

/// All that the page shows. Times are in seconds, sizes in bytes.
#[derive(Debug, Serialize)]
pub struct Status {
    version: &'static str,
    uptime: u64,
    stops_in: Option<u64>,
    unready: Option<&'static str>,
    sessions: Level,
    rooms: Level,
    memory: Level,
    payload: Payload,
    refusals: Vec<Refusals>,
    hour: Hour,
}

/// What has become of the payload since the relay began, in bytes.
#[derive(Debug, Serialize)]
struct Payload {
    taken: u64,
    given: u64,
    dropped: u64,
    held: u64,
}

/// How often something was refused, for one reason.
#[derive(Debug, Serialize)]
struct Refusals {
    reason: &'static str,
    /// Within the last hour.
    hour: u64,
    /// Since the relay began.
    all: u64,
}

/// The last hour and this moment: how long ago each sample was taken, and what it says. What has been
/// counted, it has up to then.
#[derive(Debug, Default, Serialize)]
struct Hour {
    ago: Vec<f64>,
    sessions: Vec<usize>,
    rooms: Vec<usize>,
    memory: Vec<u64>,
    taken: Vec<u64>,
    given: Vec<u64>,
    refused: Vec<u64>,
}

impl Hour {
    fn of<'a>(samples: impl Iterator<Item = &'a Sample>, now: Instant) -> Self {
        let mut hour = Self::default();
        for sample in samples {
            let ago = now.saturating_duration_since(sample.at);
            hour.ago.push((ago.as_secs_f64() * 10.0).round() / 10.0);
            hour.sessions.push(sample.sessions);
            hour.rooms.push(sample.rooms);
            hour.memory.push(sample.memory);
            hour.taken.push(sample.taken);
            hour.given.push(sample.given);
            hour.refused.push(sample.refused.iter().sum());
        }
        hour
    }
}

impl Status {
    /// How a relay is at this moment, after this history.
    pub fn new(moment: &Moment, history: &History) -> Self {
        let now = &moment.sample;
        let [sessions, rooms, memory] = moment.most;
        let level = |now, most| Level { now, most };
        Self {
            version: version::SHOWN,
            uptime: now.at.saturating_duration_since(moment.began).as_secs(),
            stops_in: moment.stops_in.map(|left| left.as_secs()),
            unready: moment.unready,
            sessions: level(now.sessions as u64, sessions),
            rooms: level(now.rooms as u64, rooms),
            memory: level(now.memory, memory),
            payload: Payload {
                taken: now.taken,
                given: now.given,
                dropped: moment.dropped,
                held: moment.held,
            },
            refusals: refused(now, history.0.front()),
            hour: Hour::of(history.0.iter().chain([now]), now.at),
        }
    }
}

/// What was refused at all, by why.
fn refused(now: &Sample, before: Option<&Sample>) -> Vec<Refusals> {
    let before = before.map_or(&[][..], |sample| &sample.refused);
    let before = before.iter().copied().chain(std::iter::repeat(0));
    let counts = now.refused.iter().copied().zip(before);
    refusals::reasons()
        .zip(counts)
        .filter(|(_, (all, _))| *all > 0)
        .map(|(ending, (all, before))| Refusals {
            reason: ending.name(),
            hour: all - before,
            all,
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use relay_wire::ending::Ending;
    use serde_json::{Value, json};

    use super::*;

    fn sample(at: Instant, count: u64) -> Sample {
        let refused = |ending| {
            if ending == Ending::RoomNotFound {
                count
            } else {
                0
            }
        };
        Sample {
            at,
            sessions: count as usize,
            rooms: 1,
            memory: 1 << 20,
            taken: 100 * count,
            given: 90 * count,
            refused: refusals::reasons().map(refused).collect(),
        }
    }

    fn shown(history: &History, began: Instant, now: Sample) -> Value {
        let moment = Moment {
            sample: now,
            began,
            most: [10, 20, 30],
            held: 3,
            dropped: 7,
            stops_in: None,
            unready: None,
        };
        serde_json::to_value(Status::new(&moment, history)).unwrap()
    }

    #[test]
    fn a_relay_that_has_just_begun_shows_this_moment() {
        let now = Instant::now();
        let shown = shown(&History::default(), now, sample(now, 5));
        assert_eq!(shown["uptime"], 0);
        assert_eq!(shown["sessions"], json!({"now": 5, "most": 10}));
        let payload = json!({"taken": 500, "given": 450, "dropped": 7, "held": 3});
        assert_eq!(shown["payload"], payload);
        let refusals = json!([{"reason": "room_not_found", "hour": 5, "all": 5}]);
        assert_eq!(shown["refusals"], refusals);
        assert_eq!(shown["hour"]["ago"], json!([0.0]));
    }

    #[test]
    fn an_hour_has_a_beginning_and_no_more_samples_than_fit() {
        let began = Instant::now();
        let mut history = History::default();
        for turn in 0..1000 {
            history.add(sample(began + turn * EVERY, u64::from(turn)));
            assert!(history.0.len() <= 361, "{}", history.0.len());
        }
        // Four seconds after the last of them, which was 999.
        let now = began + 999 * EVERY + Duration::from_secs(4);
        let shown = shown(&history, began, sample(now, 1000));
        assert_eq!(shown["uptime"], 9994);
        let ago = shown["hour"]["ago"].as_array().unwrap();
        assert_eq!((ago.len(), &ago[0]), (362, &json!(3604.0)));
        assert_eq!(ago[360..], [json!(4.0), json!(0.0)]);
        assert_eq!(shown["hour"]["taken"][0], 63_900);
        let refusals = json!([{"reason": "room_not_found", "hour": 361, "all": 1000}]);
        assert_eq!(shown["refusals"], refusals);
    }

    #[test]
    fn after_a_pause_of_the_process_the_last_sample_before_it_is_the_beginning() {
        let began = Instant::now();
        let mut history = History::default();
        for seconds in [0, 10, 20, 9000, 9010] {
            history.add(sample(began + Duration::from_secs(seconds), seconds));
        }
        let at: Vec<_> = history.0.iter().map(|sample| sample.sessions).collect();
        assert_eq!(at, [20, 9000, 9010]);
    }
}
