//! The clocks alone, with a time that is passed in.

mod signs;

use super::*;
use Reading::{Between, InMessage, Paused};

const SECOND: Duration = Duration::from_secs(1);
const TIMEOUTS: Timeouts = Timeouts {
    request: Duration::from_secs(30),
    ping_interval: Duration::from_secs(20),
    ping: Duration::from_secs(5),
    stall: Duration::from_secs(60),
};

/// What there is to do.
#[derive(Debug, PartialEq, Eq)]
enum Due {
    Nothing(Instant),
    Ping,
    Dead,
    Stalled,
}

impl Clocks {
    fn due(&mut self, now: Instant, reading: Reading) -> Due {
        self.read(now, reading);
        self.timers.clear(Timer::Look);
        match self.fire(now) {
            None => Due::Nothing(self.next().unwrap()),
            Some(Timer::Ping) => Due::Ping,
            Some(Timer::Pong) => {
                // So that it can be asked again.
                self.timers.set(Timer::Pong, now);
                Due::Dead
            }
            Some(Timer::Stall) => Due::Stalled,
            Some(other) => panic!("{other:?}"),
        }
    }

    /// When a stall is next looked at, by whoever looks at `now`.
    fn next_look_at_stall(&mut self, now: Instant) -> Option<Instant> {
        self.wait?;
        self.timers.clear(Timer::Look);
        self.wrote(now, 0, Some(Wait::System));
        self.next()
    }
}

fn begin() -> (impl Fn(u32) -> Instant, Clocks) {
    let start = Instant::now();
    let at = move |seconds| start + seconds * SECOND;
    let mut clocks = Clocks::new(start, Arc::new(TIMEOUTS));
    clocks.requested();
    (at, clocks)
}

#[test]
fn silence_is_met_with_a_ping_and_silence_after_it_with_the_end() {
    let (at, mut live) = begin();
    assert_eq!(live.due(at(19), Between), Due::Nothing(at(20)));
    assert_eq!(live.due(at(20), Between), Due::Ping);
    live.pinged(at(20), false);
    live.wrote(at(20), 10, None);
    assert_eq!(live.due(at(24), Between), Due::Nothing(at(25)));
    assert_eq!(live.due(at(25), Between), Due::Dead);
    live.received(at(25));
    live.ponged();
    assert_eq!(live.due(at(25), Between), Due::Nothing(at(40)));
}

#[test]
fn talking_to_it_alone_does_not_show_that_a_peer_lives() {
    let (at, mut live) = begin();
    for second in 1..20 {
        live.wrote(at(second), 1, None);
    }
    assert_eq!(live.due(at(20), Between), Due::Ping);
}

#[test]
fn a_trickle_into_the_systems_buffer_does_not_put_off_the_end() {
    let (at, mut live) = begin();
    live.pinged(at(20), false);
    for second in 20..25 {
        live.wrote(at(second), 1, None);
        assert_eq!(live.due(at(second), Between), Due::Nothing(at(25)));
    }
    assert_eq!(live.due(at(25), Between), Due::Dead);
}

#[test]
fn talk_is_no_answer_but_a_message_in_progress_is_let_end() {
    let (at, mut live) = begin();
    live.pinged(at(20), false);
    live.heard(at(24));
    assert_eq!(live.due(at(25), InMessage), Due::Nothing(at(30)));
    live.heard(at(29));
    assert_eq!(live.due(at(30), InMessage), Due::Nothing(at(35)));
    // It has stopped in the middle, but for control frames.
    live.received(at(34));
    assert_eq!(live.due(at(35), InMessage), Due::Dead);
    live.heard(at(35));
    assert_eq!(live.due(at(35), Between), Due::Dead);
}

