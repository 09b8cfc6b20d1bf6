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
/// Of silence before a Ping, and from there to the end.
const SILENCE: Duration = Duration::from_secs(20);
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

/// The next of the relay's words that is there. Its Pings before that are answered.
async fn word(client: &mut Raw) -> Option<String> {
    loop {
        let frame = next_now(client)?;
        if frame.opcode != PING {
            return Some(String::from_utf8_lossy(&frame.payload).into_owned());
        }
        client.pong(&frame.payload).await;
    }
}

/// The next word of each.
async fn words(clients: &mut [Raw]) -> Vec<Option<String>> {
    let mut words = Vec::new();
    for client in clients {
        words.push(word(client).await);
    }
    words
}

/// The relay tells a client this at the moment, and why.
async fn expect_refusal(client: &mut Raw, reason: &str) {
    let word = word(client).await.expect("its turn");
    reply::assert_error(&reply::parse(&word), reason);
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

    /// Moves the clock to so long after the beginning, while these clients answer their Pings and hear
    /// nothing else.
    async fn quiet_until(&self, time: Duration, clients: &mut [Raw]) {
        const OFTEN: Duration = Duration::from_secs(10);
        while let left = time.saturating_sub(now() - self.begun)
            && !left.is_zero()
        {
            self.at(time - left + left.min(OFTEN)).await;
            for client in &mut *clients {
                while let Some(frame) = next_now(client) {
                    assert_eq!(frame.opcode, PING, "{frame:?}");
                    client.pong(&frame.payload).await;
                }
            }
        }
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
        let mut clients = vec![sender];
        // The first to come is tried first.
        for (count, code) in ["wrong2", &code, &code, "wrong3"].into_iter().enumerate() {
            let mut client = site.connect_for(SPENT).await;
            ask(&mut client, code).await;
            site.until_waiting(count + 1).await;
            clients.push(client);
        }
        // Nobody hears anything before.
        site.quiet_until(turn - TICK, &mut clients).await;
        // One wrong code, and no other.
        site.at(turn + LATE).await;
        let sender = clients.remove(0);
        let words = self::words(&mut clients).await;
        assert!(words[0].as_ref().unwrap().contains("room_not_found"));
        assert_eq!(words[1..], [const { None }; 3]);
        // Right ones are for nothing, so that another has its turn at once.
        clients[0] = sender;
        site.quiet_until(turn + STEP - TICK, &mut clients).await;
        assert_eq!(site.now().waiting, 3, "sooner");
        site.at(turn + STEP + LATE).await;
        let words = self::words(&mut clients[1..]).await;
        let words: Vec<_> = words.into_iter().flatten().collect();
        assert_eq!(words.len(), 3);
        assert!(words[..2].iter().all(|word| word.contains("ROOM_JOINED")));
        assert!(words[2].contains("room_not_found"));
        assert_eq!(site.now().waiting, 0);
    });
}

