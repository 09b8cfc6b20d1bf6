//! Who is asked for what, and in which order; the budgets themselves are tested where they are.

use std::{
    net::{IpAddr, Ipv4Addr},
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::*;
use crate::limits::budget::tests::{TICK, secs};

const NONE: Duration = Duration::ZERO;

/// Two requests a minute, two wrong codes in ten.
fn admission() -> (Admission, Instant) {
    let config = Config {
        rate_limit_max: 2,
        rate_limit_window: secs(60),
        failed_join_max: 2,
        failed_join_window: secs(600),
        ..Config::default()
    };
    (Admission::new(&config), Instant::now())
}

fn client(n: u8) -> AddressKey {
    AddressKey::from(IpAddr::from(Ipv4Addr::new(192, 0, 2, n)))
}

fn wrong() -> Result<(), Ending> {
    Err(Ending::RoomNotFound)
}

/// What comes of a wrong code of somebody who may still try one.
fn not_found(delay: Duration) -> Result<(), (Reply, Duration)> {
    Err((Ending::RoomNotFound.into(), delay))
}

fn rate_limited(wait: Duration) -> Result<(), (Reply, Duration)> {
    Err((Reply::rate_limited(wait), NONE))
}

/// Spends the refusals of a second that are answered at once, on addresses from 100 on.
fn guess_from_elsewhere(admission: &Admission, now: Instant) {
    for n in 0..REFUSALS_PER_SECOND as u8 {
        assert_eq!(
            admission.try_code(client(100 + n), now, wrong),
            not_found(NONE)
        );
    }
}

#[test]
fn a_new_session_does_not_bring_its_address_a_new_budget() {
    let (admission, now) = admission();
    let ask = |at| admission.ask(&mut Spent::default(), client(1), now + secs(at));
    assert_eq!(ask(0), Ok(()));
    assert_eq!(ask(10), Ok(()));
    assert_eq!(ask(20), Err(secs(40)));
    assert_eq!(ask(60), Ok(()));
}

#[test]
fn a_session_has_a_budget_whatever_its_address_and_is_asked_first() {
    let (admission, now) = admission();
    let mut session = Spent::default();
    for n in 1..=2 {
        assert_eq!(admission.ask(&mut session, client(n), now), Ok(()));
    }
    let asked = admission.ask(&mut session, client(3), now + secs(1));
    assert_eq!(asked, Err(secs(59)));
    assert_eq!(admission.addresses(), 2, "it has cost the third nothing");
}

#[test]
fn a_right_code_costs_nothing() {
    let (admission, now) = admission();
    guess_from_elsewhere(&admission, now);
    for _ in 0..100 {
        assert_eq!(admission.try_code(client(1), now, || Ok(())), Ok(()));
    }
    assert_eq!(admission.addresses(), REFUSALS_PER_SECOND);
}

#[test]
fn a_wrong_code_is_charged_once_and_none_is_tried_beyond_the_budget() {
    let (admission, now) = admission();
    let try_code = |at| admission.try_code(client(1), now + secs(at), wrong);
    assert_eq!(try_code(0), not_found(NONE));
    assert_eq!(try_code(10), not_found(NONE));
    let untried = || panic!("even a right one");
    let spent = admission.try_code(client(1), now + secs(20), untried);
    assert_eq!(spent, rate_limited(secs(580)));
    let other = admission.try_code(client(2), now + secs(20), || Ok(()));
    assert_eq!(other, Ok(()), "others may");
    assert_eq!(try_code(600), not_found(NONE));
    assert_eq!(try_code(600), rate_limited(secs(10)));
}

#[test]
fn only_a_wrong_code_is_charged_and_answered_late() {
    let (admission, now) = admission();
    guess_from_elsewhere(&admission, now);
    for _ in 0..100 {
        let full = admission.try_code(client(1), now, || Err(Ending::RoomFull));
        assert_eq!(full, Err((Ending::RoomFull.into(), NONE)));
    }
    let step = secs(1) / REFUSALS_PER_SECOND as u32;
    let try_code = || admission.try_code(client(1), now, wrong);
    assert_eq!(try_code(), not_found(step));
    assert_eq!(try_code(), not_found(2 * step));
    for _ in 0..100 {
        assert_eq!(try_code(), rate_limited(secs(600)), "at once");
    }
    let later = admission.try_code(client(2), now, wrong);
    assert_eq!(later, not_found(3 * step), "as if those had not been");
}

#[test]
fn a_flood_of_wrong_codes_is_answered_after_the_longest_delay() {
    let (admission, now) = admission();
    let guesses = (0..=u8::MAX).map(|n| admission.try_code(client(n), now, wrong));
    assert_eq!(guesses.last(), Some(not_found(LONGEST_DELAY)));
}

#[test]
fn no_other_try_comes_between_the_look_at_the_budget_and_the_charge_to_it() {
    let (admission, now) = admission();
    let join = || {
        assert!(admission.budgets.try_lock().is_err());
        Ok(())
    };
    assert_eq!(admission.try_code(client(1), now, join), Ok(()));
}

#[test]
fn a_panic_while_a_code_is_tried_leaves_the_budgets_to_others() {
    let (admission, now) = admission();
    let fault = || admission.try_code(client(1), now, || panic!("a fault of the rooms"));
    assert!(catch_unwind(AssertUnwindSafe(fault)).is_err());
    assert_eq!(admission.ask(&mut Spent::default(), client(1), now), Ok(()));
}

#[test]
fn addresses_are_forgotten_each_budget_in_its_time() {
    let (admission, now) = admission();
    assert_eq!((admission.addresses(), admission.next_prune()), (0, None));
    admission.try_code(client(1), now, wrong).unwrap_err();
    assert_eq!(admission.next_prune(), Some(now + secs(600)));
    let asked = now + secs(100);
    admission
        .ask(&mut Spent::default(), client(1), asked)
        .unwrap();
    assert_eq!(admission.next_prune(), Some(asked + secs(60)));
    admission.prune(asked + secs(60) - TICK);
    assert_eq!(admission.addresses(), 2);
    admission.prune(asked + secs(60));
    assert_eq!(admission.addresses(), 1);
    assert_eq!(admission.next_prune(), Some(now + secs(600)));
    admission.prune(now + secs(600));
    assert_eq!((admission.addresses(), admission.next_prune()), (0, None));
}
