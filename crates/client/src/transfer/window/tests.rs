use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// A line with this rate (bytes a second), kept full for 20 seconds: what was delivered a second, and the most that
/// was on its way after the first second. `trip` says how long the n-th message takes there and back.
fn on_a_line(rate: f64, trip: impl Fn(u64) -> Duration) -> (f64, u64) {
    keep_full(Window::default(), rate, trip)
}

fn keep_full(mut window: Window, rate: f64, trip: impl Fn(u64) -> Duration) -> (f64, u64) {
    let begin = Instant::now();
    let mut now = begin;
    let mut arrivals: VecDeque<Instant> = VecDeque::new();
    let (mut line_free, mut arrived) = (begin, begin);
    let (mut sent, mut records, mut most) = (0, 0, 0);
    while now < begin + Duration::from_secs(20) {
        while window.is_open() {
            window.sent(RECORD, now);
            line_free = line_free.max(now) + Duration::from_secs_f64(RECORD as f64 / rate);
            arrived = arrived.max(line_free + trip(sent));
            arrivals.push_back(arrived);
            sent += 1;
        }
        if now > begin + Duration::from_secs(1) {
            most = most.max(window.bytes());
        }
        now = arrivals.pop_front().unwrap();
        records += 1;
        window.confirmed(records, now).unwrap();
    }
    ((records * RECORD as u64) as f64 / 20.0, most)
}

#[test]
fn a_thin_line_is_given_little_and_a_fast_one_all_it_takes() {
    let ms = |ms| move |_| Duration::from_millis(ms);
    // 100 kB/s: what is always allowed takes most of a second by itself.
    let (delivered, most) = on_a_line(1e5, ms(50));
    assert!(
        delivered > 0.98 * 1e5 && most <= 3 * LEAST,
        "{delivered} {most}"
    );
    // 10 MB/s with 100 ms: 1 MB is on the line at a time.
    let (delivered, most) = on_a_line(1e7, ms(100));
    assert!(
        delivered > 0.85 * 1e7 && most <= 3_000_000,
        "{delivered} {most}"
    );
    // 1 GB/s with 1 ms, as between two programs on one machine.
    let (delivered, most) = on_a_line(1e9, ms(1));
    assert!(
        delivered > 0.9 * 1e9 && most <= 3_000_000,
        "{delivered} {most}"
    );
    // 1 GB/s with 100 ms would be 100 MB.
    let (_, most) = on_a_line(1e9, ms(100));
    assert_eq!(most, MOST);
}

#[test]
fn a_side_that_is_busy_has_the_window_open_all_the_same() {
    // One trip in twenty is a short one.
    let busy = |sent| Duration::from_millis(if sent % 20 == 0 { 1 } else { 40 });
    let (delivered, _) = on_a_line(1e8, busy);
    assert!(delivered > 2e7, "{delivered}");
    // The first was, and none since.
    let slower = |sent| Duration::from_millis(if sent == 0 { 1 } else { 40 });
    let (delivered, _) = on_a_line(1e8, slower);
    assert!(delivered > 2e7, "{delivered}");
}

/// On lines that were lost so often, each time when so many bytes had arrived.
fn lost(times: u64, each: usize) -> Window {
    let now = Instant::now();
    (0..times).fold(Window::default(), |mut window, _| {
        window.sent(each, now);
        window.confirmed(1, now).unwrap();
        Window::of(window.dropped())
    })
}

#[test]
fn a_line_that_drops_again_and_again_loses_less_than_a_hundredth() {
    // 100 MB/s with 10 ms: 1 MB is on the line at a time, and a drop costs as much.
    let fast = |window| keep_full(window, 1e8, |_| Duration::from_millis(10));
    // That is little for a line that holds for 500 MB at a time, and one drop says nothing of a line.
    for window in [lost(20, 500_000_000), lost(1, 1_000_000)] {
        let (_, most) = fast(window);
        assert!(most > 1_000_000, "{most}");
    }
    // It is too much where it drops every 10 MB.
    let mut window = lost(100, 10_000_000);
    for confirmed in 1..300 {
        while window.is_open() {
            window.sent(RECORD, Instant::now());
        }
        assert!(window.bytes() < 100_000, "{}", window.bytes());
        window.confirmed(confirmed, Instant::now()).unwrap();
    }
    // It has more again as soon as it holds.
    let (delivered, most) = fast(lost(100, 10_000_000));
    assert!(delivered > 0.7e8 && most > 1_000_000, "{delivered} {most}");
}

#[test]
fn so_many_messages_and_no_more() {
    let mut window = Window::default();
    for _ in 0..MOST_RECORDS {
        assert!(window.is_open());
        window.sent(0, Instant::now());
    }
    assert!(!window.is_open());
}

#[test]
fn what_was_never_sent_cannot_be_confirmed() {
    let mut window = Window::default();
    let now = Instant::now();
    assert_eq!(window.confirmed(1, now), Err(NeverSent));
    window.sent(10, now);
    window.sent(10, now);
    assert_eq!(window.confirmed(2, now), Ok(true));
    assert_eq!(window.confirmed(2, now), Ok(false));
    assert_eq!(window.confirmed(1, now), Err(NeverSent));
    assert_eq!(window.confirmed(u64::MAX, now), Err(NeverSent));
}

proptest! {
    /// Whatever is sent and confirmed, and whenever.
    #[test]
    fn it_stays_within_its_bounds(
        steps in prop::collection::vec((any::<bool>(), 0..=RECORD, 0..1_000_000_u64), 0..300),
    ) {
        let (mut window, mut now) = (Window::default(), Instant::now());
        let mut lengths = VecDeque::new();
        let mut records = 0;
        for (send, len, micros) in steps {
            now += Duration::from_micros(micros);
            if send && window.is_open() {
                window.sent(len, now);
                lengths.push_back(len as u64);
            } else if lengths.pop_front().is_some() {
                records += 1;
                window.confirmed(records, now).unwrap();
            }
            prop_assert_eq!(window.bytes(), lengths.iter().sum::<u64>());
            prop_assert!((LEAST..=MOST).contains(&window.allowed()));
            prop_assert!(window.bytes() <= MOST);
        }
    }
}
