//! Whoever waits for bytes to be given back is woken, in whatever order several threads run: loom
//! tries each that can make a difference.
//!
//! What is compiled here is the relay's own source, with atomics that loom can schedule. Loom takes
//! `SeqCst` for `AcqRel`: what holds here needs no more than that.
#![allow(clippy::unwrap_used)]

use std::{future::poll_fn, sync::Arc, task::Poll};

use loom::{future::block_on, model::Builder, thread};

#[allow(
    dead_code,
    reason = "the relay uses more of it than can go wrong between threads"
)]
#[path = "../src/flow/credit.rs"]
mod credit;
#[allow(dead_code, reason = "nobody reads the account here")]
#[path = "../src/flow/ledger.rs"]
mod ledger;
#[path = "window/sync.rs"]
mod sync;

use credit::{Credit, Pool, Share, Window};

/// Tries every order of threads that interrupts one of them no more than twice.
fn model(run: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(run);
}

/// Waits for the window to open, as the session's task does; loom ends the test if nobody can wake
/// it any more.
fn wait_for_room(window: &Window) -> usize {
    block_on(poll_fn(|cx| match window.poll_free(cx) {
        0 => Poll::Pending,
        free => Poll::Ready(free),
    }))
}

fn wait_until_empty(pool: &Pool) {
    block_on(poll_fn(|cx| match pool.poll_empty(cx) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    }));
}

/// What is out of a window of `limit` bytes: on each of several threads a list of credits, dropped
/// in this order, and one that stays out.
#[derive(Clone, Copy)]
struct Out {
    limit: usize,
    dropped: &'static [&'static [usize]],
    kept: usize,
}

fn a_reader_wakes(out: Out) {
    let Out {
        limit,
        dropped,
        kept,
    } = out;
    model(move || {
        let window = Window::new(limit);
        let charge = |&amount: &usize| Credit::charge(&window, amount);
        let kept = charge(&kept);
        let droppers: Vec<_> = dropped
            .iter()
            .map(|amounts| amounts.iter().map(charge).collect::<Vec<_>>())
            .collect();
        let droppers: Vec<_> = droppers
            .into_iter()
            .map(|credits| thread::spawn(move || drop(credits)))
            .collect();
        let free = wait_for_room(&window);
        assert!(free <= limit);
        for dropper in droppers {
            dropper.join().unwrap();
        }
        drop(kept);
        assert_eq!((window.used(), window.free()), (0, limit));
    });
}

#[test]
fn a_reader_wakes_when_one_thread_gives_back() {
    let dropped: [(usize, &[&[usize]], usize); _] = [
        (1, &[&[1]], 0),
        (1, &[&[1, 1]], 0),
        (1, &[&[9]], 0),
        (2, &[&[2]], 0),
        (2, &[&[1]], 1),
        (2, &[&[1, 1]], 1),
        (3, &[&[1, 1]], 1),
        (4, &[&[1, 1]], 2),
        (5, &[&[1, 2]], 2),
        (100, &[&[20, 20, 20]], 40),
        (100, &[&[1, 400]], 50),
    ];
    for (limit, dropped, kept) in dropped {
        a_reader_wakes(Out {
            limit,
            dropped,
            kept,
        });
    }
}

#[test]
fn a_reader_wakes_when_two_threads_give_back() {
    let dropped: [(usize, &[&[usize]], usize); _] = [
        (1, &[&[1], &[1]], 0),
        (1, &[&[1, 1], &[2]], 0),
        (2, &[&[1], &[1]], 0),
        (2, &[&[1], &[1]], 1),
        (3, &[&[1], &[2]], 1),
        (4, &[&[1], &[2]], 2),
        (100, &[&[20, 20], &[30]], 40),
        (100, &[&[30, 1], &[400]], 50),
    ];
    for (limit, dropped, kept) in dropped {
        a_reader_wakes(Out {
            limit,
            dropped,
            kept,
        });
    }
}

