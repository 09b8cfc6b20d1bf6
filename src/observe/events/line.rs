//! How an event looks in the file: one JSON object on one line, with what is known of it. All text in it is
//! of the relay's own making, or of its settings.

use std::net::IpAddr;

use ipnet::IpNet;
use relay_wire::{ending::Ending, reply::PeerId};
use serde::Serialize;

use super::queue::Told;
use crate::config::Addresses;

#[derive(Serialize)]
struct Line<'a> {
    ts: String,
    run: &'a str,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Ending>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_id: Option<PeerId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
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
}

/// Adds the line of an event of this run to others.
pub(super) fn write(lines: &mut Vec<u8>, run: &str, (time, event): &Told, addresses: Addresses) {
    let visitor = event.visitor.as_ref();
    let key = visitor.and_then(|it| it.key.as_ref());
    let line = Line {
        ts: format!("{time:.3}"),
        run,
        event: event.kind.name(),
        reason: event.reason,
        room: event.room.map(|room| room.to_string()),
        session: event.session.map(|session| session.0),
        peer_id: event.peer,
        address: visitor.and_then(|it| shown(it.address, addresses)),
        key: key.map(|key| key.name()),
        receivers: event.receivers,
        // In milliseconds, which are exact in so far as a number of seconds can be.
        duration: event.duration.map(|it| it.as_millis() as f64 / 1000.0),
        bytes: event.passed.map(|it| it.down + it.up),
        bytes_down: event.passed.map(|it| it.down),
        bytes_up: event.passed.map(|it| it.up),
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
fn shown(address: IpAddr, addresses: Addresses) -> Option<String> {
    let len = match address {
        IpAddr::V4(_) => 24,
        IpAddr::V6(_) => 48,
    };
    match addresses {
        Addresses::None => None,
        Addresses::Full => Some(address.to_string()),
        // No longer than an address of its kind.
        Addresses::Truncated => IpNet::new(address, len)
            .ok()
            .map(|net| net.trunc().to_string()),
    }
}
