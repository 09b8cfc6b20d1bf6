use proptest::prelude::*;

use super::*;
use crate::limits::budget::tests::{TICK, limit, secs, times};

#[test]
fn mistypers_are_answered_at_once_and_guessers_at_the_rate() {
    let start = Instant::now();
    let mut brake = Brake::new(
        Limit {
            max: 60,
            window: secs(60),
        },
        secs(5),
    );
    for _ in 0..60 {
        assert_eq!(brake.refused(start), secs(0));
    }
    for nth in 1..=5 {
        assert_eq!(brake.refused(start), secs(nth));
    }
    for _ in 0..1000 {
        assert_eq!(brake.refused(start), secs(5), "never longer");
    }
    assert_eq!(brake.refused(start + secs(3)), secs(3));
    assert_eq!(
        brake.refused(start + secs(7)),
        secs(0),
        "the flood is soon forgotten"
    );
}

#[test]
fn a_steady_rate_within_the_limit_never_waits() {
    let start = Instant::now();
    let mut brake = Brake::new(
        Limit {
            max: 10,
            window: secs(20),
        },
        secs(5),
    );
    for nth in 0..1000 {
        assert_eq!(brake.refused(start + secs(2 * nth)), secs(0));
    }
}

#[test]
fn senseless_brakes_do_no_harm() {
    let mut off = Brake::new(
        Limit {
            max: 0,
            window: Duration::ZERO,
        },
        Duration::ZERO,
    );
    let mut huge = Brake::new(
        Limit {
            max: usize::MAX,
            window: secs(1),
        },
        secs(5),
    );
    for _ in 0..10 {
        assert_eq!(off.refused(Instant::now()), Duration::ZERO);
        assert_eq!(huge.refused(Instant::now()), Duration::ZERO);
    }
}

proptest! {
    #[test]
    fn the_brake_holds_the_rate_until_its_longest_wait(limit in limit(), times in times()) {
        let longest = Duration::from_millis(20);
        let mut brake = Brake::new(limit, longest);
        let mut answers: Vec<Instant> = Vec::new();
        let mut capped = false;
        for now in times {
            let wait = brake.refused(now);
            prop_assert!(wait <= longest);
            capped |= wait == longest;
            prop_assert!(answers.last().is_none_or(|&last| now + wait >= last));
            answers.push(now + wait);
        }
        if !capped {
            // A full bucket, and what drains meanwhile.
            for run in answers.windows(2 * limit.max + 1) {
                prop_assert!(run[2 * limit.max] - run[0] + TICK * 20 >= limit.window);
            }
        }
    }
}