#[test]
fn a_reader_that_reads_on_wakes_every_time() {
    for limit in [1, 2, 5] {
        model(move || {
            let window = Window::new(limit);
            let droppers: Vec<_> = (0..3)
                .map(|_| {
                    assert!(wait_for_room(&window) > 0);
                    // So that there are two under way when it is full.
                    let credit = Credit::charge(&window, limit.div_ceil(2));
                    thread::spawn(move || drop(credit))
                })
                .collect();
            assert!(wait_for_room(&window) > 0);
            for dropper in droppers {
                dropper.join().unwrap();
            }
            assert_eq!(window.used(), 0);
        });
    }
}

#[test]
fn who_waits_for_all_windows_to_be_empty_wakes_at_the_last_credit_of_any() {
    model(|| {
        let total = Pool::new(0);
        let droppers = [1, 2].map(|amount| {
            let window = Window::part_of(&total, &Default::default(), 1);
            let credits = [amount, 1].map(|amount| Credit::charge(&window, amount));
            thread::spawn(move || drop(credits))
        });
        wait_until_empty(&total);
        assert_eq!(total.used(), 0);
        for dropper in droppers {
            dropper.join().unwrap();
        }
    });
}

#[test]
fn a_window_wakes_its_reader_and_who_waits_for_the_total() {
    model(|| {
        let total = Pool::new(0);
        let window = Window::part_of(&total, &Default::default(), 2);
        let credits = [1, 1, 1].map(|amount| Credit::charge(&window, amount));
        let reader = thread::spawn(move || wait_for_room(&window));
        let dropper = thread::spawn(move || drop(credits));
        wait_until_empty(&total);
        assert!(reader.join().unwrap() > 0);
        dropper.join().unwrap();
    });
}

#[test]
fn who_waits_for_a_pool_to_be_empty_wakes_at_its_last_share() {
    model(|| {
        let pool = Pool::new(3);
        let takers = [1, 2].map(|amount| {
            let pool = Arc::clone(&pool);
            let first = Share::take(&pool, 1);
            thread::spawn(move || {
                let _second = Share::try_take(&pool, amount);
                drop(first);
            })
        });
        wait_until_empty(&pool);
        for taker in takers {
            taker.join().unwrap();
        }
        assert_eq!(pool.used(), 0);
    });
}

#[test]
fn shares_never_pass_the_limit_and_come_back_exactly() {
    for (limit, amounts) in [(1, [1, 1]), (2, [1, 2]), (3, [1, 2]), (3, [2, 2])] {
        model(move || {
            let pool = Pool::new(limit);
            let takers = amounts.map(|amount| {
                let pool = Arc::clone(&pool);
                thread::spawn(move || {
                    let share = Share::try_take(&pool, amount);
                    assert!(pool.used() <= limit);
                    share
                })
            });
            let shares = takers.map(|taker| taker.join().unwrap());
            let taken = shares.iter().zip(amounts);
            let taken = taken.filter(|(share, _)| share.is_ok());
            assert_eq!(pool.used(), taken.map(|(_, amount)| amount).sum());
            // Whoever comes first fits, and both do where that is within the limit.
            let both = amounts.iter().sum::<usize>() <= limit;
            assert!(shares.iter().any(Result::is_ok));
            assert_eq!(shares.iter().all(Result::is_ok), both);
            drop(shares);
            assert_eq!(pool.used(), 0);
        });
    }
}

#[test]
fn parts_never_pass_the_limit_of_the_whole_and_all_of_it_comes_back() {
    // Parts of two units each, and wholes that hold one of them, or both.
    for limit in [2, 3, 4] {
        model(move || {
            let whole = Pool::new(limit);
            let takers = [(); 2].map(|()| {
                let (part, whole) = (Pool::part_of(&whole, 2), Arc::clone(&whole));
                thread::spawn(move || {
                    let share = Share::try_take(&part, 2);
                    assert!(whole.used() <= limit);
                    assert_eq!(part.used(), if share.is_ok() { 2 } else { 0 });
                    share
                })
            });
            let shares = takers.map(|taker| taker.join().unwrap());
            let taken = shares.iter().filter(|share| share.is_ok()).count();
            assert_eq!((taken, whole.used()), (limit / 2, 2 * taken));
            drop(shares);
            assert_eq!(whole.used(), 0);
        });
    }
}
