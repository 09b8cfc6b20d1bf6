//! Answers as a person reads them.

use std::{
    cmp::Reverse,
    io::{self, ErrorKind, Write},
};

use super::{
    api::{Client, Room, RoomList, Share, Slow, SlowCounts, Status, Verdict, Who},
    table::{Head, Table},
    units::{bytes, counted, time},
};
use crate::{cluster::view::View, limits::rules::Decided};

/// Addresses that a list for a person has at most. The whole list is in the JSON.
const MOST_SHOWN: usize = 40;
/// Blocks and limits that a status has of each.
const FEW: usize = 2;
/// Columns of a screen.
const SCREEN: usize = 80;

/// Prints what was answered. Returns whether anybody reads it: who has stopped has read enough.
///
/// # Errors
///
/// Where it cannot be printed, in a sentence.
pub(super) fn print(text: &str) -> Result<bool, String> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(format!("this cannot be printed: {error}")),
    }
}

/// One screen on how a relay is.
pub(super) fn status(it: &Status) -> String {
    let mut text = format!("{}\n", headline(it));
    for trouble in &it.troubles {
        text += &format!("  {trouble}\n");
    }
    text += &format!("\n{}\n{}\n", load(it), transfers(it));
    if let Some(it) = &it.cluster {
        text += &format!("\n{}", cluster(it));
    }
    if !it.clients.is_empty() {
        text += &format!("\n{}", clients(&it.clients).text(SCREEN));
    }
    if !it.busiest_rooms.is_empty() {
        text += &format!("\n{}", rooms(&it.busiest_rooms).text(SCREEN));
    }
    if !it.refusals.is_empty() {
        text += &format!("\nrefused so far: {}\n", refusals(it));
    }
    let (blocks, limits) = (it.decided.blocks.len(), it.decided.limits.len());
    if blocks + limits > 0 {
        let kept = match it.kept {
            true => "",
            false => ", not beyond a restart",
        };
        let counts = [(blocks, "blocked"), (limits, "limited")].map(|(count, what)| {
            let networks = counted(count as u64, "network");
            format!("{networks} {what}")
        });
        text += &format!("\n{}{kept}\n", counts.join(", "));
        text += &decided(&Decided {
            blocks: it.decided.blocks.iter().take(FEW).cloned().collect(),
            limits: it.decided.limits.iter().take(FEW).cloned().collect(),
        });
        if blocks.max(limits) > FEW {
            text += "… (claude-distill-relay block lists them all)\n";
        }
    }
    text
}

/// Whether it is well, since when, and which version it is.
pub(super) fn headline(it: &Status) -> String {
    let well = if it.troubles.is_empty() {
        "All is well"
    } else {
        "Not all is well"
    };
    let (up, version) = (time(it.uptime_seconds), &it.version);
    format!("{well}; up {up}, version {version}")
}

/// How much there is of what.
pub(super) fn load(it: &Status) -> String {
    format!(
        "sessions {} of {}, rooms {} of {}, buffered {} of {}; {} connections a second",
        it.sessions.now,
        it.sessions.most,
        it.rooms.now,
        it.rooms.most,
        bytes(it.buffered_bytes.now),
        bytes(it.buffered_bytes.most),
        it.handshakes_per_sec,
    )
}

/// How fast bytes move, and what keeps them.
pub(super) fn transfers(it: &Status) -> String {
    let SlowCounts {
        sender,
        receiver,
        both,
        limit,
    } = it.slow;
    let slow = [
        (sender, "by the sender"),
        (receiver, "by the receiver"),
        (both, "by both"),
        (limit, "by a limit"),
    ];
    let slow: Vec<_> = slow
        .into_iter()
        .filter(|&(count, _)| count > 0)
        .map(|(count, why)| format!("{count} {why}"))
        .collect();
    let slow = match slow.as_slice() {
        [] => String::new(),
        slow => format!("; held up: {}", slow.join(", ")),
    };
    format!(
        "in {}/s, out {}/s; {}, {} waiting{slow}",
        bytes(it.received_bytes_per_sec),
        bytes(it.sent_bytes_per_sec),
        counted(it.pairs, "pair"),
        it.waiting,
    )
}

