//! What must hold of a journal, whatever is in its file: reading it never panics, and believes no slot that was
//! changed.

use relay_client::{
    disk::journal::{Journal, Points, Resumed},
    transfer::hex::Hex,
};

const TRANSFER: Hex<16> = Hex([7; 16]);

/// A change: where, of the file, and to what.
pub type Change = (u16, u8);

/// Reads `bytes` as a journal, and one that was written and then changed.
pub fn check(bytes: &[u8], written: &[u8], changes: &[Change]) {
    let transfer = bytes.get(16..32).and_then(|it| it.try_into().ok());
    let transfer = transfer.map_or(TRANSFER, Hex);
    if let Some(points) = Points::parse(bytes, &transfer) {
        points.resumed("boot");
    }
    let mut changed = written.to_vec();
    for &(at, to) in changes {
        // The file is four slots of 20 KiB, of which little is in use.
        let at = (usize::from(at) * 2) % changed.len().max(1);
        if let Some(byte) = changed.get_mut(at) {
            *byte = to;
        }
    }
    let Some(points) = Points::parse(&changed, &TRANSFER) else {
        return;
    };
    if let Some(Resumed::Written(point) | Resumed::Durable(point) | Resumed::Whole(point, _)) =
        points.resumed("boot")
    {
        assert!(point.entries == 1 || point.entries == 2);
        assert_eq!(point.before, point.entries * 1000);
    }
}

/// A journal with two notes of each point.
pub fn written(path: &std::path::Path) -> Vec<u8> {
    let Ok(mut journal) = Journal::create(path, &TRANSFER) else {
        unreachable!("nothing is there")
    };
    for entries in 1..=2 {
        let point = relay_client::disk::ledger::Point {
            entries,
            before: entries * 1000,
            ..Default::default()
        };
        let noted = journal.note_written(&point);
        let settled = journal.note_durable(&point);
        assert!(noted.is_ok() && settled.is_ok());
    }
    std::fs::read(path).unwrap_or_default()
}
