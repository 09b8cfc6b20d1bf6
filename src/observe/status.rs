//! What the operator's page shows: how the relay is now, and how it was in the last hour.
//!
//! A [`Sample`] is taken every ten seconds, of what is counted anyway. Whoever asks for the page gets the
//! samples of an hour and one of that moment, as a [`Status`]. Who takes them is `process::sampling`, what
//! the page makes of them `http::status`.

use std::{collections::VecDeque, time::Duration};

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
    /// When that was, from the machine's start, its time asleep included.
    pub at: Duration,
    /// Sessions whose socket was open.
    pub sessions: usize,
    /// Rooms that were open.
    pub rooms: usize,
    /// Bytes of memory that the process had, if that is known.
    pub memory: Option<u64>,
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
    /// Adds the latest sample, in place of what is too old.
    pub fn add(&mut self, sample: Sample) {
        let is_old = |of: &Sample| !is_of_the_hour(of, sample.at);
        while self.0.front().is_some_and(is_old) {
            self.0.pop_front();
        }
        self.0.push_back(sample);
    }

    /// The samples of the hour before `now`.
    fn hour(&self, now: Duration) -> impl Iterator<Item = &Sample> {
        self.0.iter().filter(move |of| is_of_the_hour(of, now))
    }
}

/// Whether a sample is of the hour before `now`, to the nearest sample.
fn is_of_the_hour(sample: &Sample, now: Duration) -> bool {
    now.saturating_sub(sample.at) < HOUR + EVERY
}

/// Of something, how much there is and may be.
#[derive(Debug, Serialize)]
pub struct Level {
    /// How much there is, if that is known.
    pub now: Option<u64>,
    /// How much there may be.
    pub most: u64,
}

/// What a relay is at one moment beside what is in a [`Sample`].
pub struct Moment {
    /// The sample of the moment.
    pub sample: Sample,
    /// When the relay began, as in a [`Sample`].
    pub began: Duration,
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

/// The last hour and this moment: how many milliseconds ago each sample was taken, and what it says. What has
/// been counted, it has up to then.
#[derive(Debug, Default, Serialize)]
struct Hour {
    ago: Vec<u64>,
    sessions: Vec<usize>,
    rooms: Vec<usize>,
    memory: Vec<Option<u64>>,
    taken: Vec<u64>,
    given: Vec<u64>,
    refused: Vec<u64>,
}

impl Hour {
    fn of<'a>(samples: impl Iterator<Item = &'a Sample>, now: Duration) -> Self {
        let mut hour = Self::default();
        for sample in samples {
            let ago = now.saturating_sub(sample.at).as_millis();
            hour.ago.push(u64::try_from(ago).unwrap_or(u64::MAX));
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
        let uptime = now.at.saturating_sub(moment.began);
        // A relay that is younger than that began with nothing.
        let before = history.hour(now.at).next().unwrap_or(now);
        let before = (uptime >= HOUR).then_some(before);
        Self {
            version: version::SHOWN,
            uptime: uptime.as_secs(),
            stops_in: moment.stops_in.map(|left| left.as_secs()),
            unready: moment.unready,
            sessions: level(Some(now.sessions as u64), sessions),
            rooms: level(Some(now.rooms as u64), rooms),
            memory: level(now.memory, memory),
            payload: Payload {
                taken: now.taken,
                given: now.given,
                dropped: moment.dropped,
                held: moment.held,
            },
            refusals: refused(now, before),
            hour: Hour::of(history.hour(now.at).chain([now]), now.at),
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
            // Counts of one answer are read one after the other.
            hour: all.saturating_sub(before),
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

    fn sample(at: Duration, count: u64) -> Sample {
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
            memory: Some(1 << 20),
            taken: 100 * count,
            given: 90 * count,
            refused: refusals::reasons().map(refused).collect(),
        }
    }

    fn shown(history: &History, began: Duration, now: Sample) -> Value {
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

    /// When the relays here began.
    const BEGAN: Duration = Duration::from_secs(86_400);

    #[test]
    fn a_relay_that_has_just_begun_shows_this_moment() {
        let now = BEGAN;
        let shown = shown(&History::default(), now, sample(now, 5));
        assert_eq!(shown["uptime"], 0);
        assert_eq!(shown["sessions"], json!({"now": 5, "most": 10}));
        let payload = json!({"taken": 500, "given": 450, "dropped": 7, "held": 3});
        assert_eq!(shown["payload"], payload);
        let refusals = json!([{"reason": "room_not_found", "hour": 5, "all": 5}]);
        assert_eq!(shown["refusals"], refusals);
        assert_eq!(shown["hour"]["ago"], json!([0]));
    }

    #[test]
    fn what_is_not_known_is_no_figure() {
        let mut now = sample(BEGAN, 1);
        now.memory = None;
        let shown = shown(&History::default(), BEGAN, now);
        assert_eq!(shown["memory"], json!({"now": null, "most": 30}));
        assert_eq!(shown["hour"]["memory"], json!([null]));
    }

    #[test]
    fn an_hour_has_a_beginning_and_no_more_samples_than_fit() {
        let began = BEGAN;
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
        assert_eq!((ago.len(), &ago[0]), (362, &json!(3_604_000)));
        assert_eq!(ago[360..], [json!(4000), json!(0)]);
        assert_eq!(shown["hour"]["taken"][0], 63_900);
        let refusals = json!([{"reason": "room_not_found", "hour": 361, "all": 1000}]);
        assert_eq!(shown["refusals"], refusals);
    }

    #[test]
    fn an_hour_is_no_longer_where_the_machine_was_asleep() {
        let at = |seconds| BEGAN + Duration::from_secs(seconds);
        let mut history = History::default();
        for seconds in [0, 10, 20] {
            history.add(sample(at(seconds), seconds));
        }
        // Looked at before the next sample, and after it.
        let hour = |shown: &Value| {
            (
                shown["refusals"][0]["hour"].clone(),
                shown["hour"]["ago"].clone(),
            )
        };
        let woken = shown(&history, BEGAN, sample(at(9000), 21));
        assert_eq!(hour(&woken), (json!(0), json!([0])));
        assert_eq!(woken["uptime"], 9000);
        history.add(sample(at(9003), 22));
        let later = shown(&history, BEGAN, sample(at(9004), 25));
        assert_eq!(hour(&later), (json!(3), json!([1000, 0])));
        assert_eq!(history.0.len(), 1);
    }

    #[test]
    fn a_count_that_was_read_before_another_is_no_fault() {
        let later = BEGAN + 2 * HOUR;
        let mut history = History::default();
        history.add(sample(later, 6));
        let shown = shown(&history, BEGAN, sample(later, 5));
        assert_eq!(shown["refusals"][0]["hour"], 0);
    }

    #[test]
    fn a_young_relay_has_all_of_its_refusals_in_its_hour() {
        let mut history = History::default();
        history.add(sample(BEGAN, 2));
        let shown = shown(&history, BEGAN, sample(BEGAN + Duration::from_secs(3), 5));
        assert_eq!(shown["refusals"][0]["hour"], 5);
    }
}