/// The cluster: what NATS says, and a line for each node.
pub(super) fn cluster(it: &View) -> String {
    let nats = &it.nats;
    let how = match (&nats.server, nats.reached) {
        (Some(server), _) => format!("over NATS at {server}"),
        (None, true) => "another node has this one's address, over NATS".to_owned(),
        (None, false) => "NATS is not reached".to_owned(),
    };
    let mut text = format!(
        "cluster: {how}, for {}; this node is {}, {} in rooms of others\n",
        time(nats.seconds),
        it.address,
        counted(it.pipes, "client"),
    );
    for node in it.nodes.iter().take(MOST_SHOWN) {
        let reached = match node.reachable {
            Some(true) => "reached from here",
            Some(false) => "not reached from here",
            None => "not looked at",
        };
        let doubt = match node.doubtful {
            true => ", behind with an answer",
            false => "",
        };
        let heard = match node.silent {
            true => format!("not heard of for {}", time(node.heard_seconds)),
            false => "heard of".to_owned(),
        };
        text += &format!("  {} is {heard}{doubt}, {reached}\n", node.address);
    }
    if let Some(complaint) = &nats.complaint {
        let (what, ago) = (&complaint.text, time(complaint.seconds));
        text += &format!("  NATS complained {ago} ago: {what}\n");
    }
    text
}

/// What was refused, the most frequent first.
pub(super) fn refusals(it: &Status) -> String {
    let mut refusals: Vec<_> = it.refusals.iter().collect();
    refusals.sort_by_key(|it| Reverse((it.per_sec, it.count)));
    let refusals = refusals.into_iter().map(|it| match it.per_sec {
        0 => format!("{} {}", it.count, it.reason),
        now => format!("{} {} (+{now}/s)", it.count, it.reason),
    });
    refusals.collect::<Vec<_>>().join(", ")
}

/// The rooms.
pub(super) fn room_list(it: &RoomList) -> String {
    if it.rooms.is_empty() {
        return "There are no rooms.\n".to_owned();
    }
    let shown = &it.rooms[..it.rooms.len().min(MOST_SHOWN)];
    rooms(shown).text(usize::MAX) + &rest(it.count, shown.len(), "rooms")
}

/// Who uses the relay.
pub(super) fn who(it: &Who) -> String {
    if it.clients.is_empty() {
        return "Nobody is here, and nobody was.\n".to_owned();
    }
    let shown = &it.clients[..it.clients.len().min(MOST_SHOWN)];
    clients(shown).text(usize::MAX) + &rest(it.count, shown.len(), "addresses")
}

fn rest(count: u64, shown: usize, what: &str) -> String {
    match count.saturating_sub(shown as u64) {
        0 => String::new(),
        more => format!("… and {more} more {what} (--json has a thousand)\n"),
    }
}

/// What is decided, a line for each network.
pub(super) fn decided(it: &Decided) -> String {
    let blocks = it.blocks.iter().map(|block| match block.until {
        Some(until) => format!("{} is blocked until {until:.0}\n", block.network),
        None => format!("{} is blocked until it is unblocked\n", block.network),
    });
    let limits = it.limits.iter().map(|limit| {
        let pace = bytes(limit.bytes_per_sec);
        format!("{} is read at {pace} a second\n", limit.network)
    });
    blocks.chain(limits).collect()
}

/// What heads the columns of rooms.
const ROOM_HEADS: [Head; 11] = [
    ("room", 0),
    ("age", 7),
    ("sender", 3),
    ("receiver", 4),
    ("receivers", 8),
    ("down", 9),
    ("up", 10),
    ("down/s", 2),
    ("up/s", 6),
    ("untaken", 5),
    ("slow", 1),
];

