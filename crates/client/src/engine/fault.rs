//! Every way to fail: what happened, on which side, what to do about it, and the exit status.

use std::fmt;

/// Where something went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// On this machine.
    Here,
    /// On the way to the relay.
    Line,
    /// At the relay.
    Relay,
    /// On the other side.
    There,
}

/// Why a share or a transfer has failed. Texts within are for a person to read, escaped and bounded
/// where they come from strangers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It was told to stop.
    Interrupted,
    /// No share of this can be taken up, and there is no passphrase for a new one.
    NothingToTakeUp,
    /// What was typed can be no room's code.
    NotACode,
    /// No open room has this code.
    NoSuchRoom,
    /// The room's time is up.
    Expired,
    /// The passphrase is wrong.
    WrongPassphrase,
    /// Too many have tried a wrong passphrase at this share.
    TooManyWrongPassphrases,
    /// The relay is not reached; with how that showed.
    Unreachable(String),
    /// What answers is no relay; with what it said.
    NotARelay(String),
    /// The relay asks for an access key, or this one is not good.
    KeyRefused,
    /// The relay's operator has blocked this address, or ended the room.
    SentAway,
    /// The relay was reached, and has had no place until patience ran out; with its reason.
    Busy(String),
    /// The line was lost, and the relay has ended the room with it, or restarted and does not know it.
    RoomLost,
    /// The same share was taken up elsewhere.
    Replaced,
    /// The sender has left.
    SenderGone,
    /// The other side did not come back, or did not go on, until patience ran out; with what it last did.
    PeerLost(String),
    /// The sender refuses; with its reason.
    Denied(String),
    /// The other side has given up; with its reason.
    Aborted(String),
    /// The other side does not keep to the protocol; with what it did.
    Misbehaved(&'static str),
    /// The other side speaks version 1, which is refused here, or has begun in version 2.
    Version1,
    /// What came cannot be opened: it was changed on its way, or is another's.
    NotAuthentic,
    /// A message is longer than the relay takes.
    TooBig,
    /// A message of the other side's is longer than this program takes.
    TooLong,
    /// The other side cannot do what is asked of it; with a sentence that says what.
    Unfit(&'static str),
    /// A file or a folder of this machine; with a sentence that says what.
    Disk(String),
    /// Something of this machine that is no file; with a sentence that says what.
    Machine(String),
}

impl Fault {
    /// A thread of this program has ended before its time.
    pub(super) fn failed() -> Self {
        Self::Machine("This program has failed in itself.".to_owned())
    }

    /// One word that stays what it is, for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Interrupted => "interrupted",
            Self::NothingToTakeUp => "nothing_to_take_up",
            Self::NotACode => "not_a_code",
            Self::NoSuchRoom => "room_not_found",
            Self::Expired => "room_expired",
            Self::WrongPassphrase => "wrong_passphrase",
            Self::TooManyWrongPassphrases => "too_many_wrong_passphrases",
            Self::Unreachable(_) => "unreachable",
            Self::NotARelay(_) => "not_a_relay",
            Self::KeyRefused => "key_refused",
            Self::SentAway => "sent_away",
            Self::Busy(_) => "busy",
            Self::RoomLost => "room_lost",
            Self::Replaced => "replaced",
            Self::SenderGone => "sender_gone",
            Self::PeerLost(_) => "peer_lost",
            Self::Denied(_) => "denied",
            Self::Aborted(_) => "aborted",
            Self::Misbehaved(_) => "misbehaved",
            Self::Version1 => "version_1",
            Self::NotAuthentic => "not_authentic",
            Self::TooBig => "too_big",
            Self::TooLong => "too_long",
            Self::Unfit(_) => "unfit",
            Self::Disk(_) => "disk",
            Self::Machine(_) => "machine",
        }
    }

    /// What happened, in one sentence.
    pub fn sentence(&self) -> String {
        let fixed = match self {
            Self::Interrupted => "Stopped.",
            Self::NothingToTakeUp => "There is no share of this to take up again.",
            Self::NotACode => "This can be no room's code.",
            Self::NoSuchRoom => "The relay has no open room with this code.",
            Self::Expired => "The room's time is up.",
            Self::WrongPassphrase => "The passphrase is wrong.",
            Self::TooManyWrongPassphrases => "Too many have tried a wrong passphrase.",
            Self::KeyRefused => "The relay lets in only who has an access key of it.",
            Self::SentAway => "The relay's operator has blocked this address or ended the room.",
            Self::RoomLost => {
                "The line to the relay was lost, and the relay does not have the room any more."
            }
            Self::Replaced => "This share was taken up by another process.",
            Self::SenderGone => "The sender has left.",
            Self::Version1 => {
                "The sender speaks version 1, or somebody in between has made it look so."
            }
            Self::NotAuthentic => "What came was changed on its way.",
            Self::TooBig => "A message is longer than the relay takes.",
            Self::TooLong => "A message of the other side's is longer than this program takes.",
            Self::Unreachable(how) => return format!("The relay is not reached: {how}."),
            Self::NotARelay(what) => return format!("What answers there is no relay: {what}."),
            Self::Busy(why) => return format!("The relay has no place: {why}."),
            Self::PeerLost(how) => return format!("The other side did not go on: {how}."),
            Self::Denied(why) => return format!("The sender refuses: {why}."),
            Self::Aborted(why) => return format!("The other side has given up: {why}."),
            Self::Misbehaved(what) => {
                return format!("The other side breaks the protocol: {what}.");
            }
            Self::Unfit(what) => what,
            Self::Disk(what) | Self::Machine(what) => return what.clone(),
        };
        fixed.to_owned()
    }

    /// On which side it happened.
    pub fn side(&self) -> Side {
        match self {
            Self::Interrupted
            | Self::NothingToTakeUp
            | Self::NotACode
            | Self::Replaced
            | Self::Disk(_)
            | Self::Machine(_)
            | Self::WrongPassphrase => Side::Here,
            Self::Unreachable(_) | Self::RoomLost | Self::NotAuthentic => Side::Line,
            Self::NoSuchRoom
            | Self::Expired
            | Self::NotARelay(_)
            | Self::KeyRefused
            | Self::SentAway
            | Self::Busy(_)
            | Self::TooBig => Side::Relay,
            Self::TooManyWrongPassphrases
            | Self::SenderGone
            | Self::PeerLost(_)
            | Self::Denied(_)
            | Self::Aborted(_)
            | Self::Misbehaved(_)
            | Self::TooLong
            | Self::Version1
            | Self::Unfit(_) => Side::There,
        }
    }

    /// What to do about it, in one sentence.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Interrupted => "Start it again with the same words to go on.",
            Self::NothingToTakeUp => "Share it anew.",
            Self::NotACode | Self::NoSuchRoom => {
                "Compare the code with the sender's; if it is right, the share is over: ask for a new one."
            }
            Self::Expired => "Share again, for longer with --expires-in.",
            Self::WrongPassphrase => "Ask the sender for it and try again.",
            Self::TooManyWrongPassphrases => {
                "Somebody may be guessing: share again, with a passphrase that is made up for you."
            }
            Self::Unreachable(_) => {
                "Look at the address of the relay and at this machine's network."
            }
            Self::NotARelay(_) => "Look at the address of the relay.",
            Self::KeyRefused => {
                "Ask the relay's operator for a key, and give it by --key-file, or beside the relay in the settings."
            }
            Self::SentAway => "Ask the relay's operator.",
            Self::Busy(_) => "Try again later.",
            Self::RoomLost => "Share again, and give the other side the new code.",
            Self::Replaced => "Nothing, if that was you; the other process goes on.",
            Self::SenderGone => "Ask the sender to share again.",
            Self::PeerLost(_) => {
                "Ask the other side whether its program still runs, and start this again."
            }
            Self::Denied(_) | Self::Aborted(_) => "Ask the other side, and start this again.",
            Self::Misbehaved(_) => "Have the other side update its program.",
            Self::Version1 => {
                "If it has distill or the relay's page, share by another relay, under another passphrase."
            }
            Self::NotAuthentic => {
                "Start it again; if it happens again, trust neither the relay nor the line."
            }
            Self::TooBig | Self::TooLong => {
                "Both sides need distill for what is larger than one message."
            }
            Self::Unfit(_) => "Both sides need distill for this.",
            Self::Disk(_) | Self::Machine(_) => {
                "Mend that, and start this again with the same words to go on."
            }
        }
    }

    /// The status that a program ends with.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Interrupted => 130,
            Self::NothingToTakeUp | Self::NotACode => 2,
            Self::NoSuchRoom | Self::Expired => 3,
            Self::WrongPassphrase | Self::TooManyWrongPassphrases => 4,
            Self::Unreachable(_)
            | Self::NotARelay(_)
            | Self::KeyRefused
            | Self::SentAway
            | Self::Busy(_)
            | Self::RoomLost
            | Self::TooBig => 5,
            Self::SenderGone
            | Self::PeerLost(_)
            | Self::Denied(_)
            | Self::Aborted(_)
            | Self::Misbehaved(_)
            | Self::Version1
            | Self::NotAuthentic
            | Self::TooLong
            | Self::Unfit(_) => 6,
            Self::Disk(_) => 7,
            Self::Replaced | Self::Machine(_) => 1,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.sentence(), self.advice())
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_and_its_status_is_told_to_who_writes_scripts() {
        let text = String::new;
        let all = [
            Fault::Interrupted,
            Fault::NothingToTakeUp,
            Fault::NotACode,
            Fault::NoSuchRoom,
            Fault::Expired,
            Fault::WrongPassphrase,
            Fault::TooManyWrongPassphrases,
            Fault::Unreachable(text()),
            Fault::NotARelay(text()),
            Fault::KeyRefused,
            Fault::SentAway,
            Fault::Busy(text()),
            Fault::RoomLost,
            Fault::Replaced,
            Fault::SenderGone,
            Fault::PeerLost(text()),
            Fault::Denied(text()),
            Fault::Aborted(text()),
            Fault::Misbehaved(""),
            Fault::Version1,
            Fault::NotAuthentic,
            Fault::TooBig,
            Fault::TooLong,
            Fault::Unfit(""),
            Fault::Disk(text()),
            Fault::Machine(text()),
        ];
        let guide = include_str!("../../../../SHARING.md");
        for fault in all {
            let (row, word) = (
                format!("| {} | ", fault.exit_status()),
                format!("`{}`", fault.word()),
            );
            let told = guide
                .lines()
                .any(|line| line.starts_with(&row) && line.contains(&word));
            assert!(told, "{word} is not in a row {row}");
        }
    }
}
