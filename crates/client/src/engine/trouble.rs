//! What it means when a line is not there, is lost, or a request is refused: whether to come back, when,
//! and how it is said. This is the one place that decides it.

use std::{io::ErrorKind, time::Duration};

use relay_wire::ending::Ending;
use tokio_tungstenite::tungstenite::{Error, error::CapacityError};

use super::{
    asks::{LONGEST_TOLD, Refusal},
    fault::Fault,
    waits::Pace,
};
use crate::{
    handshake::{Answer, OpenError},
    stream::TooMuch,
    tcp::{ConnectError, ResolveError},
    tls::{SetupError, TlsError},
    transfer::names::shown,
};

/// How a line was lost.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// By a Close (RFC 6455 §7.1.5, §7.1.6).
    Closed {
        /// Its code; 1005 where it has none.
        code: u16,
        /// Its text.
        reason: String,
        /// What the relay had said before, in its own name.
        refusal: Option<Refusal>,
    },
    /// Without one.
    Gone(String),
    /// Nothing came any more.
    Silent,
    /// A message was longer than is taken.
    TooBig,
}

/// Why something did not go well.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It is over.
    Over(Fault),
    /// Coming back may help.
    Later(Later),
}

/// What to come back for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Later {
    /// What is wrong, as the part of a sentence.
    pub(super) why: String,
    /// What it becomes when patience is over.
    pub(super) kind: Kind,
    /// How long to wait at least, where the relay has told.
    pub(super) told: Option<Duration>,
    /// How fast to ask.
    pub(super) pace: Pace,
}

/// What is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The relay.
    Unreached,
    /// The line, which was there.
    Line,
    /// A place at the relay.
    Busy,
    /// The other side.
    Peer,
    /// The other side, which was there, and did nothing.
    Idle,
}

impl Later {
    /// The fault that it is when patience is over.
    pub(super) fn out_of_patience(self) -> Fault {
        match self.kind {
            Kind::Unreached | Kind::Line => Fault::Unreachable(self.why),
            Kind::Busy => Fault::Busy(self.why),
            Kind::Peer | Kind::Idle => Fault::PeerLost(self.why),
        }
    }
}

impl Trouble {
    /// Something to come back for.
    pub(super) fn later(kind: Kind, why: impl Into<String>, told: Option<Duration>) -> Self {
        Self::Later(Later {
            why: why.into(),
            kind,
            told,
            pace: Pace::Quick,
        })
    }

    /// A room that was there is not there now: the relay has restarted, and its sender is still to come.
    pub(super) fn not_back(why: &str) -> Self {
        Self::Later(Later {
            why: why.to_owned(),
            kind: Kind::Peer,
            told: None,
            pace: Pace::Slow,
        })
    }

    /// The relay is not reached.
    pub(super) fn unreached(why: impl Into<String>) -> Self {
        Self::later(Kind::Unreached, why, None)
    }

    /// What a reason of the relay's means, in an `ERROR` or in a Close; `told` is the wait it came with.
    pub(super) fn of_reason(reason: &str, told: Option<Duration>) -> Option<Self> {
        // "message_too_big: 70000000 bytes of at most 67108864"
        let name = reason.split(':').next().unwrap_or_default();
        let later = |kind, why| Some(Self::later(kind, why, told));
        match Ending::from_name(name)? {
            Ending::RoomNotFound => Some(Fault::NoSuchRoom),
            Ending::SenderDisconnected => Some(Fault::SenderGone),
            Ending::RoomExpired => Some(Fault::Expired),
            Ending::Replaced => Some(Fault::Replaced),
            Ending::SenderAway => return later(Kind::Peer, "the sender's line is lost"),
            Ending::EndedByOperator | Ending::Blocked => Some(Fault::SentAway),
            Ending::AccessKeyWithdrawn => Some(Fault::KeyRefused),
            Ending::MessageTooBig => Some(Fault::TooBig),
            Ending::RateLimited => {
                return later(Kind::Busy, "too much was asked of it from this address");
            }
            Ending::RoomFull => return later(Kind::Busy, "too many receivers wait in this room"),
            Ending::TooManyRooms => return later(Kind::Busy, "all of its rooms are taken"),
            Ending::AddressRooms => return later(Kind::Busy, "this address has too many rooms"),
            Ending::ClusterUnavailable => {
                return later(Kind::Busy, "not all of its machines can be reached");
            }
            Ending::BuffersFull | Ending::AddressBuffers => {
                return later(Kind::Busy, "it has no memory for a message");
            }
            Ending::ServerShutdown => return later(Kind::Line, "the relay restarts"),
            Ending::NodeLost => {
                return later(Kind::Line, "the sender's machine of the relay is gone");
            }
            Ending::PairIdle => return later(Kind::Idle, "nothing has moved for too long"),
            Ending::GaveWay => {
                return later(Kind::Line, "this line took nothing, and others waited");
            }
            Ending::PingTimeout | Ending::RequestTimeout => {
                return later(Kind::Line, "this line gave no sign of life");
            }
            // What is left is a break of the protocol, which the same program would repeat.
            _ => Some(Fault::Machine(format!(
                "The relay has ended the connection: {}.",
                text(reason)
            ))),
        }
        .map(Self::Over)
    }
}

/// A text of a stranger's, for a sentence.
fn text(said: &str) -> String {
    shown(said, 120)
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Over(fault)
    }
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        let why = || Self::later(Kind::Busy, text(&refusal.reason), refusal.told());
        Self::of_reason(&refusal.reason, refusal.told()).unwrap_or_else(why)
    }
}

