//! Which side of a transfer is slow: pure.
//!
//! Whoever is sent something and does not take it is slow, whatever the other side does. Where nobody is,
//! and bytes move, they come no faster: whoever sends is slow, unless it may not send faster.

use std::time::Duration;

use super::api::Slow;
use crate::flow::vitals::Fares;

/// Bytes a second under which a pair talks, and transfers nothing.
const TALK: u64 = 4096;

/// What makes a pair slow, by how the two have fared in so much time.
pub(super) fn slow(sender: &Fares, receiver: &Fares, time: Duration) -> Option<Slow> {
    let most_of_it = |part: Duration| part >= time / 2;
    match (most_of_it(receiver.untaken), most_of_it(sender.untaken)) {
        (true, true) => return Some(Slow::Both),
        (true, false) => return Some(Slow::Receiver),
        (false, true) => return Some(Slow::Sender),
        (false, false) => {}
    }
    if most_of_it(sender.paced) || most_of_it(receiver.paced) {
        return Some(Slow::Limit);
    }
    let (down, up) = (receiver.given, sender.given);
    match down.max(up) {
        ..TALK => None,
        most if most == down => Some(Slow::Sender),
        _ => Some(Slow::Receiver),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slow_side_is_the_one_that_the_other_waits_for() {
        let fares = |given, untaken, paced| Fares {
            given,
            untaken: Duration::from_millis(untaken),
            paced: Duration::from_millis(paced),
        };
        for (sender, receiver, side) in [
            (fares(0, 0, 0), fares(0, 0, 0), None),
            (fares(100, 0, 0), fares(100, 10, 0), None),
            // A download: the receiver takes all that comes, or lets it wait.
            (fares(0, 0, 0), fares(1 << 20, 100, 0), Some(Slow::Sender)),
            (fares(0, 0, 0), fares(1 << 20, 900, 0), Some(Slow::Receiver)),
            (fares(0, 0, 0), fares(0, 1000, 0), Some(Slow::Receiver)),
            // Nothing waits for a receiver whose sender may send no faster.
            (fares(0, 0, 900), fares(1 << 20, 100, 0), Some(Slow::Limit)),
            (fares(0, 0, 900), fares(10, 900, 0), Some(Slow::Receiver)),
            // An upload.
            (fares(1 << 20, 0, 0), fares(0, 0, 0), Some(Slow::Receiver)),
            (fares(1 << 20, 800, 0), fares(0, 0, 0), Some(Slow::Sender)),
            (fares(1 << 20, 0, 0), fares(0, 0, 700), Some(Slow::Limit)),
            (fares(9, 800, 0), fares(9, 800, 0), Some(Slow::Both)),
        ] {
            let found = slow(&sender, &receiver, Duration::from_secs(1));
            assert_eq!(found, side, "{sender:?} {receiver:?}");
        }
    }
}
