//! Who is asked for what, and in which order; the budgets themselves are tested where they are.

mod elsewhere;
mod line;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::*;
use crate::limits::budget::tests::{TICK, secs};

const NONE: Duration = Duration::ZERO;

/// Two requests a minute for a session, and four for an address; ten wrong codes in ten minutes.
fn admission() -> (Admission, Instant) {
    let config = Config {
        rate_limit_max: 2,
        address_rate_limit_max: 4,
        rate_limit_window: secs(60),
        failed_join_max: 10,
        failed_join_window: secs(600),
        ..Config::default()
    };
    (Admission::new(&config), Instant::now())
}

fn client(n: u8) -> AddressKey {
    AddressKey::from(IpAddr::from(Ipv4Addr::new(192, 0, 2, n)))
}

/// An address in this /48, this /56 of it, and this /64 of that.
fn v6(net48: u16, net56: u8, net64: u8) -> AddressKey {
    let subnet = u16::from_be_bytes([net56, net64]);
    IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, net48, subnet, 0, 0, 0, 1)).into()
}

fn wrong() -> Result<(), Ending> {
    Err(Ending::RoomNotFound)
}

/// What comes of a try, without the place of who must wait.
#[derive(Debug, PartialEq)]
enum Came {
    Granted,
    Refused(Reply, Duration),
    Later(Instant),
    Elsewhere,
}

impl From<&Tried> for Came {
    fn from(tried: &Tried) -> Self {
        match tried {
            Tried::Granted => Self::Granted,
            Tried::Refused(reply, delay) => Self::Refused(reply.clone(), *delay),
            Tried::Later(turn, _) => Self::Later(*turn),
            Tried::Elsewhere(_) => Self::Elsewhere,
        }
    }
}

impl Admission {
    /// A try of somebody who has no place in line, and goes away if it must wait.
    fn once(
        &self,
        client: AddressKey,
        now: Instant,
        join: impl FnOnce() -> Result<(), Ending>,
    ) -> Came {
        Came::from(&self.try_code(client, None, false, now, join))
    }

    /// The place of somebody who must wait for this turn.
    fn line_up(&self, client: AddressKey, now: Instant, turn: Instant) -> Place {
        match self.try_code(client, None, false, now, || panic!("not yet")) {
            Tried::Later(at, place) if at == turn => place,
            other => panic!("{other:?}"),
        }
    }
}

/// What comes of a wrong code of somebody who may still try one.
fn not_found(delay: Duration) -> Came {
    Came::Refused(Ending::RoomNotFound.into(), delay)
}

fn rate_limited(wait: Duration) -> Came {
    Came::Refused(Reply::rate_limited(wait), NONE)
}

/// Spends the budget of wrong codes of an address.
fn spend(admission: &Admission, client: AddressKey, now: Instant) {
    for _ in 0..10 {
        let tried = admission.once(client, now, wrong);
        assert!(matches!(tried, Came::Refused(..)), "{tried:?}");
    }
}

/// Spends the refusals of a second that are answered at once, on addresses from 100 on.
fn guess_from_elsewhere(admission: &Admission, now: Instant) {
    for n in 0..REFUSALS_PER_SECOND as u8 {
        let refused = admission.once(client(100 + n), now, wrong);
        assert_eq!(refused, not_found(NONE));
    }
}

#[test]
fn a_new_session_does_not_bring_its_address_a_new_budget() {
    let (admission, now) = admission();
    let ask = |at| admission.ask(&mut Spent::default(), client(1), now + secs(at));
    for at in 0..4 {
        assert_eq!(ask(at), Ok(()));
    }
    assert_eq!(ask(4), Err(secs(11)));
    assert_eq!(ask(15), Ok(()));
}