#[test]
fn who_came_to_wait_first_is_tried_first_and_who_guesses_again_is_the_last() {
    at_a_still_clock(async |site| {
        // The guesser's session is the oldest of them all.
        let mut guesser = site.connect_for(SPENT).await;
        let mut sender = site.connect_for(ELSEWHERE).await;
        let code = sender.create_room().await;
        for second in 0..BUDGET {
            site.at(seconds(second)).await;
            ask(&mut guesser, "wrong1").await;
            guesser.expect_error("room_not_found").await;
        }
        let mut neighbours = [site.connect_for(SPENT).await, site.connect_for(SPENT).await];
        ask(&mut neighbours[1], "wrong2").await;
        site.until_waiting(1).await;
        ask(&mut guesser, "wrong3").await;
        site.until_waiting(2).await;
        ask(&mut neighbours[0], &code).await;
        site.until_waiting(3).await;
        let [right, wrong] = neighbours;
        let mut clients = [sender, right, guesser, wrong];
        site.quiet_until(STEP - TICK, &mut clients).await;
        // The one that came first, though its session is the youngest.
        site.at(STEP + LATE).await;
        expect_refusal(&mut clients[3], "room_not_found").await;
        // Then the guesser, which asks again at once and is behind the neighbour from there on.
        site.quiet_until(2 * STEP - TICK, &mut clients[..3]).await;
        site.at(2 * STEP + LATE).await;
        expect_refusal(&mut clients[2], "room_not_found").await;
        ask(&mut clients[2], "wrong4").await;
        site.until_waiting(2).await;
        site.quiet_until(3 * STEP - TICK, &mut clients[..3]).await;
        site.at(3 * STEP + LATE).await;
        let answer = word(&mut clients[1]).await.expect("its turn");
        assert!(answer.contains("ROOM_JOINED"), "{answer}");
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
fn who_waits_and_is_silent_is_ended_as_anybody_is() {
    at_a_still_clock(async |site| {
        let turn = site.spend(SPENT).await;
        let begun = now() - site.begun;
        let mut silent = site.connect_for(SPENT).await;
        ask(&mut silent, "wrong2").await;
        site.until_waiting(1).await;
        site.one_ends_at(1, begun + 2 * SILENCE).await;
        assert!(begun + 2 * SILENCE < turn);
        assert_eq!(silent.next("a ping").await.opcode, PING);
        expect_last_close(&mut silent, 1008, "ping_timeout").await;
        assert_eq!(site.now().waiting, 0, "its place is free");
    });
}

#[test]
fn who_has_said_more_behind_its_join_is_judged_once_that_is_answered() {
    at_a_still_clock(async |site| {
        let turn = site.spend(SPENT).await;
        let mut silent = site.connect_for(SPENT).await;
        ask(&mut silent, "wrong2").await;
        silent.send(frame(TEXT, "more")).await;
        site.until_waiting(1).await;
        // A Pong would be behind that.
        site.at(turn - TICK).await;
        assert_eq!(site.sessions(), 1);
        site.at(turn + 2 * SILENCE + LATE).await;
        assert_eq!(site.sessions(), 0);
    });
}

#[test]
fn of_many_pings_that_one_read_brings_each_is_answered() {
    at_a_still_clock(async |site| {
        let _turn = site.spend(SPENT).await;
        let mut client = site.connect_for(SPENT).await;
        let pings = (0..100_u32).map(|number| frame(PING, number.to_be_bytes()).encode());
        let join = frame(TEXT, reply::join("wrong2")).encode();
        let all = [join].into_iter().chain(pings).collect::<Vec<_>>().concat();
        client.write(&all).await;
        for number in 0..100_u32 {
            let pong = client.next("a pong").await;
            assert_eq!(pong.payload[..], number.to_be_bytes());
        }
    });
}

#[test]
fn a_flood_of_pings_behind_a_join_that_waits_is_one() {
    at_a_still_clock(async |site| {
        let _turn = site.spend(SPENT).await;
        let mut flooder = site.connect_for(SPENT).await;
        let pings = frame(PING, "").encode().repeat(2000);
        let join = frame(TEXT, reply::join("wrong2")).encode();
        flooder.write(&[join, pings].concat()).await;
        let close = loop {
            let frame = flooder.next("the end").await;
            if frame.opcode == CLOSE {
                break frame;
            }
        };
        assert_eq!(&close.payload[2..], b"control_flood");
        assert_eq!(site.now().waiting, 0);
    });
}

#[test]
fn who_has_said_goodbye_is_not_kept_for_what_it_said_before() {
    at_a_still_clock(async |site| {
        let mut flooder = site.connect_for(SPENT).await;
        let pings = frame(PING, "").encode().repeat(2000);
        let close = frame(CLOSE, 1000_u16.to_be_bytes()).encode();
        flooder.write(&[pings, close].concat()).await;
        settle().await;
        assert_eq!((site.sessions(), now()), (0, site.begun), "at once");
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
        assert_eq!(word(&mut eager).await, None);
        site.at(LONGEST + LATE).await;
        eager.expect_error("room_not_found").await;
        assert!(word(&mut eager).await.unwrap().contains("ROOM_JOINED"));
        sender.expect_peer().await;
        let message = sender.next("the message").await;
        assert_eq!(&message.payload[..], b"and a message");
    });
}
