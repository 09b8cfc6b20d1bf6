//! Who waits for the next turn of an address, and for how long.

use super::*;

#[test]
fn beyond_the_budget_each_code_waits_for_the_next_turn_right_or_wrong() {
    let (admission, now) = admission();
    spend(&admission, client(1), now);
    let turn = now + secs(60);
    let wrong_one = admission.line_up(client(1), now + secs(1), turn);
    let right_ones = [2, 3].map(|at| admission.line_up(client(1), now + secs(at), turn));
    assert_eq!(admission.waiting(), 3);
    assert_eq!(admission.once(client(2), now, || Ok(())), Came::Granted);

    // The turn is the first one's, and not of somebody who comes just then.
    let newcomer = admission.line_up(client(1), turn, turn);
    drop(newcomer);
    let tried = admission.try_code(client(1), Some(wrong_one), false, turn, wrong);
    assert_eq!(Came::from(&tried), not_found(NONE));
    let next = turn + secs(60);
    let [second, third] = right_ones.map(|place| {
        match admission.try_code(client(1), Some(place), false, turn, || panic!("not yet")) {
            Tried::Later(at, place) if at == next => place,
            other => panic!("{other:?}"),
        }
    });
    // A right code takes nobody's turn.
    for place in [second, third] {
        let tried = admission.try_code(client(1), Some(place), false, next, || Ok(()));
        assert_eq!(Came::from(&tried), Came::Granted);
    }
    assert_eq!(admission.waiting(), 0);
    assert_eq!(admission.once(client(1), next, || Ok(())), Came::Granted);
}

#[test]
fn a_line_is_short_and_a_place_in_it_is_free_again() {
    let (admission, now) = admission();
    spend(&admission, client(1), now);
    let turn = now + secs(60);
    let line = || admission.line_up(client(1), now, turn);
    let mut places: Vec<_> = (0..MAX_LINE).map(|_| line()).collect();
    let over = admission.once(client(1), now, || panic!("not yet"));
    assert_eq!(over, rate_limited(secs(60)));
    let at_the_turn = admission.once(client(1), turn, || panic!("others are first"));
    assert_eq!(at_the_turn, rate_limited(secs(1)));
    places.pop();
    line();
}

#[test]
fn whoever_has_waited_longest_has_the_lowest_number() {
    let (admission, now) = admission();
    spend(&admission, client(1), now);
    spend(&admission, client(2), now);
    let turn = now + secs(60);
    let line = [1, 2, 1].map(|n| admission.line_up(client(n), now, turn));
    assert!(line.is_sorted_by(|one, next| one.number() < next.number()));
    let [first, second, _] = line;
    drop(first);
    let number = second.number();
    let tried = admission.try_code(client(2), Some(second), false, now, || panic!("not yet"));
    match tried {
        Tried::Later(_, place) => assert_eq!(place.number(), number, "it keeps its own"),
        other => panic!("{other:?}"),
    }
    assert!(admission.line_up(client(1), now, turn).number() > number);
}

#[test]
fn a_newcomer_of_the_same_home_lets_those_in_line_go_first() {
    let (admission, now) = admission();
    let home: Vec<_> = (0..4).map(|net| v6(1, 1, net)).collect();
    for &network in &home {
        spend(&admission, network, now);
    }
    // Four /64s have spent the budget of their /56, of which a code comes back each 15 s.
    let newcomer = v6(1, 1, 9);
    let turn = now + secs(15);
    let first = admission.line_up(newcomer, now, turn);
    let second = admission.line_up(v6(1, 1, 10), turn, turn);
    let tried = admission.try_code(newcomer, Some(first), false, turn, wrong);
    assert!(matches!(Came::from(&tried), Came::Refused(..)), "{tried:?}");
    drop(second);
    assert_eq!(admission.waiting(), 0);
}

#[test]
fn a_line_full_of_others_in_its_network_keeps_nobody_out_who_has_a_budget() {
    let (admission, now) = admission();
    let guessers = [1, 2, 3].map(|net| v6(1, net, net));
    for guesser in guessers {
        spend(&admission, guesser, now);
    }
    let mut line = Vec::new();
    for guesser in guessers {
        let places = (0..MAX_LINE).map(|_| admission.line_up(guesser, now, now + secs(60)));
        line.extend(places);
    }
    let neighbour = v6(1, 99, 1);
    assert_eq!(admission.once(neighbour, now, || Ok(())), Came::Granted);
    // With a place free it lets those go first that have their turn now: there are none.
    line.pop();
    let place = admission.line_up(neighbour, now, now);
    let tried = admission.try_code(neighbour, Some(place), false, now, || Ok(()));
    assert_eq!(Came::from(&tried), Came::Granted);
}

#[test]
fn who_would_wait_for_long_is_told_how_long() {
    let config = Config {
        failed_join_max: 1,
        failed_join_window: secs(600),
        ..Config::default()
    };
    let (admission, now) = (Admission::new(&config), Instant::now());
    assert_eq!(admission.once(client(1), now, wrong), not_found(NONE));
    let try_code = |at| admission.once(client(1), now + secs(at), || Ok(()));
    assert_eq!(try_code(539), rate_limited(secs(61)));
    assert_eq!(try_code(540), Came::Later(now + secs(600)));
    assert_eq!(try_code(600), Came::Granted);
}