#[test]
fn a_session_has_a_budget_whatever_its_address_and_is_asked_first() {
    let (admission, now) = admission();
    let mut session = Spent::default();
    for n in 1..=2 {
        assert_eq!(admission.ask(&mut session, client(n), now), Ok(()));
    }
    let asked = admission.ask(&mut session, client(3), now + secs(1));
    assert_eq!(asked, Err(secs(29)));
    assert_eq!(admission.addresses(), 2, "it has cost the third nothing");
}

#[test]
fn five_people_of_an_office_join_at_once_after_many_other_tries_of_theirs() {
    let (admission, now) = (Admission::new(&Config::default()), Instant::now());
    for n in 0..60 {
        let mut colleague = Spent::default();
        let asked = admission.ask(&mut colleague, client(1), now + secs(n / 2));
        assert_eq!(asked, Ok(()), "{n}");
    }
    for _ in 0..5 {
        let asked = admission.ask(&mut Spent::default(), client(1), now + secs(30));
        assert_eq!(asked, Ok(()));
    }
}

#[test]
fn a_right_code_costs_nothing() {
    let (admission, now) = admission();
    guess_from_elsewhere(&admission, now);
    for _ in 0..100 {
        let tried = admission.once(client(1), now, || Ok(()));
        assert_eq!(tried, Came::Granted);
    }
    assert_eq!(admission.addresses(), REFUSALS_PER_SECOND);
}

#[test]
fn only_a_wrong_code_is_charged_and_answered_late() {
    let (admission, now) = admission();
    guess_from_elsewhere(&admission, now);
    for _ in 0..100 {
        let full = admission.once(client(1), now, || Err(Ending::RoomFull));
        assert_eq!(full, Came::Refused(Ending::RoomFull.into(), NONE));
    }
    let step = secs(1) / REFUSALS_PER_SECOND as u32;
    for n in 1..=10 {
        let tried = admission.once(client(1), now, wrong);
        assert_eq!(tried, not_found(n * step));
    }
    for _ in 0..100 {
        let tried = admission.once(client(1), now, wrong);
        assert_eq!(tried, Came::Later(now + secs(60)));
    }
    let later = admission.once(client(2), now, wrong);
    assert_eq!(later, not_found(11 * step), "as if those had not been");
}

#[test]
fn a_flood_of_wrong_codes_is_answered_after_the_longest_delay() {
    let (admission, now) = admission();
    let guesses = (0..=u8::MAX).map(|n| admission.once(client(n), now, wrong));
    assert_eq!(guesses.last(), Some(not_found(LONGEST_DELAY)));
}

/// Codes that a guesser tries in so many hours who has sessions waiting in line at all of these
/// addresses at every moment.
fn guessed(clients: &[AddressKey], hours: u64) -> usize {
    let (admission, start) = (Admission::new(&Config::default()), Instant::now());
    let mut lines: Vec<Vec<Place>> = clients.iter().map(|_| Vec::new()).collect();
    let mut guessed = 0;
    for second in (0..hours * 3600).step_by(5) {
        let now = start + secs(second);
        admission.prune(now);
        for (&client, line) in clients.iter().zip(&mut lines) {
            let mut places: Vec<_> = line.drain(..).map(Some).collect();
            places.resize_with(MAX_LINE + 3, || None);
            for place in places {
                match admission.try_code(client, place, false, now, wrong) {
                    Tried::Granted | Tried::Elsewhere(_) => panic!("a wrong one"),
                    Tried::Refused(reply, _) if reply.ending() == Some(Ending::RoomNotFound) => {
                        guessed += 1;
                    }
                    Tried::Refused(..) => {}
                    Tried::Later(_, place) => line.push(place),
                }
            }
        }
    }
    guessed
}

#[test]
fn an_address_guesses_ten_codes_and_then_one_a_minute_however_many_wait() {
    for hours in [1, 3] {
        let guesses = guessed(&[client(1)], hours);
        let most = 10 + 60 * hours as usize;
        assert!((most - 1..=most).contains(&guesses), "{guesses}");
    }
}

