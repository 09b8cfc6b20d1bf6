//! Answers that come late on purpose: how joins beyond the budget of wrong codes wait for their
//! turn, and that who leaves meanwhile has left. The clock is moved, and nobody sleeps.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code, reason = "other tests use the rest of it")]
#[path = "deadlines/site.rs"]
mod site;

use std::time::Duration;

use futures_util::FutureExt;
use relay_testing::{
    Raw, frame, reply,
    wire::{CLOSE, PING, TEXT},
};

use self::site::{LATE, Site, TICK, at_a_still_clock, expect_last_close, next_now, now, settle};

/// Wrong codes that an address has at once.
const BUDGET: u32 = 10;
/// The time in which it has one more.
const STEP: Duration = Duration::from_secs(60);
/// Joins from one address that may wait.
const LINE: usize = 5;
/// The longest that the answer to a wrong code is held back for those of others.
const LONGEST: Duration = Duration::from_secs(5);
const SECOND: Duration = Duration::from_secs(1);

/// An address whose budget is spent, and another.
const SPENT: &str = "198.51.100.7";
const ELSEWHERE: &str = "198.51.100.1";

fn seconds(number: u32) -> Duration {
    SECOND * number
}

/// Asks to join, and does not wait for the answer.
async fn ask(client: &mut Raw, code: &str) {
    client.send(frame(TEXT, reply::join(code))).await;
}

/// The next of the relay's words that is there, in which Pings do not count.
fn word(client: &mut Raw) -> Option<String> {
    loop {
        let frame = next_now(client)?;
        if frame.opcode != PING {
            return Some(String::from_utf8_lossy(&frame.payload).into_owned());
        }
    }
}

impl Site {
    /// Spends the budget of an address, a code a second; its next turn.
    async fn spend(&self, client: &str) -> Duration {
        let begun = now() - self.begun;
        let mut guesser = self.connect_for(client).await;
        for second in 0..BUDGET {
            self.at(begun + seconds(second)).await;
            ask(&mut guesser, "wrong1").await;
            guesser.expect_error("room_not_found").await;
        }
        guesser.vanish();
        begun + STEP
    }

    /// Waits until so many joins wait.
    async fn until_waiting(&self, joins: usize) {
        while self.now().waiting != joins {
            settle().await;
        }
    }
}

#[test]
fn beyond_the_budget_a_right_code_is_answered_at_the_turn_of_a_wrong_one() {
    at_a_still_clock(async |site| {
        let mut sender = site.connect_for(ELSEWHERE).await;
        let code = sender.create_room().await;
        let turn = site.spend(SPENT).await;
        let mut clients = Vec::new();
        // The first to come is tried first.
        for (count, code) in ["wrong2", &code, &code, "wrong3"].into_iter().enumerate() {
            let mut client = site.connect_for(SPENT).await;
            ask(&mut client, code).await;
            site.until_waiting(count + 1).await;
            clients.push(client);
        }
        site.alive_until(turn - TICK, [&mut sender]).await;
        let words: Vec<_> = clients.iter_mut().map(word).collect();
        assert_eq!(words, [const { None }; 4], "nobody hears anything before");
        // One wrong code, and no other.
        site.at(turn + LATE).await;
        let words: Vec<_> = clients.iter_mut().map(word).collect();
        assert!(words[0].as_ref().unwrap().contains("room_not_found"));
        assert_eq!(words[1..], [const { None }; 3]);
        // Right ones are for nothing, so that another has its turn at once.
        site.alive_until(turn + STEP - TICK, [&mut sender]).await;
        assert_eq!(site.now().waiting, 3, "sooner");
        site.at(turn + STEP + LATE).await;
        let words: Vec<_> = clients[1..].iter_mut().filter_map(word).collect();
        assert_eq!(words.len(), 3);
        assert!(words[..2].iter().all(|word| word.contains("ROOM_JOINED")));
        assert!(words[2].contains("room_not_found"));
        assert_eq!(site.now().waiting, 0);
    });
}

#[test]
fn others_wait_for_nobody_and_who_is_over_the_line_is_told_when_to_come_back() {
    at_a_still_clock(async |site| {
        let mut sender = site.connect_for(ELSEWHERE).await;
        let code = sender.create_room().await;
        let turn = site.spend(SPENT).await;
        let mut waiting = Vec::new();
        for count in 1..=LINE {
            let mut client = site.connect_for(SPENT).await;
            ask(&mut client, &code).await;
            site.until_waiting(count).await;
            waiting.push(client);
        }
        let mut over = site.connect_for(SPENT).await;
        ask(&mut over, &code).await;
        let error = over.next_json("a refusal").await;
        reply::assert_error(&error, "rate_limited");
        let left = turn - (now() - site.begun);
        assert_eq!(error["retry_after"], left.as_secs(), "{error}");
        // Opening a room is no guess, and nobody else's join waits.
        site.connect_for(SPENT).await.create_room().await;
        site.connect_for("198.51.100.8").await.join(&code).await;

        // Who leaves makes way at once, and the next waits in its place.
        settle().await;
        let before = site.sessions();
        waiting.pop().unwrap().vanish();
        site.until_waiting(LINE - 1).await;
        settle().await;
        assert_eq!(site.sessions(), before - 1);
        let mut next = site.connect_for(SPENT).await;
        ask(&mut next, &code).await;
        site.until_waiting(LINE).await;
    });
}

