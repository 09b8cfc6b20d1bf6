//! The counts and their wake-ups, one call after another; any order of calls from several threads
//! is tried in `tests/window.rs`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Wake, Waker},
};

use super::{
    credit::{Credit, Full, Pool, Share, Window},
    ledger::{Dropped, Ledger},
};

#[derive(Default)]
struct Flag(AtomicBool);

impl Flag {
    fn is_set(&self) -> bool {
        self.0.load(SeqCst)
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

#[test]
fn a_credit_gives_back_what_it_took_to_both_counts() {
    let total = Pool::new(0);
    let window = Window::part_of(&total, &Arc::default(), 100);
    let credits = [60, 70].map(|amount| Credit::charge(&window, amount));
    assert_eq!((window.used(), total.used(), window.free()), (130, 130, 0));
    drop(credits);
    assert_eq!((window.used(), total.used(), window.free()), (0, 0, 100));
}

#[test]
fn a_share_is_wanted_once_more_than_half_is_taken_of_a_pool_around_it() {
    let whole = Pool::new(8);
    let (part, other) = (Pool::part_of(&whole, 2), Pool::part_of(&whole, 8));
    let first = Share::try_take(&part, 1).unwrap();
    assert!(!first.is_wanted());
    let second = Share::try_take(&part, 1).unwrap();
    let elsewhere = Share::try_take(&other, 1).unwrap();
    assert_eq!([&first, &elsewhere].map(Share::is_wanted), [true, false]);
    drop(second);
    let _many = Share::try_take(&other, 3).unwrap();
    assert_eq!([&first, &elsewhere].map(Share::is_wanted), [true, true]);
}

#[test]
fn who_waits_for_the_total_to_be_empty_is_woken() {
    let total = Pool::new(usize::MAX);
    let windows = [(); 2].map(|()| Window::part_of(&total, &Arc::default(), 100));
    let credits = windows.each_ref().map(|window| Credit::charge(window, 1));
    let flag = Arc::new(Flag::default());
    let waker = Waker::from(Arc::clone(&flag));
    assert!(!total.poll_empty(&Context::from_waker(&waker)));
    let [first, last] = credits;
    drop(first);
    assert!(!flag.is_set(), "one is left");
    drop(last);
    assert!(flag.is_set());
    assert!(total.poll_empty(&Context::from_waker(&waker)));
}

#[test]
fn try_take_stops_at_the_limit() {
    let pool = Pool::new(2);
    let kept = [Share::try_take(&pool, 1), Share::try_take(&pool, 1)];
    assert!(kept.iter().all(Result::is_ok));
    for amount in [1, usize::MAX] {
        assert_eq!(
            Share::try_take(&pool, amount).unwrap_err(),
            Full::Whole,
            "{amount}"
        );
    }
    drop(kept);
    assert!(Share::try_take(&pool, 2).is_ok());
}

#[test]
fn a_part_is_taken_out_of_the_whole_too_or_out_of_neither() {
    let whole = Pool::new(5);
    let network = Pool::part_of(&whole, 4);
    let [near, far] = [(); 2].map(|()| Pool::part_of(&network, 3));
    let used = || [&near, &far, &network, &whole].map(|pool| pool.used());

    let first = Share::try_take(&near, 3).unwrap();
    assert_eq!(Share::try_take(&near, 1).unwrap_err(), Full::Part);
    assert_eq!(Share::try_take(&far, 2).unwrap_err(), Full::Part);
    assert_eq!(used(), [3, 0, 3, 3], "a refusal takes nothing");
    let second = Share::try_take(&far, 1).unwrap();
    let elsewhere = Share::try_take(&whole, 1).unwrap();
    drop(second);
    let past_the_limit = Share::take(&whole, 1);
    assert_eq!(Share::try_take(&far, 1).unwrap_err(), Full::Whole);
    assert_eq!(used(), [3, 0, 3, 5]);

    drop((first, elsewhere, past_the_limit));
    assert_eq!(used(), [0; 4]);
    let all = Share::take(&far, 9);
    assert_eq!(used(), [0, 9, 9, 9]);
    drop(all);
    assert_eq!(used(), [0; 4]);
}

#[test]
fn a_merged_share_gives_back_the_sum_once() {
    let pool = Pool::new(10);
    let mut share = Share::take(&pool, 3);
    share.merge(Share::take(&pool, 4));
    assert_eq!(pool.used(), 7);
    drop(share);
    assert_eq!(pool.used(), 0);
}

#[test]
fn a_loan_leaves_half_of_each_pool_to_others() {
    let whole = Pool::new(100);
    let part = Pool::part_of(&whole, 40);
    assert!(Share::try_borrow(&part, 21).is_none());
    let _loan = Share::try_borrow(&part, 20).unwrap();
    assert!(Share::try_borrow(&part, 1).is_none());
    assert!(Share::try_take(&part, 20).is_ok());
    let _others = Share::take(&whole, 20);
    let (other, most) = (Pool::part_of(&whole, 40), 10);
    assert!(Share::try_borrow(&other, most + 1).is_none());
    assert!(Share::try_borrow(&other, most).is_some());
}

#[test]
fn a_full_window_wakes_its_reader_at_half() {
    let window = Window::new(100);
    let (flag, credits) = (Arc::new(Flag::default()), [20; 4]);
    let mut credits: Vec<_> = credits.map(|n| Credit::charge(&window, n)).into();
    let waker = Waker::from(Arc::clone(&flag));
    assert_eq!(window.poll_free(&Context::from_waker(&waker)), 0);
    credits.pop();
    assert!(!flag.is_set(), "60 of 100 are still out");
    credits.pop();
    assert!(flag.is_set());
    assert_eq!(window.free(), 60);
}

#[test]
fn what_is_free_is_not_taken_in_crumbs() {
    for (limit, used, free) in [
        (100, 75, 25),
        (100, 76, 0),
        (100, 1000, 0),
        (4, 3, 1),
        (4, 4, 0),
        (1, 0, 1),
        (1, 1, 0),
    ] {
        let window = Window::new(limit);
        let _credit = Credit::charge(&window, used);
        assert_eq!(window.free(), free, "{used} of {limit}");
    }
}

#[test]
fn payload_is_booked_once_whatever_becomes_of_its_credit() {
    let ledger = Arc::<Ledger>::default();
    let window = Window::part_of(&Pool::new(0), &ledger, 100);
    let booked = |bytes| {
        let mut credit = Credit::charge(&window, 0);
        credit.take_payload(bytes);
        credit
    };
    let mut given = booked(10);
    given.given();
    given.dropped(Dropped::NoPeer);
    drop(given);
    let mut dropped = booked(20);
    dropped.dropped(Dropped::NoPeer);
    drop(dropped);
    drop(booked(40));
    let (mut first, mut second) = (booked(80), booked(160));
    first.take_over(&mut second, 60);
    first.given();
    let account = ledger.account();
    assert_eq!((account.taken, account.given), (310, 150));
    assert_eq!(account.dropped(Dropped::NoPeer), 20);
    assert_eq!(account.dropped(Dropped::PeerGone), 40);
    assert_eq!((account.held, second.payload()), (100, 100));
    assert!(account.is_even(), "{account:?}");
}