#[test]
fn a_prefix_guesses_as_much_as_sixteen_addresses_whatever_it_holds() {
    let same64 = [v6(1, 2, 3)];
    let same56: Vec<_> = (0..20).map(|n| v6(1, 2, n)).collect();
    let same48: Vec<_> = (0..60).map(|n| v6(1, n / 3, n)).collect();
    for (clients, times) in [(&same64[..], 1), (&same56, 4), (&same48, 16)] {
        let guesses = guessed(clients, 1);
        let most = times * (10 + 60);
        assert!(
            (most * 98 / 100..=most).contains(&guesses),
            "{guesses} for {times}"
        );
    }
}

#[test]
fn a_home_with_many_networks_is_one_that_asks_too_much() {
    let (admission, now) = admission();
    let ask = |client| admission.ask(&mut Spent::default(), client, now).is_ok();
    let allowed = |clients: Vec<_>| clients.into_iter().filter(|&it| ask(it)).count();
    assert_eq!(allowed((0..=u8::MAX).map(|n| v6(1, 0, n)).collect()), 16);
    let more = (0..=u8::MAX).flat_map(|n| [v6(1, n, 1), v6(1, n, 2)]);
    assert_eq!(allowed(more.collect()), 64 - 16);
    assert!(ask(v6(2, 0, 0)), "another is not");
}

#[test]
fn no_other_try_comes_between_the_look_at_the_budget_and_the_charge_to_it() {
    let (admission, now) = admission();
    let join = || {
        assert!(admission.budgets.try_lock().is_err());
        Ok(())
    };
    assert_eq!(admission.once(client(1), now, join), Came::Granted);
}

#[test]
fn a_panic_while_a_code_is_tried_leaves_the_budgets_to_others() {
    let (admission, now) = admission();
    let fault = || admission.once(client(1), now, || panic!("a fault of the rooms"));
    assert!(catch_unwind(AssertUnwindSafe(fault)).is_err());
    assert_eq!(admission.ask(&mut Spent::default(), client(1), now), Ok(()));
}

#[test]
fn addresses_are_forgotten_each_budget_in_its_time() {
    let (admission, now) = admission();
    assert_eq!((admission.addresses(), admission.next_prune()), (0, None));
    admission.once(client(1), now, wrong);
    assert_eq!(admission.next_prune(), Some(now + secs(60)));
    let asked = now + secs(10);
    admission
        .ask(&mut Spent::default(), client(1), asked)
        .unwrap();
    assert_eq!(admission.next_prune(), Some(asked + secs(15)));
    admission.prune(asked + secs(15) - TICK);
    assert_eq!(admission.addresses(), 2);
    admission.prune(asked + secs(15));
    assert_eq!(admission.addresses(), 1);
    assert_eq!(admission.next_prune(), Some(now + secs(60)));
    admission.prune(now + secs(60));
    assert_eq!((admission.addresses(), admission.next_prune()), (0, None));
}

#[test]
fn budgets_may_become_others_while_they_are_asked() {
    let (admission, now) = admission();
    let mut session = Spent::default();
    for _ in 0..2 {
        assert_eq!(admission.ask(&mut session, client(1), now), Ok(()));
    }
    assert!(admission.ask(&mut session, client(1), now).is_err());
    admission.configure(&Config {
        rate_limit_max: 4,
        address_rate_limit_max: 3,
        rate_limit_window: secs(60),
        failed_join_max: 1,
        failed_join_window: secs(60),
        ..Config::default()
    });
    // Of four half is spent, as it was of two.
    let in_time = now + secs(15);
    assert_eq!(admission.ask(&mut session, client(1), in_time), Ok(()));
    let first = admission.once(client(2), now, wrong);
    let second = admission.once(client(2), now, wrong);
    assert!(matches!(first, Came::Refused(..)), "{first:?}");
    assert_eq!(second, Came::Later(now + secs(60)));
}