#[test]
fn a_pong_behind_data_is_waited_for_as_long_as_some_arrive() {
    let (at, mut live) = begin();
    live.pinged(at(20), true);
    assert_eq!(live.due(at(79), Between), Due::Nothing(at(80)));
    live.received(at(79));
    live.arrived(at(79), true);
    assert_eq!(live.due(at(138), Between), Due::Nothing(at(139)));
    live.received(at(138));
    live.arrived(at(138), false);
    assert_eq!(
        live.due(at(142), Between),
        Due::Nothing(at(143)),
        "nothing is in front of it"
    );
    assert_eq!(live.due(at(143), Between), Due::Dead);
}

#[test]
fn a_peer_that_takes_what_had_to_wait_is_given_time_anew() {
    let (at, mut live) = begin();
    live.pinged(at(20), false);
    live.wrote(at(20), 0, Some(Wait::System));
    live.wrote(at(24), 1, None);
    assert_eq!(live.due(at(83), Between), Due::Nothing(at(84)));
    assert_eq!(live.due(at(84), Between), Due::Dead);
}

#[test]
fn a_stall_is_judged_by_what_arrives_where_that_is_waited_for() {
    let (at, mut live) = begin();
    live.wrote(at(0), 1000, Some(Wait::Pong));
    // It pings us, and we answer: that shows nothing.
    live.wrote(at(30), 10, Some(Wait::Pong));
    live.received(at(59));
    assert_eq!(live.fire(at(59)), Some(Timer::Ping), "which goes in front");
    live.pinged(at(59), true);
    live.received(at(59));
    assert_eq!(live.due(at(60), Between), Due::Stalled);

    live.wrote(at(61), 0, Some(Wait::Pong));
    live.arrived(at(100), true);
    assert_eq!(live.timers.get(Timer::Stall), Some(at(160)));
    live.wrote(at(101), 1000, None);
    assert_eq!(live.timers.get(Timer::Stall), None);
}

#[test]
fn a_stall_is_none_while_the_pong_may_be_behind_a_message() {
    let (at, mut live) = begin();
    live.read(at(0), InMessage);
    live.wrote(at(0), 1000, Some(Wait::Pong));
    for second in [50, 100, 150] {
        live.heard(at(second));
        live.received(at(second));
    }
    assert_ne!(live.fire(at(60)), Some(Timer::Stall));
    live.timers.clear(Timer::Pong);
    assert_eq!(live.timers.get(Timer::Stall), Some(at(120)));
    live.timers.set(Timer::Stall, at(211));
    assert_eq!(live.due(at(211), InMessage), Due::Stalled);
}

#[test]
fn a_second_ping_gives_no_more_time_for_the_answer() {
    let (at, mut live) = begin();
    live.pinged(at(20), false);
    live.pinged(at(24), false);
    assert_eq!(live.due(at(25), Between), Due::Dead);
}

#[test]
fn what_we_do_not_read_is_not_held_against_the_peer() {
    let (at, mut live) = begin();
    live.pinged(at(0), false);
    live.wrote(at(90), 1, None);
    assert_eq!(live.due(at(100), Paused), Due::Nothing(at(160)));
    live.pinged(at(101), false);
    assert_eq!(live.due(at(107), Between), Due::Nothing(at(110)));
    live.pinged(at(110), false);
    assert_eq!(live.due(at(114), Between), Due::Nothing(at(115)));
}

#[test]
fn who_is_not_read_is_pinged_and_need_not_answer() {
    let (at, mut live) = begin();
    live.read(at(0), Paused);
    for round in 1..=5 {
        let next = at(60 * round);
        assert_eq!(live.due(at(60 * round - 1), Paused), Due::Nothing(next));
        assert_eq!(live.due(next, Paused), Due::Ping);
        live.pinged(next, false);
        live.wrote(next, 10, None);
    }
    assert_eq!(live.due(at(310), Between), Due::Nothing(at(320)));
}

#[test]
fn only_accepted_bytes_end_a_stall() {
    let (at, mut live) = begin();
    live.wrote(at(0), 0, Some(Wait::System));
    live.wrote(at(30), 0, Some(Wait::System));
    live.received(at(59));
    assert_eq!(live.due(at(59), Between), Due::Nothing(at(60)));
    assert_eq!(live.due(at(60), Between), Due::Stalled);
    live.wrote(at(60), 1, Some(Wait::System));
    assert_eq!(live.due(at(61), Between), Due::Nothing(at(120)));
    live.wrote(at(62), 1, None);
    assert_eq!(live.due(at(62), Between), Due::Nothing(at(79)));
}

