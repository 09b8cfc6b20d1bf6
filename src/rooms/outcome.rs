//! How a transfer came out, as the end of its pair tells: the relay does not know what was sent.

use relay_wire::ending::Ending;

/// How a transfer came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// One of the two has closed without naming a fault, once the receiver had all that was sent.
    Finished,
    /// The receiver went otherwise.
    ReceiverGone,
    /// The sender went otherwise.
    SenderGone,
    /// A rule of the relay's ended it.
    Refused,
    /// Nothing moved for `RELAY_PAIR_IDLE`.
    Idle,
    /// The relay stopped, or had a fault.
    RelayGone,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Finished,
        Self::ReceiverGone,
        Self::SenderGone,
        Self::Refused,
        Self::Idle,
        Self::RelayGone,
    ];

    /// Its metric label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::ReceiverGone => "receiver_gone",
            Self::SenderGone => "sender_gone",
            Self::Refused => "refused",
            Self::Idle => "idle",
            Self::RelayGone => "relay_gone",
        }
    }

    /// That of a pair of which one leaves with this ending: by its own fault it is `gone`. `done`: whether
    /// it names no fault, and the receiver has all that was sent.
    pub(super) fn of(ending: Ending, done: bool, gone: Self) -> Self {
        match ending {
            Ending::PeerClosed if done => Self::Finished,
            Ending::PeerClosed
            | Ending::PeerVanished
            | Ending::Stalled
            | Ending::PingTimeout
            | Ending::GaveWay
            | Ending::Replaced => gone,
            Ending::PairIdle => Self::Idle,
            Ending::ServerShutdown | Ending::Panicked => Self::RelayGone,
            _ => Self::Refused,
        }
    }

    /// The same, once the receiver's session is over and was given all that went to it, or was not: what its
    /// sender left behind when it closed, a receiver may go without.
    pub fn given(self, all: bool) -> Self {
        match self {
            Self::Finished if !all => Self::ReceiverGone,
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_that_goes_before_it_has_all_is_gone() {
        for outcome in Outcome::ALL {
            assert_eq!(outcome.given(true), outcome);
            let expected = match outcome {
                Outcome::Finished => Outcome::ReceiverGone,
                other => other,
            };
            assert_eq!(outcome.given(false), expected);
        }
    }

    #[test]
    fn an_outcome_follows_from_who_leaves_and_how() {
        for gone in [Outcome::ReceiverGone, Outcome::SenderGone] {
            for (ending, done, outcome) in [
                (Ending::PeerClosed, true, Outcome::Finished),
                (Ending::PeerClosed, false, gone),
                (Ending::PeerVanished, true, gone),
                (Ending::Stalled, true, gone),
                (Ending::PingTimeout, false, gone),
                (Ending::GaveWay, false, gone),
                (Ending::Replaced, true, gone),
                (Ending::MessageTooBig, false, Outcome::Refused),
                (Ending::BuffersFull, true, Outcome::Refused),
                (Ending::InvalidUtf8, false, Outcome::Refused),
                (Ending::PairIdle, true, Outcome::Idle),
                (Ending::ServerShutdown, true, Outcome::RelayGone),
                (Ending::Panicked, false, Outcome::RelayGone),
            ] {
                assert_eq!(Outcome::of(ending, done, gone), outcome, "{ending:?}");
            }
        }
    }
}
