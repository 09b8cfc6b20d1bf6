use std::fs;

use tempfile::TempDir;

use super::{
    super::{
        event::{Event, Kind},
        stats,
    },
    *,
};
use crate::config::Addresses;

/// What fails is said once, though other work succeeds in between.
#[test]
fn each_work_has_its_own_trouble() {
    let folder = TempDir::new().unwrap();
    // The counts cannot be written, and the lines can.
    fs::create_dir(folder.path().join(format!("{}.new", stats::NAME))).unwrap();
    let queue = Queue::new(Settings {
        folder: Some(folder.path().to_owned()),
        addresses: Addresses::None,
        size: 1 << 20,
        keep: Duration::from_secs(86_400),
    });
    let mut writer = Writer::new(&queue);
    queue.end(Duration::ZERO);
    let mut said = None;
    for _ in 0..3 {
        queue.push(
            (Timestamp::now(), Event::of(Kind::RoomCreated)),
            Instant::now(),
        );
        writer.write(queue.take(Duration::ZERO, Duration::ZERO), Timestamp::now());
        let said_at = |work: Work| {
            let trouble = writer.troubles[work as usize].as_ref();
            trouble.map(|it| it.said_at)
        };
        assert!(said_at(Work::Stats).is_some());
        assert_eq!(
            said_at(Work::Stats),
            *said.get_or_insert(said_at(Work::Stats))
        );
        assert_eq!(said_at(Work::Lines), None);
    }
    assert_eq!(queue.counts().written(), 3);
}