#[test]
fn a_stall_is_looked_at_until_its_end() {
    let (at, mut live) = begin();
    assert_eq!(live.next_look_at_stall(at(0)), None);
    live.wrote(at(0), 0, Some(Wait::System));
    let step = TIMEOUTS.stall / LOOKS_AT_A_STALL;
    assert_eq!(live.next_look_at_stall(at(10)), Some(at(10) + step));
    assert_eq!(live.next_look_at_stall(at(59)), Some(at(60)));
    live.wrote(at(59), 1, None);
    assert_eq!(live.next_look_at_stall(at(59)), None);
}

#[test]
fn every_timer_stands_once_in_the_order_of_firing() {
    for (index, timer) in Timer::ALL.into_iter().enumerate() {
        assert_eq!(Timer::ALL.iter().filter(|&&it| it == timer).count(), 1);
        assert!((timer as usize) < Timer::ALL.len(), "{timer:?} at {index}");
    }
}

#[test]
fn asking_changes_nothing_and_a_timer_fires_once() {
    let start = Instant::now();
    let at = |seconds| start + seconds * SECOND;
    let mut clocks = Clocks::new(start, Arc::new(TIMEOUTS));
    assert_eq!(clocks.next(), Some(at(10)));
    assert_eq!(clocks.next(), Some(at(10)));
    assert_eq!(clocks.fire(at(9)), None);
    assert_eq!(clocks.fire(at(10)), Some(Timer::Request));
    assert_eq!(clocks.fire(at(10)), None);
    assert_eq!(clocks.next(), Some(at(20)), "the Ping");
}

#[test]
fn a_request_has_its_whole_time_while_nobody_needs_the_place() {
    let start = Instant::now();
    let at = |seconds| start + seconds * SECOND;
    let mut clocks = Clocks::new(start, Arc::new(TIMEOUTS));
    for part in [10, 20] {
        assert_eq!(clocks.fire(at(part)), Some(Timer::Request));
        assert!(clocks.request_may_wait(at(part), false));
    }
    assert_eq!(clocks.timers.get(Timer::Request), Some(at(30)));
    assert_eq!(clocks.fire(at(30)), Some(Timer::Request));
    assert!(!clocks.request_may_wait(at(30), false));
}

#[test]
fn a_request_has_a_part_of_its_time_where_others_need_the_place() {
    let start = Instant::now();
    let at = |seconds| start + seconds * SECOND;
    let mut clocks = Clocks::new(start, Arc::new(TIMEOUTS));
    assert!(clocks.request_may_wait(at(10), false));
    assert!(!clocks.request_may_wait(at(20), true));
    // It is refused, and has all of its time again.
    clocks.request_due(at(25));
    assert!(clocks.request_may_wait(at(35), false));
    assert!(clocks.request_may_wait(at(45), false));
    assert!(!clocks.request_may_wait(at(55), false));
}

#[test]
fn a_refusal_waits_for_its_time_and_the_next_request_has_its_own() {
    let (at, mut clocks) = begin();
    clocks.refusal_due(at(1), 5 * SECOND);
    assert_eq!(clocks.next(), Some(at(6)));
    assert_eq!(clocks.fire(at(6)), Some(Timer::Refusal));
    clocks.request_due(at(6));
    assert_eq!(clocks.next(), Some(at(16)));
}

