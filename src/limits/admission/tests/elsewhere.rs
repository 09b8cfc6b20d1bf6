//! Codes that are tried where a relay does not know of the rooms: what they cost, and who waits for that.

use super::*;

#[test]
fn a_code_that_is_tried_elsewhere_is_charged_only_if_it_is_wrong() {
    let (admission, now) = admission();
    let try_elsewhere = |at| admission.try_code(client(1), None, true, at, wrong);
    let mut shares = Vec::new();
    for _ in 0..10 {
        match try_elsewhere(now) {
            Tried::Elsewhere(share) => shares.push(share),
            other => panic!("{other:?}"),
        }
    }
    // All of the budget is out: whoever comes now waits until that is settled, and no longer.
    match try_elsewhere(now) {
        Tried::Later(turn, _) => assert_eq!(turn, now + SOUGHT),
        other => panic!("{other:?}"),
    }
    for came in [
        Ok(()),
        Err(Ending::ClusterUnavailable),
        Err(Ending::RoomFull),
    ] {
        admission.sought(client(1), came, now);
        shares.pop();
    }
    let back = admission.once(client(1), now, || Ok(()));
    assert_eq!(back, Came::Granted);
    for share in shares {
        admission.sought(client(1), Err(Ending::RoomNotFound), now);
        drop(share);
    }
    for _ in 0..3 {
        assert!(matches!(
            admission.once(client(1), now, wrong),
            Came::Refused(..)
        ));
    }
    let spent = admission.once(client(1), now, || Ok(()));
    assert!(
        matches!(spent, Came::Later(turn) if turn > now + SOUGHT),
        "{spent:?}"
    );
}

#[test]
fn who_leaves_before_the_answer_has_tried_a_wrong_code() {
    let (admission, now) = admission();
    for _ in 0..10 {
        drop(admission.try_code(client(1), None, true, now, wrong));
    }
    let spent = admission.once(client(1), now, || Ok(()));
    assert!(
        matches!(spent, Came::Later(turn) if turn > now + SOUGHT),
        "{spent:?}"
    );
}

#[test]
fn a_wrong_code_elsewhere_counts_here() {
    let (admission, now) = admission();
    for _ in 0..10 {
        admission.wrong_code_elsewhere(client(1), now);
    }
    assert!(matches!(
        admission.once(client(1), now, || Ok(())),
        Came::Later(_)
    ));
    assert_eq!(admission.once(client(2), now, || Ok(())), Came::Granted);
}

/// Ten that are tried elsewhere, and fifty that come meanwhile.
fn many_follow(admission: &Admission, now: Instant) -> (Vec<Tried>, Vec<Place>) {
    let tried = (0..10).map(|_| admission.try_code(client(1), None, true, now, wrong));
    let tried = tried.collect();
    let follow = (0..50).map(|_| admission.line_up(client(1), now, now + SOUGHT));
    (tried, follow.collect())
}

#[test]
fn any_number_of_right_codes_is_tried_elsewhere_at_once() {
    let (admission, now) = admission();
    let (tried, follow) = many_follow(&admission, now);
    for _ in &tried {
        admission.sought(client(1), Ok(()), now);
    }
    drop(tried);
    for place in follow {
        let tried = admission.try_code(client(1), Some(place), true, now, || Ok(()));
        assert!(matches!(tried, Tried::Granted), "{tried:?}");
    }
    assert_eq!(admission.waiting(), 0);
}

#[test]
fn who_follows_wrong_codes_waits_in_line_or_is_refused() {
    let (admission, now) = admission();
    let (tried, follow) = many_follow(&admission, now);
    for _ in &tried {
        admission.sought(client(1), Err(Ending::RoomNotFound), now);
    }
    drop(tried);
    let follow = follow.into_iter();
    let tried = follow.map(|place| admission.try_code(client(1), Some(place), true, now, wrong));
    let tried: Vec<_> = tried.collect();
    assert!(tried.iter().all(|it| !matches!(it, Tried::Elsewhere(_))));
    let wait = |it: &&Tried| matches!(it, Tried::Later(..));
    assert_eq!(tried.iter().filter(wait).count(), MAX_LINE);
    assert_eq!(admission.waiting(), MAX_LINE);
}

#[test]
fn three_that_tell_each_other_have_one_budget() {
    let ((first, now), (second, _), (third, _)) = (admission(), admission(), admission());
    let all = [first, second, third];
    let mut guessed = 0;
    // Whoever has the budget of ten in ten minutes has one more each minute: in an hour seventy.
    for second in 0..3600 {
        let now = now + secs(second);
        let came = all.each_ref().map(|it| it.once(client(1), now, wrong));
        let is_wrong = |it: &Came| matches!(it, Came::Refused(reply, _) if reply.ending() == Some(Ending::RoomNotFound));
        for (node, _) in came.iter().enumerate().filter(|(_, it)| is_wrong(it)) {
            guessed += 1;
            for (other, admission) in all.iter().enumerate() {
                if other != node {
                    admission.wrong_code_elsewhere(client(1), now);
                }
            }
        }
    }
    // And what each allows before it hears of the others.
    assert!((60..=75).contains(&guessed), "{guessed}");
}