#[test]
fn a_home_is_one_guesser_however_many_networks_it_has() {
    at_a_still_clock(async |site| {
        let mut found = 0;
        for number in 0..u8::MAX {
            let client = format!("2001:db8:1:{number:x}::1");
            let mut guesser = site.connect_for(&client).await;
            ask(&mut guesser, "wrong1").await;
            settle().await;
            site.at(now() - site.begun + STEP / 100).await;
            if site.now().waiting > 0 {
                break;
            }
            found += 1;
            guesser.vanish();
        }
        // A /56 has the budget of four addresses, and what comes back meanwhile.
        let back = (now() - site.begun).as_secs() / (STEP / 4).as_secs();
        let most = 4 * u64::from(BUDGET) + back;
        assert!((most - 1..=most).contains(&found), "{found} of {most}");
        // Another home is another matter.
        let mut other = site.connect_for("2001:db8:2::1").await;
        ask(&mut other, "wrong1").await;
        site.at(now() - site.begun + LONGEST).await;
        other.expect_error("room_not_found").await;
    });
}

#[test]
fn who_waits_has_its_pings_answered_and_may_say_goodbye() {
    at_a_still_clock(async |site| {
        let turn = site.spend(SPENT).await;
        let mut polite = site.connect_for(SPENT).await;
        let mut talker = site.connect_for(SPENT).await;
        for client in [&mut polite, &mut talker] {
            ask(client, "wrong2").await;
        }
        site.until_waiting(2).await;
        polite.round_trip().await;
        polite.send(frame(CLOSE, 1000_u16.to_be_bytes())).await;
        expect_last_close(&mut polite, 1000, "").await;
        site.until_waiting(1).await;

        // Neither what comes behind other data is answered, nor more than a few of them.
        talker.round_trip().await;
        talker.send(frame(TEXT, "no request")).await;
        talker.send(frame(PING, "later")).await;
        settle().await;
        assert_eq!(next_now(&mut talker), None);
        site.at(turn + LATE).await;
        talker.expect_error("room_not_found").await;
        talker.expect_error("invalid_request").await;
        assert_eq!(&talker.next("a pong").await.payload[..], b"later");
    });
}

#[test]
fn a_flood_of_pings_of_somebody_who_waits_ends_soon() {
    at_a_still_clock(async |site| {
        let _turn = site.spend(SPENT).await;
        let mut flooder = site.connect_for(SPENT).await;
        ask(&mut flooder, "wrong2").await;
        site.until_waiting(1).await;
        let pings = frame(PING, "").encode();
        // As many as the system holds.
        while let Some(Ok(())) = flooder.try_write(&pings.repeat(1000)).now_or_never() {}
        settle().await;
        let mut answered = 0;
        while next_now(&mut flooder).is_some() {
            answered += 1;
        }
        assert!(answered > 0 && answered * pings.len() <= 4096, "{answered}");
    });
}

/// Has so many wrong codes come from all over that the next answer is as late as any.
async fn brake(site: &Site) -> Vec<Raw> {
    let mut guessers = Vec::new();
    for number in 0..60 {
        let mut guesser = site.connect_for(&format!("198.51.100.{number}")).await;
        ask(&mut guesser, "wrong1").await;
        guessers.push(guesser);
    }
    settle().await;
    guessers
}

#[test]
fn who_leaves_while_its_answer_is_held_back_has_left() {
    at_a_still_clock(async |site| {
        let held = brake(site).await;
        assert_eq!(site.sessions(), 60);
        // One has sent all its guesses at once.
        let mut eager = site.connect_for("203.0.113.1").await;
        let guesses = frame(TEXT, reply::join("wrong1")).encode();
        eager.write(&guesses.repeat(BUDGET as usize)).await;
        settle().await;
        for client in held.into_iter().chain([eager]) {
            client.vanish();
        }
        settle().await;
        assert_eq!((site.sessions(), now()), (0, site.begun), "at once");
    });
}

#[test]
fn who_leaves_behind_more_than_is_read_ahead_has_left_when_its_answer_is_due() {
    at_a_still_clock(async |site| {
        let held = brake(site).await;
        let mut eager = site.connect_for("203.0.113.1").await;
        let long = frame(TEXT, format!("{:4000}", reply::join("wrong1"))).encode();
        eager.write(&long.repeat(3 * BUDGET as usize)).await;
        settle().await;
        eager.vanish();
        drop(held);
        site.one_ends_at(1, LONGEST).await;
    });
}

#[test]
fn what_follows_a_held_request_is_answered_in_its_turn() {
    at_a_still_clock(async |site| {
        let _held = brake(site).await;
        let mut sender = site.connect_for(ELSEWHERE).await;
        let code = sender.create_room().await;
        // A wrong code, a right one and a message, which come in pieces.
        let mut eager = site.connect_for("203.0.113.1").await;
        ask(&mut eager, "wrong1").await;
        settle().await;
        let rest = [
            frame(TEXT, reply::join(&code)).encode(),
            frame(TEXT, "and a message").encode(),
        ]
        .concat();
        for piece in rest.chunks(7) {
            eager.write(piece).await;
            settle().await;
        }
        assert_eq!(word(&mut eager), None);
        site.at(LONGEST + LATE).await;
        eager.expect_error("room_not_found").await;
        assert!(word(&mut eager).unwrap().contains("ROOM_JOINED"));
        sender.expect_peer().await;
        let message = sender.next("the message").await;
        assert_eq!(&message.payload[..], b"and a message");
    });
}