#[test]
fn the_close_is_due_once_what_is_in_front_of_ours_has_arrived() {
    let (at, mut clocks) = begin();
    clocks.closing();
    assert_eq!(clocks.next(), None, "no Ping any more");
    clocks.close_due(at(2), true);
    assert_eq!(clocks.next(), Some(at(62)));
    clocks.close_due(at(3), false);
    clocks.read(at(4), Paused);
    assert_eq!(clocks.next(), Some(at(62)));
    clocks.arrived(at(50), true);
    assert_eq!(clocks.next(), Some(at(110)));
    clocks.arrived(at(51), false);
    assert_eq!(clocks.next(), Some(at(51) + CLOSE_TIMEOUT));
    clocks.end_due(at(52));
    assert_eq!(clocks.fire(at(52)), Some(Timer::Close));
    assert_eq!(clocks.next(), None);

    clocks.close_due(at(60), false);
    assert_eq!(clocks.next(), Some(at(60) + CLOSE_TIMEOUT));
}

#[test]
fn what_nobody_takes_is_looked_at_after_a_stall_and_then_at_every_interval() {
    let (at, mut clocks) = begin();
    clocks.closing();
    clocks.under_way(at(0), 100);
    clocks.under_way(at(30), 99);
    clocks.under_way(at(50), 99);
    assert_eq!(clocks.next(), Some(at(90)));
    assert_eq!(clocks.fire(at(90)), Some(Timer::Untaken));
    clocks.still_under_way(at(90));
    clocks.under_way(at(100), 99);
    assert_eq!(clocks.next(), Some(at(110)));
    clocks.taken();
    assert_eq!(clocks.next(), None);
}

#[test]
fn a_pace_wakes_when_it_may_go_on_and_not_after() {
    let (at, mut clocks) = begin();
    clocks.paced(Some(at(1)));
    assert_eq!(clocks.next(), Some(at(1)));
    clocks.paced(None);
    assert_eq!(clocks.next(), Some(at(20)));
}

#[test]
fn what_waits_for_who_has_said_close_has_its_time_from_then() {
    let (at, mut clocks) = begin();
    clocks.closing();
    clocks.last_write_due(at(3));
    assert_eq!(clocks.next(), Some(at(3) + CLOSE_TIMEOUT));
}

#[test]
fn a_look_keeps_its_time_unless_the_peer_takes_something() {
    let (at, mut clocks) = begin();
    let step = TIMEOUTS.stall / LOOKS_AT_A_STALL;
    clocks.wrote(at(0), 0, Some(Wait::System));
    clocks.wrote(at(1), 0, Some(Wait::System));
    assert_eq!(clocks.next(), Some(at(0) + step));
    clocks.wrote(at(2), 1, Some(Wait::System));
    assert_eq!(clocks.next(), Some(at(2) + step));
}

#[test]
fn what_came_before_the_ping_was_sent_does_not_prolong_its_time() {
    let (at, mut clocks) = begin();
    clocks.heard(at(20));
    clocks.pinged(at(20), false);
    assert_eq!(clocks.due(at(25), InMessage), Due::Dead);
}

#[test]
fn who_may_have_answered_during_a_pause_is_judged_once_that_was_read() {
    let (at, mut clocks) = begin();
    clocks.pinged(at(20), false);
    assert_eq!(clocks.fire(at(1000)), Some(Timer::Pong));
    assert!(clocks.put_off(Timer::Pong, at(1000), || true));
    assert_eq!(clocks.next(), Some(at(1000) + TIME_TO_READ));
    assert_eq!(clocks.fire(at(1002)), Some(Timer::Pong));
    assert!(!clocks.put_off(Timer::Pong, at(1002), || true), "once");

    // The next Ping is another one.
    clocks.pinged(at(1003), false);
    assert_eq!(clocks.fire(at(1100)), Some(Timer::Pong));
    assert!(clocks.put_off(Timer::Pong, at(1100), || true));
}

#[test]
fn nothing_is_put_off_for_who_has_sent_nothing_nor_what_judges_nobody() {
    let (at, mut clocks) = begin();
    assert!(!clocks.put_off(Timer::Pong, at(1), || false));
    for timer in [Timer::Ping, Timer::Look, Timer::Close, Timer::Pace] {
        assert!(!clocks.put_off(timer, at(1), || panic!("{timer:?} asks")));
    }
}
