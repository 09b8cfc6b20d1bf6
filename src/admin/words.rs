//! Answers as a person reads them.

use std::{
    cmp::Reverse,
    io::{self, ErrorKind, Write},
};

use super::{
    api::{Client, Room, RoomList, Share, Slow, SlowCounts, Status, Verdict, Who},
    units::{bytes, counted, time},
};
use crate::limits::rules::Decided;

/// Addresses that a list for a person has at most. The whole list is in the JSON.
const MOST_SHOWN: usize = 40;

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
    if !it.clients.is_empty() {
        text += &format!("\n{}", clients(&it.clients));
    }
    if !it.busiest_rooms.is_empty() {
        text += &format!("\n{}", rooms(&it.busiest_rooms));
    }
    if !it.refusals.is_empty() {
        text += &format!("\nrefused so far: {}\n", refusals(it));
    }
    let decided = decided(&it.decided);
    if !decided.is_empty() {
        let where_to = match it.kept {
            true => "",
            false => "(not beyond a restart, as there is no RELAY_STATE_DIR)\n",
        };
        text += &format!("\n{decided}{where_to}");
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
    rooms(shown) + &rest(it.count, shown.len(), "rooms")
}

/// Who uses the relay.
pub(super) fn who(it: &Who) -> String {
    if it.clients.is_empty() {
        return "Nobody is here, and nobody was.\n".to_owned();
    }
    let shown = &it.clients[..it.clients.len().min(MOST_SHOWN)];
    clients(shown) + &rest(it.count, shown.len(), "addresses")
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
pub(super) const ROOM_HEADS: [&str; 11] = [
    "room",
    "age",
    "sender",
    "receiver",
    "receivers",
    "down",
    "up",
    "down/s",
    "up/s",
    "untaken",
    "slow",
];

/// A room, by those columns.
pub(super) fn room_row(it: &Room) -> [String; 11] {
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
        bytes(it.down_bytes_per_sec),
        bytes(it.up_bytes_per_sec),
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
pub(super) const CLIENT_HEADS: [&str; 10] = [
    "address",
    "sessions",
    "rooms",
    "connects",
    "refused",
    "in",
    "out",
    "in/s",
    "out/s",
    "largest share",
];

/// An address, by those columns.
pub(super) fn client_row(it: &Client) -> [String; 10] {
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

fn rooms(rooms: &[Room]) -> String {
    table(ROOM_HEADS, rooms.iter().map(room_row))
}

fn clients(clients: &[Client]) -> String {
    table(CLIENT_HEADS, clients.iter().map(client_row))
}

/// Columns as wide as what is in them, two blanks apart; those of numbers end where they do.
fn table<const N: usize>(heads: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<_> = rows.collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([heads[column].len()]).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let is_number = |cell: &str| cell == "-" || cell.starts_with(|c: char| c.is_ascii_digit());
    let numbers: [bool; N] = std::array::from_fn(|column| {
        !matches!(
            heads[column],
            "room" | "address" | "sender" | "receiver" | "largest share"
        ) && rows.iter().all(|row| is_number(&row[column]))
    });
    let line = |cells: [&str; N]| {
        let cells = (0..N).map(|column| {
            let (cell, width) = (cells[column], widths[column]);
            match numbers[column] {
                true => format!("{cell:>width$}"),
                false => format!("{cell:width$}"),
            }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        format!("{}\n", line.trim_end())
    };
    let rows = rows
        .iter()
        .map(|row| line(row.each_ref().map(String::as_str)));
    line(heads) + &rows.collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_numbers_end_where_they_do() {
        let rows = [["a1", "9 B", "-"], ["b", "10 KiB", "sender"]];
        let rows = rows.map(|row| row.map(str::to_owned));
        assert_eq!(
            table(["room", "down", "slow"], rows.into_iter()),
            "room    down  slow\na1       9 B  -\nb     10 KiB  sender\n"
        );
    }

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
}