impl From<Lost> for Trouble {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Closed {
                code,
                reason,
                refusal,
            } => {
                let told = refusal.as_ref().and_then(Refusal::told);
                // An older relay says it in its ERROR alone.
                let earlier = || Self::of_reason(&refusal.as_ref()?.reason, told);
                let of_close = Self::of_reason(&reason, told).or_else(earlier);
                of_close.unwrap_or_else(|| {
                    Self::later(
                        Kind::Line,
                        format!("it was closed ({code} {})", text(&reason)),
                        told,
                    )
                })
            }
            Lost::Gone(how) => Self::later(Kind::Line, how, None),
            Lost::Silent => Self::later(Kind::Line, "nothing comes by it any more", None),
            Lost::TooBig => Self::Over(Fault::TooLong),
        }
    }
}

impl From<Error> for Lost {
    fn from(error: Error) -> Self {
        match error {
            Error::Capacity(CapacityError::MessageTooLong { .. }) => Self::TooBig,
            Error::Io(error) if error.kind() == ErrorKind::ConnectionReset => {
                Self::Gone("it was reset".to_owned())
            }
            Error::ConnectionClosed | Error::AlreadyClosed => Self::Gone("it has ended".to_owned()),
            other => Self::Gone(text(&other.to_string())),
        }
    }
}

impl From<ResolveError> for Trouble {
    fn from(error: ResolveError) -> Self {
        Self::unreached(match error {
            ResolveError::NoAnswer(_) => "no name server answers",
            ResolveError::Unknown(_) => "nobody knows its name",
        })
    }
}

impl From<ConnectError> for Trouble {
    fn from(error: ConnectError) -> Self {
        Self::unreached(match error {
            ConnectError::NoAddress => "its name has no address".to_owned(),
            ConnectError::Failed(address, error) => match error.kind() {
                ErrorKind::TimedOut => format!("{address} does not answer"),
                ErrorKind::ConnectionRefused => format!("nobody listens at {address}"),
                _ => format!("{address}: {error}"),
            },
        })
    }
}

impl From<SetupError> for Trouble {
    fn from(error: SetupError) -> Self {
        Self::Over(match error {
            SetupError::NoRoots => Fault::Machine(
                "This machine trusts no certificate authority: install ca-certificates.".to_owned(),
            ),
            SetupError::Library(error) => Fault::Machine(format!("TLS cannot be set up: {error}.")),
            SetupError::Roots(error) => Fault::Machine(format!(
                "This machine's certificate authorities are of no use: {error}."
            )),
            SetupError::Name(_) => {
                Fault::Unreachable("no certificate can be for its name".to_owned())
            }
        })
    }
}

impl From<TlsError> for Trouble {
    fn from(error: TlsError) -> Self {
        let over = |why: &str| Self::Over(Fault::Unreachable(why.to_owned()));
        match error {
            TlsError::Expired(_) => over("its certificate's time is over"),
            TlsError::NotYetValid(_) => {
                over("its certificate is not valid yet, or this machine's clock is wrong")
            }
            TlsError::OtherName(_) => over("its certificate is for another name"),
            TlsError::SelfSigned => over("its certificate is signed by itself"),
            TlsError::UnknownIssuer => {
                over("its certificate is of an issuer that this machine does not trust")
            }
            TlsError::Certificate(_) => over("its certificate cannot be accepted"),
            TlsError::NoCertificate(_) => over("it has no certificate for this name"),
            TlsError::Incompatible(_) => over("it speaks no version of TLS that is safe"),
            TlsError::NotTls => over("it speaks no TLS: its address may begin with ws://"),
            TlsError::HungUp => Self::unreached("it hangs up in the TLS handshake"),
            TlsError::Other(error) => Self::unreached(text(&error.to_string())),
        }
    }
}

impl From<OpenError> for Trouble {
    fn from(error: OpenError) -> Self {
        let none = |what: &str| Self::Over(Fault::NotARelay(what.to_owned()));
        match error {
            OpenError::Request(error) => Self::Over(Fault::Machine(format!(
                "This relay cannot be asked: {error}."
            ))),
            OpenError::Answered(answer) => Self::of_answer(&answer),
            OpenError::Closed => Self::unreached("it hangs up without an answer"),
            OpenError::HttpVersion | OpenError::NotHttp => none("it does not speak HTTP"),
            OpenError::Protocol(_) => none("it does not speak WebSocket"),
            OpenError::Connection(Error::Io(error)) if TooMuch::is_in(&error) => {
                none("it says too much")
            }
            OpenError::Connection(error) => Self::unreached(text(&error.to_string())),
        }
    }
}

impl Trouble {
    fn of_answer(answer: &Answer) -> Self {
        let told = answer.retry_after.map(|wait| wait.min(LONGEST_TOLD));
        let later = |why: &str| Self::later(Kind::Busy, why, told);
        match answer.status {
            401 => Self::Over(Fault::KeyRefused),
            403 => Self::Over(Fault::SentAway),
            429 => later("this address has too many connections there"),
            503 => later("it is full, or restarts"),
            408 => later("the way there is overloaded"),
            status @ 500..600 => {
                later(&format!("what stands before it answers with HTTP {status}"))
            }
            status => Self::Over(Fault::NotARelay(format!("it answers with HTTP {status}"))),
        }
    }
}
