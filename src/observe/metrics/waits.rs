//! Whom sessions wait for, and how long the way to clients is.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        MetricType, counter::ConstCounter, family::Family, gauge::ConstGauge, histogram::Histogram,
    },
    registry::{Registry, Unit},
};

use super::lasting::Lasting;
use crate::rooms::Role;

/// By whose fault a session is not read, whose client may have more to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Its receiver's, which takes nothing.
    Receiver,
    /// Its sender's, which takes nothing.
    Sender,
    /// Nobody's: its turn in its room's queue has not come.
    Queue,
    /// The relay's own: it has sent as much as it may.
    Limit,
}

impl Fault {
    /// All of them, with their labels.
    const ALL: [(Self, &str); 4] = [
        (Self::Receiver, "receiver"),
        (Self::Sender, "sender"),
        (Self::Queue, "queue"),
        (Self::Limit, "limit"),
    ];
}

/// The roles, with their labels.
const ROLES: [(Role, &str); 2] = [(Role::Sender, "sender"), (Role::Receiver, "receiver")];

/// Seconds of a round trip, from a local network to a line that is given up.
const ROUND_TRIPS: [f64; 15] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Behind {
    behind: &'static str,
}

/// The counters.
pub struct Waits {
    times: Arc<Times>,
    round_trips: Family<Behind, Histogram>,
}

#[derive(Debug)]
struct Times {
    paused: [Lasting; Fault::ALL.len()],
    untaken: [Lasting; ROLES.len()],
}

impl Waits {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let start = Instant::now();
        let counted = Self {
            times: Arc::new(Times {
                paused: Fault::ALL.map(|_| Lasting::new(start)),
                untaken: ROLES.map(|_| Lasting::new(start)),
            }),
            round_trips: Family::new_with_constructor(|| Histogram::new(ROUND_TRIPS)),
        };
        registry.register_collector(Box::new(Read(Arc::clone(&counted.times))));
        registry.register_with_unit(
            "round_trip",
            "Time from Pings to their Pongs, of sessions that are read: behind nothing that is worth \
             mentioning, which is the line's own, and behind data that were on their way",
            Unit::Seconds,
            counted.round_trips.clone(),
        );
        for behind in [false, true] {
            drop(counted.round_trips.get_or_create(&Behind::new(behind)));
        }
        counted
    }

    /// A session that was read, or not by the fault of `before`, is so from here on by that of `after`.
    pub fn paused(&self, before: Option<Fault>, after: Option<Fault>, now: Instant) {
        let of = |fault: Fault| &self.times.paused[fault as usize];
        pass_on(before.map(of), after.map(of), now);
    }

    /// Something waits from here on for a client of this role to take it, or nothing does, as before.
    pub fn untaken(&self, before: Option<Role>, after: Option<Role>, now: Instant) {
        let of = |role: Role| &self.times.untaken[role as usize];
        pass_on(before.map(of), after.map(of), now);
    }

    /// A Ping was answered after this time, behind data or not.
    pub fn round_trip(&self, time: Duration, behind_data: bool) {
        let trips = self.round_trips.get_or_create(&Behind::new(behind_data));
        trips.observe(time.as_secs_f64());
    }
}

/// What went on ends, and another begins.
fn pass_on(before: Option<&Lasting>, after: Option<&Lasting>, now: Instant) {
    if let Some(before) = before {
        before.ends(now);
    }
    if let Some(after) = after {
        after.begins(now);
    }
}

impl Behind {
    fn new(data: bool) -> Self {
        Self {
            behind: if data { "data" } else { "nothing" },
        }
    }
}

/// Reads the times for each page.
#[derive(Debug)]
struct Read(Arc<Times>);

impl Collector for Read {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let now = Instant::now();
        let faults = Fault::ALL.map(|(fault, name)| {
            let time = self.0.paused[fault as usize].at(now);
            ([("fault", name)], time)
        });
        let roles = ROLES.map(|(role, name)| {
            let time = self.0.untaken[role as usize].at(now);
            ([("whom", name)], time)
        });
        pair(
            &mut encoder,
            ["paused_sessions", "paused"],
            [
                "Sessions that are not read now, by whose fault",
                "Time for which sessions were not read, over all of them, by whose fault: their receiver \
                 takes nothing, their sender does not, they wait in a queue, or they have sent what they may \
                 (RELAY_SESSION_BYTES_PER_SEC, or a limit of their address)",
            ],
            &faults,
        )?;
        pair(
            &mut encoder,
            ["untaken_sessions", "untaken"],
            [
                "Clients in rooms for whom something waits now, by who they are",
                "Time for which something waited for clients in rooms to take it, over all of them, by who \
                 they are; their peers were read on meanwhile, as far as there was memory for it",
            ],
            &roles,
        )
    }
}

/// A label, how many there are of it now, and their seconds.
type Labelled = ([(&'static str, &'static str); 1], (u64, f64));

/// Writes how many there are now, and for how long in all.
fn pair(
    encoder: &mut DescriptorEncoder<'_>,
    names: [&str; 2],
    help: [&str; 2],
    read: &[Labelled],
) -> fmt::Result {
    let mut now = encoder.encode_descriptor(names[0], help[0], None, MetricType::Gauge)?;
    for (label, (count, _)) in read {
        ConstGauge::new(*count).encode(now.encode_family(label)?)?;
    }
    let unit = Some(&Unit::Seconds);
    let mut time = encoder.encode_descriptor(names[1], help[1], unit, MetricType::Counter)?;
    for (label, (_, seconds)) in read {
        ConstCounter::new(*seconds).encode(time.encode_family(label)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_and_each_role_has_its_place() {
        for (place, (fault, _)) in Fault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, place);
        }
        for (place, (role, _)) in ROLES.into_iter().enumerate() {
            assert_eq!(role as usize, place);
        }
    }
}
