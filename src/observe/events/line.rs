//! How an event looks in the file: one JSON object on one line, with what is known of it. All text in it is
//! of the relay's own making, or of its settings and those of other nodes.

use std::{
    fmt::{self, Display},
    net::IpAddr,
};

use ipnet::IpNet;
use jiff::Timestamp;
use relay_wire::{code::RoomCode, ending::Ending, reply::PeerId};
use serde::{Serialize, Serializer};

use super::queue::Told;
use crate::config::Addresses;

/// What is written as text, where it goes and without a copy on its way.
struct Text<T>(T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A moment, to the millisecond.
struct Moment(Timestamp);

impl Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

#[derive(Serialize)]
struct Line<'a> {
    ts: Text<Moment>,
    run: &'a str,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Ending>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<Text<RoomCode>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_id: Option<PeerId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<Text<Shown>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receivers: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_down: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_up: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
}

/// Adds the line of an event of this run to others.
pub(super) fn write(lines: &mut Vec<u8>, run: &str, (time, event): &Told, addresses: Addresses) {
    let visitor = event.visitor.as_ref();
    let key = visitor.and_then(|it| it.key.as_ref());
    let line = Line {
        ts: Text(Moment(*time)),
        run,
        event: event.kind.name(),
        reason: event.reason,
        room: event.room.map(Text),
        session: event.session.map(|session| session.0),
        peer_id: event.peer,
        address: visitor
            .and_then(|it| shown(it.address, addresses))
            .map(Text),
        key: key.map(|key| key.name()),
        receivers: event.receivers,
        // In milliseconds, which are exact in so far as a number of seconds can be.
        duration: event.duration.map(|it| it.as_millis() as f64 / 1000.0),
        bytes: event.passed.map(|it| it.down + it.up),
        bytes_down: event.passed.map(|it| it.down),
        bytes_up: event.passed.map(|it| it.up),
        node: event.node.as_deref(),
    };
    let begun = lines.len();
    // Strings and numbers alone: there is nothing in it that could fail to serialise.
    if serde_json::to_writer(&mut *lines, &line).is_err() {
        lines.truncate(begun);
        return;
    }
    lines.push(b'\n');
}

/// An address as far as it is to be told.
enum Shown {
    Whole(IpAddr),
    Around(IpNet),
}

impl Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(address) => address.fmt(f),
            Self::Around(network) => network.fmt(f),
        }
    }
}

fn shown(address: IpAddr, addresses: Addresses) -> Option<Shown> {
    let len = match address {
        IpAddr::V4(_) => 24,
        IpAddr::V6(_) => 48,
    };
    match addresses {
        Addresses::None => None,
        Addresses::Full => Some(Shown::Whole(address)),
        // No longer than an address of its kind.
        Addresses::Truncated => IpNet::new(address, len)
            .ok()
            .map(|net| Shown::Around(net.trunc())),
    }
}