/// A room, by those columns.
fn room_row(it: &Room) -> [String; 11] {
    let who = |address: &Option<String>| address.clone().unwrap_or_else(nothing);
    [
        it.room.clone(),
        time(it.age_seconds),
        who(&it.sender),
        who(&it.receiver),
        match it.waiting {
            0 => it.receivers.to_string(),
            waiting => format!("{} ({waiting} wait)", it.receivers),
        },
        bytes(it.down_bytes),
        bytes(it.up_bytes),
        it.down_bytes_per_sec.map_or_else(nothing, bytes),
        it.up_bytes_per_sec.map_or_else(nothing, bytes),
        bytes(it.untaken_bytes),
        it.slow
            .map_or_else(nothing, |side| name_of(side).to_owned()),
    ]
}

fn nothing() -> String {
    "-".to_owned()
}

fn name_of(side: Slow) -> &'static str {
    match side {
        Slow::Sender => "sender",
        Slow::Receiver => "receiver",
        Slow::Both => "both",
        Slow::Limit => "limit",
    }
}

/// What heads the columns of addresses.
const CLIENT_HEADS: [Head; 10] = [
    ("address", 0),
    ("sessions", 2),
    ("rooms", 6),
    ("connects", 3),
    ("refused", 7),
    ("in", 8),
    ("out", 9),
    ("in/s", 4),
    ("out/s", 5),
    ("largest share", 1),
];

/// An address, by those columns.
fn client_row(it: &Client) -> [String; 10] {
    let connects = match it.handshakes_per_sec {
        0 => it.handshakes.to_string(),
        now => format!("{} (+{now}/s)", it.handshakes),
    };
    let what = match it.share_of {
        Share::Sessions => "sessions",
        Share::Rooms => "rooms",
        Share::Bytes => "bytes",
        Share::Handshakes => "connects",
    };
    let verdict = match it.decided {
        None => "",
        Some(Verdict::Blocked) => ", blocked",
        Some(Verdict::Limited) => ", limited",
    };
    [
        it.address.clone(),
        it.sessions.to_string(),
        it.rooms.to_string(),
        connects,
        it.refused.to_string(),
        bytes(it.received_bytes),
        bytes(it.sent_bytes),
        bytes(it.received_bytes_per_sec),
        bytes(it.sent_bytes_per_sec),
        format!("{} % of {what}{verdict}", it.share_percent),
    ]
}

/// Rooms, a row each.
pub(super) fn rooms(rooms: &[Room]) -> Table<11> {
    Table::new(ROOM_HEADS, rooms.iter().map(room_row))
}

/// Addresses, a row each.
pub(super) fn clients(clients: &[Client]) -> Table<10> {
    Table::new(CLIENT_HEADS, clients.iter().map(client_row))
}

/// A sentence, in as many lines as it takes in this width.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let (mut lines, mut left) = (Vec::new(), text);
    loop {
        // The first character that has no room.
        let end = left.char_indices().nth(width.max(1));
        let Some((end, next)) = end else {
            lines.push(left.to_owned());
            return lines;
        };
        let blank = match next {
            ' ' => Some(end),
            _ => left[..end].rfind(' ').filter(|&blank| blank > 0),
        };
        let cut = blank.unwrap_or(end);
        lines.push(left[..cut].to_owned());
        left = left[cut..].trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_decided_has_a_line_for_each_network() {
        let json = r#"{
            "blocks": [
                {"network": "192.0.2.0/24", "until": "2026-01-02T03:04:05.6Z"},
                {"network": "2001:db8::/64", "until": null}
            ],
            "limits": [{"network": "192.0.2.7", "bytes_per_sec": 65536}]
        }"#;
        let it = serde_json::from_str(json).unwrap_or_default();
        assert_eq!(
            decided(&it),
            "192.0.2.0/24 is blocked until 2026-01-02T03:04:05Z\n\
             2001:db8::/64 is blocked until it is unblocked\n\
             192.0.2.7 is read at 64 KiB a second\n"
        );
    }

    #[test]
    fn a_sentence_is_cut_at_its_blanks_if_it_has_any() {
        assert_eq!(wrapped("one two three", 80), ["one two three"]);
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("one two three", 4), ["one", "two", "thre", "e"]);
        assert_eq!(wrapped("äöü äöü", 2), ["äö", "ü", "äö", "ü"]);
        assert_eq!(wrapped("ab", 0), ["a", "b"]);
        assert_eq!(wrapped("", 3), [""]);
    }
}
