use proptest::prelude::*;

use super::*;

const RECORD: usize = 32 * 1024;

/// A line with this rate (bytes a second) and round trip, kept full for `seconds`: the window at the end.
fn on_a_line(rate: f64, trip: Duration, seconds: u64) -> Window {
    let begin = Instant::now();
    let (mut window, mut now) = (Window::default(), begin);
    let mut arrivals: VecDeque<Instant> = VecDeque::new();
    let mut line_free = begin;
    let mut records = 0;
    while now < begin + Duration::from_secs(seconds) {
        while window.is_open() {
            window.sent(RECORD, now);
            line_free = line_free.max(now) + Duration::from_secs_f64(RECORD as f64 / rate);
            arrivals.push_back(line_free + trip);
        }
        now = arrivals.pop_front().unwrap();
        records += 1;
        window.confirmed(records, now).unwrap();
    }
    window
}

#[test]
fn a_thin_line_is_given_little_and_a_fast_one_all_it_takes() {
    let ms = Duration::from_millis;
    // 100 kB/s: twice what arrives in a trip is less than what is always allowed, or little more.
    let thin = on_a_line(1e5, ms(50), 60);
    assert!(thin.allowed() <= 3 * LEAST, "{}", thin.allowed());
    // 10 MB/s with 100 ms: 1 MB is on the line at a time.
    let long = on_a_line(1e7, ms(100), 20);
    assert!(
        (1_000_000..=3_000_000).contains(&long.allowed()),
        "{}",
        long.allowed()
    );
    // 1 GB/s with 100 ms would be 100 MB.
    let fast = on_a_line(1e9, ms(100), 20);
    assert_eq!(fast.allowed(), MOST);
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
    assert_eq!(window.confirmed(2, now), Ok(()));
    assert_eq!(window.confirmed(2, now), Ok(()));
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
            prop_assert!(window.bytes() < MOST + RECORD as u64);
        }
    }
}
